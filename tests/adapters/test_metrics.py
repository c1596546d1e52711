"""The metrics as Prometheus reads them."""

from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from archer_bridge.adapters.metrics import ServiceMetrics
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.models import CallEnd, Outcome

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(live: LiveCalls, refusals: Counter[tuple[str, str]]) -> Samples:
    registry = CollectorRegistry()
    registry.register(ServiceMetrics(live=live, refusals=refusals))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


async def test_an_idle_service() -> None:
    expected = {
        ("bridge_calls_active", ()): 0.0,
        ("bridge_capacity", ()): 7.0,
        ("bridge_draining", ()): 0.0,
        ("bridge_call_duration_seconds_total", ()): 0.0,
    }

    assert expected == scrape(LiveCalls(7), Counter())


async def test_a_busy_one() -> None:
    live = LiveCalls(7)
    live.reserve("CA1")
    live.draining = True
    for outcome, duration_ms in [(Outcome.COMPLETED, 1500), (Outcome.COMPLETED, 500), (Outcome.VENDOR_LOST, None)]:
        live.note_end(CallEnd(outcome, "", duration_ms, {}))
    refusals = Counter({("webhook", "signature"): 3})
    expected = {
        ("bridge_calls_active", ()): 1.0,
        ("bridge_capacity", ()): 7.0,
        ("bridge_draining", ()): 1.0,
        ("bridge_calls_total", (("outcome", "completed"),)): 2.0,
        ("bridge_calls_total", (("outcome", "vendor_lost"),)): 1.0,
        ("bridge_call_duration_seconds_total", ()): 2.0,
        ("bridge_auth_rejects_total", (("kind", "webhook"), ("reason", "signature"))): 3.0,
    }

    assert expected == scrape(live, refusals)
