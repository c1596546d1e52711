"""docs/operations.md and deploy/ are true: nothing that an operator meets is missing, nothing named is made up."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from archer_bridge.adapters.metrics import ServiceMetrics, Sources, registry_of
from archer_bridge.adapters.vitals import Vitals
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.models import Outcome
from archer_bridge.ports import StoreStats
from archer_bridge.tally import Tally

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES = (ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy" / "archer-bridge@.service").read_text(encoding="utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES)
PROMETHEUS_OWN = {"up"}


def sources() -> Sources:
    return Sources(LiveCalls(1), {}, StoreStats(0, 0, 0, 0, is_available=True, commit_seconds=Tally()), Vitals())


async def ours() -> list[Metric]:
    return list(ServiceMetrics(sources()).collect())


def exported(metric: Metric) -> set[str]:
    """The names of a family's samples."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
    return {metric.name + end for end in ends}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    assert f"| `{outcome.value}` |" in PAGE


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_explained(alert: str) -> None:
    assert f"| `{alert}` (" in PAGE


def test_no_alert_is_explained_that_is_not_shipped() -> None:
    assert set(re.findall(r"^\| `(Bridge\w+)` \(", PAGE, re.MULTILINE)) == set(ALERTS)


def test_alerts_say_how_urgent_they_are_as_the_page_does() -> None:
    shipped = dict(re.findall(r"- alert: (\w+).*?severity: (\w+)", RULES, re.DOTALL))
    explained = dict(re.findall(r"^\| `(Bridge\w+)` \((\w+)\)", PAGE, re.MULTILINE))

    assert explained == shipped


async def test_alerts_use_metrics_that_are_exported() -> None:
    expressions = " ".join(re.findall(r"expr: (?:>-\n)?(.*?)\n\s+(?:for|labels):", RULES, re.DOTALL))
    used = set(re.findall(r"\b((?:bridge|process)_\w+|up\b)", expressions))
    known = {name for metric in await ours() for name in exported(metric)} | PROMETHEUS_OWN
    known |= {sample.name for family in registry_of(sources()).collect() for sample in family.samples}

    assert len(used) > 10
    assert used - known == set()


async def test_every_metric_is_described() -> None:
    missing = [name for metric in await ours() for name in [_written(metric)] if f"`{name}" not in PAGE]

    assert missing == []


def _written(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


async def test_no_metric_is_described_that_is_not_exported() -> None:
    described = set(re.findall(r"`(bridge_\w+)", PAGE))
    known = {_written(metric) for metric in await ours()}

    assert described - known == set()


def test_the_unit_leaves_time_for_the_longest_drain() -> None:
    config = (ROOT / "config.toml").read_text(encoding="utf-8")
    longest = re.search(r"^max_drain_s = ([0-9.]+)", config, re.MULTILINE)
    stop = re.search(r"^TimeoutStopSec=(\d+)", UNIT, re.MULTILINE)
    assert longest is not None
    assert stop is not None

    assert int(stop[1]) >= float(longest[1]) + 60


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "archer-bridge@8000.service"
    unit.write_text(
        UNIT.replace("/opt/archer/.venv/bin/archer", "/bin/true").replace("User=archer\nGroup=archer\n", "")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30
    )

    assert [line for line in done.stderr.splitlines() if "archer-bridge@" in line] == []


def test_haproxy_takes_the_configuration() -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    command = ["haproxy", "-c", "-f", str(ROOT / "deploy" / "haproxy.cfg")]

    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 0
