import itertools
import json

import numpy as np
import pytest

from archer_codecs import RATES, Format
from archer_codecs.bench import Report, render
from archer_codecs.bench.chains import USUAL, chain_costs, frames_of, stage_costs
from archer_codecs.bench.quality import Quality, gains_db, measure, rejection_at
from archer_codecs.bench.report import PAIRS, Goal, as_json, law_breaks, state_bytes
from archer_codecs.bench.signals import LEVEL, play, response, sinad_db, tone, worst_spur_db
from archer_codecs.bench.subjects import Subject, alternatives, ours, versions
from archer_codecs.bench.timing import Contender, Cost, race


class Copy:
    """A stream that does nothing, so that the yardstick can be measured by itself."""

    def __init__(self, gain: float = 1.0, ghost: float = 0.0, late: int = 0) -> None:
        self.gain, self.ghost = gain, ghost
        self.rest = bytes(2 * late)

    def feed(self, data: bytes) -> bytes:
        samples = np.frombuffer(data, "<i2").astype(float)
        sign = (-1.0) ** np.arange(len(samples))  # mirrors every tone at a quarter of the rate
        data = self.rest + np.rint(self.gain * samples + self.ghost * sign * samples).astype("<i2").tobytes()
        keep = len(self.rest)
        data, self.rest = (data[:-keep], data[-keep:]) if keep else (data, b"")
        return data

    def flush(self) -> bytes:
        return b""


def subject(**faults: float) -> Subject:
    return Subject("copy", "none", lambda source, sink: Copy(**faults))  # type: ignore[arg-type]  # numbers all


def test_a_clean_copy_measures_clean() -> None:
    found = measure(subject(), 8000, 8000, tones=6, splits=5)

    assert found.ripple_db < 0.001
    assert found.sinad_db > 95
    assert found.reject_db < -95
    assert abs(found.delay_ms) < 0.001
    assert (found.held_ms, found.broken) == (0.0, 0)


def test_a_known_gain_is_measured() -> None:
    assert gains_db(subject(gain=0.5), 8000, 8000, [1000.0]) == [pytest.approx(-6.02, abs=0.01)]


@pytest.mark.parametrize(("ghost", "db"), [(0.1, -20), (0.01, -40), (0.001, -60)])
def test_a_known_ghost_is_measured(ghost: float, db: float) -> None:
    assert rejection_at(subject(ghost=ghost), 8000, 8000, 1000.0, (300.0, 3400.0)) == pytest.approx(db, abs=0.3)
    assert measure(subject(ghost=ghost), 8000, 8000, tones=6, splits=1).sinad_db == pytest.approx(-db, abs=0.3)


@pytest.mark.parametrize("late", [8, 40, 160])
def test_a_known_delay_is_measured(late: int) -> None:
    found = measure(subject(late=late), 8000, 8000, tones=3, splits=1)

    assert found.delay_ms == pytest.approx(late / 8, abs=0.01)


def test_a_tone_is_measured_wherever_it_lies() -> None:
    for hertz in (300.0, 997.0, 3333.3):
        samples = tone(8000, hertz)

        assert abs(response(samples, 8000, hertz)) == pytest.approx(1.0, abs=1e-4)
        assert np.angle(response(samples, 8000, hertz)) == pytest.approx(0.0, abs=1e-3)
        assert worst_spur_db(samples, 8000, hertz, (300.0, 3400.0)) < -100
    assert sinad_db(tone(8000, 997.0), 8000, 997.0) > 95
    assert LEVEL < 32767


@pytest.mark.parametrize("other", alternatives(), ids=lambda each: each.name)
def test_every_installed_alternative_can_be_measured(other: Subject) -> None:
    out = play(other.open(24000, 8000), tone(24000, 1000.0), 24000)

    assert abs(response(out, 8000, 1000.0)) == pytest.approx(1.0, abs=0.02)


def test_ratecv_is_seen_to_fold() -> None:
    ratecv = next(each for each in alternatives() if each.name == "audioop.ratecv")

    assert rejection_at(ratecv, 24000, 8000, 5000.0, (300.0, 3400.0)) > -3


def test_races_take_turns_and_give_ratios() -> None:
    calls: list[str] = []
    ticks = itertools.count(step=1000)

    def runner(name: str, weight: int) -> Contender:
        def feed(data: bytes) -> bytes:
            calls.append(name)
            for _ in range(weight):
                next(ticks)
            return data

        return Contender(feed, [b"x"])

    costs = race({"a": runner("a", 2), "b": runner("b", 1)}, "b", clock=lambda: next(ticks), rounds=3)

    assert calls[:100] == ["a"] * 50 + ["b"] * 50
    assert costs["b"].ratio == 1.0
    assert costs["a"].ratio == pytest.approx(2.0, abs=0.05)
    assert costs["a"].us == pytest.approx(2.02, abs=0.01)


def test_costs_cover_every_chain_and_stage() -> None:
    ticks = itertools.count()
    chains = chain_costs(alternatives()[:1], lambda: next(ticks), 1)
    stages = stage_costs(lambda: next(ticks))

    assert list(chains) == [f"{Format.parse(source)} -> {Format.parse(sink)}" for source, sink in USUAL]
    assert all(set(costs) == {"archer", "audioop + audioop.ratecv"} for costs in chains.values())
    assert {name.split()[0] for name in stages} == {
        "mulaw-decode", "mulaw-encode", "alaw-decode", "alaw-encode", "f32-decode", "f32-encode", "to-mono",
        "to-stereo", "gain-3dB", "reframe-20ms", "resample", "format",
    }  # fmt: skip


def test_frames_are_20_ms_of_any_format() -> None:
    for form in (Format("mulaw", 8000), Format("pcm_f32le", 8000), Format("pcm_s16le", 48000, 2)):
        assert {len(frame) for frame in frames_of(form)} == {form.bytes_for(20)}


def test_the_law_is_counted() -> None:
    assert law_breaks("mulaw/8000", "pcm_s16le/16000", 50) == 0


def test_state_stays_within_its_goal() -> None:
    assert 100 < state_bytes(20) <= 4096


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("a", -81.0, -80.0, "dB"), True),
        (Goal("a", -79.0, -80.0, "dB"), False),
        (Goal("a", 86.0, 85.0, "dB", at_least=True), True),
        (Goal("a", 84.0, 85.0, "dB", at_least=True), False),
    ],
)
def test_goals_know_their_side(goal: Goal, met: bool) -> None:
    assert goal.is_met == met


def test_versions_say_what_is_not_installed() -> None:
    assert versions(("numpy", "no-such-thing")) == {"numpy": np.__version__, "no-such-thing": "not installed"}


def made_up_report() -> Report:
    linear, minimum = ours()
    pairs = [(source, sink) for source in RATES for sink in RATES if source != sink]
    figures = [Quality(source, sink, 0.01, 90.0, -85.0, 1.9, 1.9, 10, 0) for source, sink in pairs]
    report = Report("a machine", "3.99", {"numpy": "9.9"}, splits=7, planning_us=12.0, state_bytes=1000)
    report.every_pair = {linear.name: figures, minimum.name: figures}
    report.compared = {"other": [Quality(*pair, 4.2, 28.0, -1.0, 0.1, 0.1, 10, 10) for pair in PAIRS]}
    report.chains = {"a -> b": {"archer": Cost(20.0, 1.1)}}
    report.stages = {"mulaw-decode": 0.5}
    report.goals = [Goal("aliases", -85.0, -80.0, "dB"), Goal("delay", 3.0, 2.2, "ms")]
    return report


def test_the_text_has_every_table() -> None:
    text = render(made_up_report())

    assert text.startswith("Python 3.99 on a machine\nnumpy 9.9\n")
    for line in (
        "mulaw-decode  0.5",
        "archer   20.0         1.10",
        "other              4.2000      28.0            -1.0      0.10                      10 of 10",
        "aliases       -85  <= -80 dB     met",
        "delay           3  <= 2.2 ms  MISSED",
    ):
        assert line in text


def test_json_has_the_verdicts() -> None:
    plain = json.loads(json.dumps(as_json(made_up_report())))

    assert [(goal["figure"], goal["is_met"]) for goal in plain["goals"]] == [("aliases", True), ("delay", False)]
    assert plain["chains"]["a -> b"]["archer"] == {"us": 20.0, "ratio": 1.1}
