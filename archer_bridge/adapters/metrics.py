"""Prometheus metrics, read from the service when they are asked for: no call pays for them.

Names and units follow Prometheus's conventions; no label names a call or a caller. docs/operations.md says what each
is for.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from archer_bridge import __version__
from archer_bridge.adapters.vitals import Vitals
from archer_bridge.calls.breaker import BreakerState
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.ports import StoreStats
from archer_bridge.tally import Tally

Key = TypeVar("Key", bound=tuple[str, ...])
BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Sources:
    """The objects that hold the numbers."""

    live: LiveCalls
    refusals: Mapping[tuple[str, str], int]
    """By kind and reason."""
    store: StoreStats
    vitals: Vitals
    unproved: int = 0
    """Sockets that have not proved themselves yet."""
    breaker: BreakerState = BreakerState.CLOSED
    reconnects: int = 0
    """Engine sessions opened again in the middle of a call."""


def registry_of(sources: Sources) -> CollectorRegistry:
    """Return a registry with everything that this process can tell."""
    registry = CollectorRegistry()
    registry.register(ServiceMetrics(sources))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class ServiceMetrics(Collector):
    """Collects once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Return every metric family, base units, no personal data in a label."""
        yield from self._calls()
        yield from self._voice()
        yield from self._vendor()
        yield from self._tools()
        yield from self._service()

    def _calls(self) -> Iterator[Metric]:
        live, totals = self._sources.live, self._sources.live.totals
        yield GaugeMetricFamily("bridge_calls_active", "Calls on the line.", value=len(live))
        yield GaugeMetricFamily("bridge_capacity", "Calls this process takes at once.", value=live.capacity)
        yield GaugeMetricFamily("bridge_draining", "1 while no new call is taken.", value=int(live.draining))
        ended = {(outcome,): float(count) for outcome, count in totals.ended.items()}
        yield _counter("bridge_calls", "Calls ended that had a stream, by outcome.", ("outcome",), ended)
        yield _histogram("bridge_call_duration_seconds", "Length of ended calls.", totals.seconds)
        yield CounterMetricFamily(
            "bridge_orphans_recovered", "Calls of dead processes ended by this one.", value=self._sources.vitals.orphans
        )

    def _voice(self) -> Iterator[Metric]:
        totals = self._sources.live.totals
        yield _histograms(
            "bridge_turn_latency_seconds",
            "From the caller's last word to the first word of the answer; `bridge` is what this process added.",
            ("stage",),
            {(stage,): tally for stage, tally in totals.turns.items()},
        )
        yield _histogram("bridge_first_audio_seconds", "From a stream's start to the first word.", totals.first_audio)
        yield _histogram("bridge_audio_gap_seconds", "Caller audio that never came, per call.", totals.caller_gaps)
        frames = {(direction,): float(count) for direction, count in totals.frames.items()}
        yield _counter("bridge_frames", "Audio messages of ended calls.", ("direction",), frames)
        dropped = {(reason,): float(count) for reason, count in totals.dropped.items()}
        yield _counter("bridge_frames_dropped", "Messages not used, of ended calls.", ("reason",), dropped)
        yield CounterMetricFamily(
            "bridge_sequence_gaps", "Messages of Twilio that never came, of ended calls.", value=totals.sequence_gaps
        )

    def _vendor(self) -> Iterator[Metric]:
        sources, vitals = self._sources, self._sources.vitals
        yield _histogram("bridge_vendor_connect_seconds", "Until the engine's socket was open.", vitals.vendor_connects)
        errors = {(code,): float(count) for code, count in vitals.vendor_errors.items()}
        yield _counter("bridge_vendor_errors", "Failed connections to the engine, by status.", ("code",), errors)
        yield CounterMetricFamily(
            "bridge_vendor_reconnects", "Engine sessions opened again in mid-call.", value=sources.reconnects
        )
        state = BREAKER[sources.breaker]
        yield GaugeMetricFamily("bridge_breaker_state", "0 closed, 1 half open, 2 open.", value=state)

    def _tools(self) -> Iterator[Metric]:
        yield _histograms(
            "bridge_tool_duration_seconds",
            "Until a tool's answer was durable.",
            ("tool", "status"),
            self._sources.live.totals.tools,
        )
        unknown = self._sources.vitals.unknown_tools
        yield GaugeMetricFamily("bridge_tool_unknown", "Side effects that may have happened.", value=unknown)

    def _service(self) -> Iterator[Metric]:
        sources, vitals, store = self._sources, self._sources.vitals, self._sources.store
        refused = {key: float(count) for key, count in sources.refusals.items()}
        yield _counter("bridge_auth_rejects", "Requests refused.", ("kind", "reason"), refused)
        yield GaugeMetricFamily("bridge_sockets_unproved", "Sockets without a valid start yet.", value=sources.unproved)
        answered = {(route, str(code)): tally for (route, code), tally in vitals.webhooks.items()}
        yield _histograms("bridge_webhook_seconds", "Until a webhook was answered.", ("route", "code"), answered)
        yield GaugeMetricFamily("bridge_db_queue_depth", "Writes that wait for the record.", value=store.queue_depth)
        yield GaugeMetricFamily(
            "bridge_db_available", "1 while the record takes writes.", value=int(store.is_available)
        )
        yield CounterMetricFamily("bridge_db_rows", "Writes committed.", value=store.rows)
        yield CounterMetricFamily("bridge_db_rows_dropped", "Events lost: queue full, or refused.", value=store.dropped)
        yield _histogram("bridge_db_commit_seconds", "Length of a commit.", store.commit_seconds)
        lag = vitals.pulse.lag if vitals.pulse is not None else Tally()
        yield _histogram("bridge_loop_lag_seconds", "How late the event loop's heartbeat came.", lag)
        yield GaugeMetricFamily("bridge_tasks", "Tasks in the event loop.", value=_tasks())
        info = GaugeMetricFamily("bridge_info", "1, with this process's version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked from outside the loop
        return 0


def _counter(name: str, help_text: str, labels: tuple[str, ...], values: Mapping[Key, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(name: str, help_text: str, tally: Tally) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, help_text, buckets=tally.buckets(), sum_value=tally.total)


def _histograms(
    name: str, help_text: str, labels: tuple[str, ...], tallies: Mapping[Key, Tally]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, help_text, labels=labels)
    for key, tally in sorted(tallies.items()):
        family.add_metric(key, buckets=tally.buckets(), sum_value=tally.total)
    return family
