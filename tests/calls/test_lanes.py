"""A lane does to a frame what Python does, or leaves it: two bridges live through the same call, one has none."""

import base64
import gc
import json
import runpy
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archer_bridge.calls import downlink, lanes, playout, uplink
from archer_bridge.ports import (
    EngineAudio,
    EngineClear,
    EngineIgnored,
    EngineLost,
    EngineReady,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.protocols import twilio_media
from archer_bridge.protocols.scan import Sequence
from tests.support.core_rig import Piece, Rig

kernel = pytest.importorskip("archer_bridge.calls._lanes", reason="the lanes were not compiled here: no C compiler")

SPEAKS = TurnStarted(1, "assistant")
ZERO_MS = 1000


class Call(Rig):
    """A call that remembers what its tap was told."""

    def __init__(self, audio_format: str, *, lead_ms: int = 400) -> None:
        self.pieces: list[Piece] = []
        self.due_ms = ZERO_MS
        super().__init__(audio_format, lead_ms=lead_ms)

    def note(self, piece: Piece) -> None:
        super().note(piece)
        self.pieces.append(piece)

    def lose_a_message(self) -> None:
        self._sequence += 1

    def hear(self, data: bytes, jitter_ms: int, skipped_ms: int) -> None:
        """Let the caller say something, the clock of Twilio's stream being what it is."""
        self.frame(max(0, self.due_ms + skipped_ms + jitter_ms), data)
        self.due_ms += skipped_ms + len(data) // 8

    def facts(self) -> dict[str, Any]:
        """Everything that the rest of the world could know."""
        core = self.core
        flows = {
            name: {field: getattr(flow, field) for field in made.__slots__}
            for name, flow, made in (
                ("in", self.uplink.way, lanes.Inflow),
                ("out", self.playout.out, lanes.Outflow),
            )
        }
        return flows | {
            "twilio": self.wrote,
            "engine": (self.engine.audio, self.engine.texts),
            "seen": self.engine.seen,
            "tap": (self.pieces, self.cuts),
            "turns": self.turns,
            "counts": (
                core.bad_frames,
                core.ignored_events,
                core.speech.stale_frames,
                core.speech.barge_ins,
                core.digits,
            ),
            "times": (core.last_caller_at, core.speech.last_audio_at, core.speech.owed_since, core.engine_messages),
            "uplink": (self.uplink.gaps, self.uplink.filled_ms, self.uplink.ended_at, self.uplink.voice_ended_at),
            "ledger": (self.playout.position(self.seconds), self.playout.in_flight(self.seconds)),
            "waits": (self.downlink.waiting, self.is_pumped),
        }


def a_call(audio_format: str, *, compiled: bool, lead_ms: int = 400) -> Call:
    """Start a call, with lanes or with nothing compiled on its way."""
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(uplink, "make_caller_lane", lanes._none)
            patch.setattr(downlink, "make_engine_lane", lanes._none)
            patch.setattr(uplink, "make_inflow", lanes.Inflow)
            patch.setattr(playout, "make_outflow", lanes.Outflow)
            patch.setattr(twilio_media, "make_sequence", Sequence)
        return Call(audio_format, lead_ms=lead_ms)


# ---- the same call twice

Step = Callable[[Call], None]


def noise(size: int, seed: int) -> bytes:
    return bytes((seed * 31 + k * (seed % 7 + 1)) % 256 for k in range(size))


def frame(data: bytes, jitter_ms: int, skipped_ms: int) -> Step:
    return lambda call: call.hear(data, jitter_ms, skipped_ms)


def speak(samples: int, seed: int) -> Step:
    return lambda call: call.does(call.audio(noise(samples * call.format.frame_bytes, seed)))


def event(what: Any) -> Step:
    return lambda call: call.does(what)


def wait(samples: int) -> Step:
    return lambda call: call.run(samples)


def together(some: list[Step]) -> Step:
    def step(call: Call) -> None:
        for one in some:
            one(call)

    return step


def speak_frame(seed: int) -> Step:
    """20 ms of agent audio, at whatever rate."""
    return lambda call: speak(call.format.rate // 50, seed)(call)


PLAIN: list[Step] = [
    step for seed in range(10) for step in (wait(160), frame(noise(160, seed), 0, 0), speak_frame(seed))
]
WARM = [event(SPEAKS), *PLAIN]
"""What it takes until both lanes are open: the first audio of a call is looked at more closely."""
caller_audio = st.one_of(
    st.builds(lambda code: bytes([code]) * 160, st.integers(0, 255)),
    st.builds(lambda loud: b"\x80" * loud + b"\xff" * (160 - loud), st.integers(0, 160)),
    st.builds(noise, st.integers(1, 400), st.integers(0, 255)),
)
steps = st.one_of(
    st.builds(frame, caller_audio, st.integers(-12, 12), st.just(0)),
    st.builds(frame, caller_audio, st.integers(-2, 2), st.just(0)),
    st.builds(frame, caller_audio, st.just(0), st.sampled_from([0, 20, 60, 3000, -20])),
    st.builds(speak, st.integers(1, 4000), st.integers(0, 255)),
    st.builds(speak_frame, st.integers(0, 255)),
    st.builds(speak, st.sampled_from([0, 1, 159, 160, 161, 320]), st.just(9)),
    st.builds(wait, st.integers(1, 2000)),
    st.just(wait(160)),
    st.just(together(PLAIN)),
    st.builds(lambda number: together([speak_frame(number)] * number), st.integers(1, 30)),
    st.sampled_from([
        event(SPEAKS), event(TurnText(1, "so")), event(TurnEnded(1, "assistant", "so", interrupted=False)),
        event(TurnStarted(2, "user")), event(TurnEnded(2, "user", "hm", interrupted=False)), event(EngineClear()),
        event(EngineReady("s")), event(EngineIgnored("x")), event(EngineLost("gone")),
        lambda call: call.lose_a_message(), lambda call: call.lose_marks(), lambda call: call.echo("g0:1"),
        lambda call: call.say({"event": "dtmf", "dtmf": {"digit": "1", "track": "inbound_track"}}),
        lambda call: call.core.caller_sink("no JSON"),
        lambda call: call.core.speech.play_filler(b"f" * 800, call.seconds),
        together([wait(4800), lambda call: call.core.fill_caller_gap(call.seconds)]),
        lambda call: call.core.engine_gone(),
    ]),
)  # fmt: skip
ends = st.sampled_from([
    lambda call: call.say({"event": "stop", "stop": {"accountSid": "AC0", "callSid": "CA0"}}),
    lambda call: call.core.speech.finish(call.seconds),
    wait(1),
])  # fmt: skip


@settings(max_examples=200)
@given(
    is_warm=st.sampled_from([True, True, True, False]),
    audio_format=st.sampled_from(["mulaw_8000", "mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"]),
    lead_ms=st.sampled_from([100, 400]),
    begin=st.lists(steps, max_size=60),
    end=ends,
    after=st.lists(steps, max_size=5),
)
def test_whatever_happens_it_is_the_same_call(
    is_warm: bool, audio_format: str, lead_ms: int, begin: list[Step], end: Step, after: list[Step]
) -> None:
    calls = [a_call(audio_format, compiled=compiled, lead_ms=lead_ms) for compiled in (True, False)]
    for step in [*(WARM if is_warm else []), *begin, end, *after]:
        for call in calls:
            step(call)
        with_lanes, without = (call.facts() for call in calls)
        assert with_lanes == without


@pytest.mark.parametrize("audio_format", ["mulaw_8000", "pcm_16000"])
def test_plain_frames_take_the_lanes(audio_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = a_call(audio_format, compiled=True)
    for step in WARM:
        step(call)
    monkeypatch.setattr(call.uplink, "caller", fails)
    monkeypatch.setattr(call.downlink, "play", fails)
    before = call.uplink.frames, call.downlink.messages, len(call.engine.audio)
    for _ in range(5):
        call.run(160)
        call.hear(b"\x80" * 160, 0, 0)
        speak_frame(9)(call)

    assert (call.uplink.frames, call.downlink.messages, len(call.engine.audio)) == tuple(5 + n for n in before)


@pytest.mark.parametrize("quiet", range(256))
def test_every_code_is_voiced_or_not_as_python_says(quiet: int) -> None:
    voiced = []
    for compiled in (True, False):
        call = a_call("mulaw_8000", compiled=compiled)
        for data in (b"\xff" * 160, b"\xff" * 160, bytes([quiet]) * 160):
            call.hear(data, 0, 0)
        voiced.append(call.uplink.way.voiced_until_ms)

    assert voiced[0] == voiced[1]


# ---- what a lane is given, and gives


def caller_lane(**changes: Any) -> Any:
    way, out = kernel.Inflow(), kernel.Outflow()
    way.frames = 1
    parts = {
        "way": way, "out": out, "clock": lambda: 1.0, "engine": None, "converts": (), "note": None,
        "rules": (0, 20.0, 8.0, 0.0, 4, 8000.0),
    }  # fmt: skip
    lane = kernel.CallerLane(**parts | changes)
    lane.is_open = True
    return lane


def out_flow(**changes: float) -> Any:
    out = kernel.Outflow()
    for name, value in ({"ends": 2.0, "zero": 1.0, "sent_at": 1.0} | changes).items():
        setattr(out, name, value)
    return out


def engine_lane(**changes: Any) -> Any:
    parts = {
        "out": out_flow(), "audio_type": EngineAudio, "otherwise": pytest.fail, "play": pytest.fail,
        "clock": lambda: 1.0, "send": lambda *_: None, "mark": pytest.fail, "restart": pytest.fail, "note": None,
        "rules": (1, 3200, 3200, 160, 1.0, 0.01, 0.01 / 8000, 8000.0),
    }  # fmt: skip
    lane = kernel.EngineLane(**parts | changes)
    lane.is_open = True
    return lane


AUDIO = EngineAudio(b"a" * 160, base64.b64encode(b"a" * 160))


class Engine:
    """An ear that is not well."""

    def send_audio(self, data: bytes, text: bytes | None) -> None:
        raise LookupError


def fails(*_: Any) -> Any:
    raise LookupError


@pytest.mark.parametrize(
    "changes", [{"engine": Engine()}, {"clock": fails}, {"converts": (fails,)}, {"engine": object()}]
)
def test_what_goes_wrong_on_the_callers_way_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises((LookupError, AttributeError)):
        caller_lane(**changes).take(b"a", b"YQ==", 0)


@pytest.mark.parametrize(
    "changes",
    [{"clock": fails}, {"send": fails}, {"note": fails}, {"clock": lambda: "now"}],
)
def test_what_goes_wrong_on_the_agents_way_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError)):
        engine_lane(**changes).take(AUDIO)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("play", {}),
        ("mark", {"sent_at": 0.0}),
        ("mark", {"marked": -3200}),
        ("restart", {"ends": 0.5}),
        ("converts", {}),
    ],
)
def test_what_goes_wrong_beside_the_plain_way_is_told(part: str, changes: dict[str, float]) -> None:
    out = out_flow(**changes)
    lane = engine_lane(out=out, **({} if part == "converts" else {part: fails}))
    lane.converts = (fails,) if part == "converts" else (lambda data: data * (100 if part == "play" else 1),)

    with pytest.raises(LookupError):
        lane.take(AUDIO)


def test_a_closed_lane_leaves_everything() -> None:
    got: list[Any] = []
    agent, caller = engine_lane(otherwise=got.append), caller_lane()
    agent.is_open = caller.is_open = False
    agent.take(AUDIO)

    assert got == [AUDIO]
    assert agent.taken == 0
    assert not caller.take(b"a", b"YQ==", 0)


def test_what_is_no_audio_is_refused() -> None:
    lane = caller_lane()
    for arguments in ((), (b"", b""), ("a", b"", 0), (b"", b"", "0"), (b"", b"", 1 << 70)):
        with pytest.raises((TypeError, OverflowError)):
            lane.take(*arguments)
    for make in (caller_lane, engine_lane):
        for changes in ({"out": lanes.Outflow()}, {"rules": ()}, {"rules": (1, 2)}):
            with pytest.raises(TypeError):
                make(**changes)
    with pytest.raises(TypeError):
        caller_lane(way=lanes.Inflow())
    with pytest.raises(TypeError):
        caller_lane(converts=[])


@pytest.mark.parametrize("value", [None, [], "so"])
def test_converts_of_another_kind_are_refused(value: Any) -> None:
    lane = engine_lane()
    with pytest.raises(TypeError, match="tuple"):
        lane.converts = value
    with pytest.raises(TypeError, match="tuple"):
        del lane.converts

    assert lane.converts == ()


def test_what_audio_goes_through_is_kept_while_it_is_used() -> None:
    """A change of formats from within: the functions that were begun with are the ones that are called."""
    sent: list[bytes] = []
    lane = engine_lane(send=lambda data, text: sent.append(data))

    def change(data: bytes) -> bytes:
        lane.converts = ()
        return data

    lane.converts = (change, lambda data: data.upper())
    lane.take(AUDIO)
    lane.take(AUDIO)

    assert sent == [b"A" * 160, b"a" * 160]


def test_circles_are_collected() -> None:
    class Owner:
        def take(self, *_: Any) -> None: ...

    owner = Owner()
    owner.parts = (  # type: ignore[attr-defined]
        caller_lane(engine=owner, note=owner.take), engine_lane(otherwise=owner.take, play=owner.take)
    )  # fmt: skip
    gone = weakref.ref(owner)
    del owner
    gc.collect()

    assert gone() is None


def test_the_flows_are_the_same_in_both_languages() -> None:
    for plain, compiled in ((lanes.Inflow, kernel.Inflow), (lanes.Outflow, kernel.Outflow)):
        names = set(plain.__slots__)
        assert {name for name in vars(compiled) if not name.startswith("_")} == names
        assert {name: getattr(plain(), name) for name in names} == {name: getattr(compiled(), name) for name in names}


def test_a_kernel_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "VERSION", lanes.KERNEL_VERSION + 1)
    fresh = runpy.run_path(lanes.__file__)

    assert lanes.is_compiled
    assert not fresh["is_compiled"]
    assert fresh["make_engine_lane"]() is None
    assert type(fresh["make_inflow"]()).__name__ == "Inflow"


def test_facts_tell_a_difference() -> None:
    """The comparison above would see one frame more."""
    calls = [a_call("mulaw_8000", compiled=compiled) for compiled in (True, False)]
    calls[0].hear(b"\xff" * 160, 0, 0)

    assert calls[0].facts() != calls[1].facts()
    assert json.dumps(calls[1].wrote) == json.dumps(calls[0].wrote)
