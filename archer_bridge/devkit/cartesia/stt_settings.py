"""Turn detection settings of `/stt/turns/websocket`: https://docs.cartesia.ai/use-the-api/stt/turns"""

from collections.abc import Mapping
from typing import Any

from archer_bridge.devkit.cartesia.auth import ApiError

# lowest, highest, default; the vendor's pages and its SDK differ for two of them, the wider range is taken
_RANGES = {
    "start_threshold": (0.5, 0.9, 0.8),
    "eager_end_threshold": (0.3, 0.8, 0.6),
    "end_threshold": (0.05, 0.5, 0.3),
    "end_timeout_ms": (640.0, 11200.0, 5600.0),
}


def query_turn_settings(query: Mapping[str, str]) -> dict[str, str | None]:
    """Return the settings given as `turn_…` query parameters, None where there is none."""
    return {name: query.get(f"turn_{name}") for name in _RANGES}


def check_turn_settings(given: dict[str, Any], current: dict[str, float]) -> dict[str, float]:
    """Return the turn settings after a change; None in `given` keeps the current or default value.

    Raises:
        ApiError: 400, out of range, or not start > eager end > end.
    """
    settings = {name: current.get(name, row[2]) for name, row in _RANGES.items()}
    unknown = set(given) - set(_RANGES)
    if unknown:
        raise ApiError(400, f"unknown turn settings: {', '.join(sorted(unknown))}")
    for name, value in given.items():
        if value is None:
            continue
        low, high, _ = _RANGES[name]
        try:
            settings[name] = float(value)
        except (TypeError, ValueError):
            raise ApiError(400, f"turn {name} is {value!r}, not a number") from None
        if not low <= settings[name] <= high:
            raise ApiError(400, f"turn {name} must be {low:g} to {high:g}, not {value}")
    if not settings["start_threshold"] > settings["eager_end_threshold"] > settings["end_threshold"]:
        raise ApiError(400, "turn thresholds must be start > eager_end > end")
    return settings
