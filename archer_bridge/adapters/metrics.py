"""Prometheus metrics, read from the service when they are asked for: no call pays for them."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from archer_bridge.calls.registry import LiveCalls


class ServiceMetrics(Collector):
    """Collects once, from the objects that hold the numbers."""

    def __init__(self, *, live: LiveCalls, refusals: Mapping[tuple[str, str], int]) -> None:
        self._live = live
        self._refusals = refusals

    def collect(self) -> Iterable[Metric]:
        """Return every metric family, base units, no personal data in a label."""
        live = self._live
        yield GaugeMetricFamily("bridge_calls_active", "Calls on the line.", value=len(live))
        yield GaugeMetricFamily("bridge_capacity", "Calls this process takes at once.", value=live.capacity)
        yield GaugeMetricFamily("bridge_draining", "1 while no new call is taken.", value=int(live.draining))
        ended = CounterMetricFamily("bridge_calls", "Calls ended, by outcome.", labels=["outcome"])
        for outcome, count in sorted(live.ended.items()):
            ended.add_metric([outcome], count)
        yield ended
        yield CounterMetricFamily(
            "bridge_call_duration_seconds", "Seconds of all ended calls.", value=live.seconds_ended
        )
        rejects = CounterMetricFamily("bridge_auth_rejects", "Requests refused.", labels=["kind", "reason"])
        for (kind, reason), count in sorted(self._refusals.items()):
            rejects.add_metric([kind, reason], count)
        yield rejects
