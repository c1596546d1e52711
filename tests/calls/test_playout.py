from copy import deepcopy

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from archer_bridge.calls.lanes import Outflow
from archer_bridge.calls.playout import BYTES_PER_S, LONGEST_TRIP_S, Playout
from tests.support.far_end import Buffer, Link

FRAME = 160
JITTER = 10 * 8
"""10 ms each way: both ways together are a frame, and no clock can know better than that."""

jitters = st.integers(0, JITTER)


class Listening(RuleBasedStateMachine):
    """The ledger against the far end, at any interleaving; one law: never more than a frame beyond the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.delay = 0

    @initialize(delay_ms=st.integers(0, 150), probed=st.booleans())
    def begin(self, delay_ms: int, probed: bool) -> None:
        self.delay = delay_ms * 8
        self._new_stream()
        if probed:
            self.mark(0)
            self.advance(3 * self.delay + 800)

    def _new_stream(self) -> None:
        self.ledger = Playout()
        self.ledger.out = Outflow(careful_trip_s=LONGEST_TRIP_S)  # one that can be copied
        self.down, self.up, self.buffer = Link(self.delay), Link(self.delay), Buffer()
        self.names: set[str] = set()
        self.starts = [0]
        self.lose = 0
        self.late = 0
        self.cleared = 0
        self.began = self.now

    @property
    def seconds(self) -> float:
        return self.now / BYTES_PER_S

    # ---- what the bridge does

    @rule(n=st.integers(1, 4000))
    def accept(self, n: int) -> None:
        self.ledger.accept(n, self.seconds)

    @precondition(lambda self: self.ledger.accepted > self.ledger.sent)
    @rule(share=st.floats(0, 1), jitter=jitters)
    def send(self, share: float, jitter: int) -> None:
        start = self.ledger.sent
        n = max(1, int((self.ledger.accepted - start) * share))
        self.ledger.send(n, self.seconds)
        self.down.send(self.now, ("media", (start, start + n)), jitter)

    @rule(n=st.integers(1, 8000), jitter=jitters, marked=st.booleans())
    def pass_on(self, n: int, jitter: int, marked: bool) -> None:
        if self.ledger.accepted == self.ledger.sent:
            self._in_one_step(n, jitter)
        else:
            self.accept(n)
            self.send(1.0, jitter)
        if marked:
            self.mark(0)

    def _in_one_step(self, n: int, jitter: int) -> None:
        """Accepting and sending at once is the same as both, and nothing happens when it does not fit."""
        twin = deepcopy(self.ledger)
        lead = n + self.ledger.in_flight(self.seconds)
        assert self.ledger.pass_on(n, lead - 1, self.seconds) == -1
        assert vars(self.ledger) == vars(twin)
        start = self.ledger.sent
        twin.accept(n, self.seconds)
        assert self.ledger.pass_on(n, lead, self.seconds) == twin.send(n, self.seconds)
        assert vars(self.ledger) == vars(twin)
        self.down.send(self.now, ("media", (start, start + n)), jitter)

    @rule(jitter=jitters)
    def mark(self, jitter: int) -> None:
        name = self.ledger.mark(self.seconds)
        assert name not in self.names
        self.names.add(name)
        self.down.send(self.now, ("mark", name), jitter)

    @rule(jitter=jitters)
    def barge_in(self, jitter: int) -> None:
        unheard = self.ledger.accepted > self._truly_acknowledged()
        cut = self.ledger.clear(self.seconds)
        assert cut is not None or not unheard
        if cut is not None:
            self.starts.append(self.ledger.accepted)
            self.down.send(self.now, ("clear", None), jitter)

    # ---- what happens out there

    @rule()
    def lose_the_next_echo(self) -> None:
        self.lose += 1

    @rule(samples=st.integers(1, 8000))
    def delay_the_next_echo(self, samples: int) -> None:
        self.late = samples

    @rule(samples=st.integers(200, 2000), tail=st.integers(1, 160))
    def let_it_sound(self, samples: int, tail: int) -> None:
        self.pass_on(samples + 1200, 0, marked=True)
        self.pass_on(samples, 0, marked=False)
        self.advance(samples + 2 * self.delay + tail)

    @rule(samples=st.integers(1, 4000))
    def advance(self, samples: int) -> None:
        end = self.now + samples
        while True:
            due = [at for at in (self.down.next_at, self.up.next_at, self.buffer.next_at) if at is not None]
            self.now = min([*due, end])
            if not [at for at in due if at <= end]:
                break
            self._step()
        self._echo(self.buffer.advance(self.now))

    @precondition(lambda self: self.now - self.began > 16_000)
    @rule(jitter=jitters)
    def hang_up(self, jitter: int) -> None:
        """The caller hangs up: Twilio plays no more, and we learn of it a trip later."""
        self.buffer.advance(self.now)
        self.buffer.clear(self.now)
        self.now += self.delay + jitter
        self.ledger.stop(self.seconds)
        # A clear that the end overtook is not judged: its cut may count one trip too much.
        self.never_beyond_the_truth()
        self._new_stream()

    def _step(self) -> None:
        self._echo(self.buffer.advance(self.now))
        if self.down.next_at == self.now:
            kind, what = self.down.take()
            if kind == "media":
                assert isinstance(what, tuple)
                self.buffer.media(self.now, *what)
            elif kind == "mark":
                self.buffer.mark(self.now, str(what))
            else:
                self._echo(self.buffer.clear(self.now))
                self.cleared += 1
        elif self.up.next_at == self.now:
            self.ledger.echo(str(self.up.take()[1]), self.seconds)

    def _echo(self, marks: list[tuple[int, str]]) -> None:
        for at, name in marks:
            if self.lose:
                self.lose -= 1
                continue
            late, self.late = self.late, 0
            self.up.send(at, ("mark", name), late)

    @precondition(lambda self: self.lose == 0)
    @rule()
    def wait_for_the_marks(self) -> None:
        if self.ledger.accepted > self.ledger.sent:
            self.send(1.0, 0)
        self.mark(0)
        while any(at is not None for at in (self.down.next_at, self.up.next_at, self.buffer.next_at)):
            self.advance(800)

        assert not self.ledger.has_unheard
        assert self._truth(-1) == self.ledger.heard(self.starts[-1], self.ledger.accepted, self.seconds)
        assert self.ledger.position(self.seconds) == self.ledger.sent == self.ledger.acknowledged

    # ---- the law

    def _truth(self, generation: int) -> int:
        ends = [*self.starts[1:], self.ledger.accepted]
        return self.buffer.heard(self.starts[generation], ends[generation])

    def _truly_acknowledged(self) -> int:
        return self.starts[-1] + self._truth(-1)

    @invariant()
    def never_beyond_the_truth(self) -> None:
        self._echo(self.buffer.advance(self.now))
        ends = [*self.starts[1:], self.ledger.accepted]
        heard = [self.ledger.heard(start, end, self.seconds) for start, end in zip(self.starts, ends, strict=True)]
        # What plays until a clear arrives is counted when it is sent: then the truth is still to come.
        judged = [*range(self.cleared), len(heard) - 1]

        assert [g for g in judged if heard[g] > self._truth(g) + FRAME] == []
        assert sum(heard) == self.ledger.heard_total(self.seconds)
        assert self.ledger.acknowledged <= self._truly_acknowledged()
        assert self.ledger.position(self.seconds) <= self.ledger.sent <= self.ledger.accepted


TestListening = Listening.TestCase
TestListening.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)


def playing(*, trip_s: float = 0.0) -> Playout:
    """A ledger that knows the network and has one second of audio out since 10.0."""
    ledger = Playout()
    ledger.echo(ledger.mark(1.0), 1.0 + 2 * trip_s)
    ledger.accept(8000, 10.0)
    ledger.send(8000, 10.0)
    return ledger


def test_marks_are_unique_over_generations():
    ledger = playing()
    names = []
    for _ in range(3):
        names += [ledger.mark(10.1), ledger.mark(10.1)]
        ledger.accept(1, 10.1)
        ledger.clear(10.1)

    assert len(set(names)) == len(names)
    assert [name.partition(":")[0] for name in names] == ["g0", "g0", "g1", "g1", "g2", "g2"]


@pytest.mark.parametrize(
    ("names", "played", "flushed", "unknown"),
    [
        pytest.param(["g0:2"], 2, 0, 0, id="played"),
        pytest.param(["g0:2", "g0:2"], 2, 0, 1, id="twice"),
        pytest.param(["responsePart"], 1, 0, 1, id="not-ours"),
    ],
)
def test_an_echo_counts_once_and_only_if_it_is_ours(names, played, flushed, unknown):
    ledger = playing()
    ledger.mark(10.0)
    for name in names:
        ledger.echo(name, 11.0)

    assert (ledger.marks_played, ledger.marks_flushed, ledger.marks_unknown) == (played, flushed, unknown)


def test_an_echo_of_an_older_generation_proves_nothing():
    ledger = playing()
    name = ledger.mark(10.0)
    cut = ledger.clear(10.25)
    ledger.accept(8000, 10.25)
    ledger.send(8000, 10.25)

    assert cut is not None
    assert (cut.position, cut.flushed, cut.dropped) == (2000, 6000, 0)
    assert not ledger.echo(name, 10.25)
    assert (ledger.acknowledged, ledger.marks_flushed) == (8000, 1)
    assert ledger.heard(8000, 16000, 10.25) == 0


def test_what_was_heard_is_known_over_generations():
    ledger = playing()
    ledger.clear(10.25)
    ledger.accept(8000, 11.0)
    ledger.send(4000, 11.0)
    ledger.clear(11.375)
    ledger.accept(800, 12.0)
    ledger.send(800, 12.0)

    assert [ledger.heard(0, 8000, 13.0), ledger.heard(8000, 16000, 13.0), ledger.heard(16000, 16800, 13.0)] == [
        2000,
        3000,
        800,
    ]
    assert ledger.heard(1000, 9000, 13.0) == 1000 + 1000
    assert ledger.heard(2000, 8000, 13.0) == 0
    assert ledger.heard_total(13.0) == ledger.heard(0, 16800, 13.0) == 5800


@pytest.mark.parametrize("trip_s", [0.0, 0.075, 0.2])
def test_the_cut_is_where_playback_is_when_the_clear_arrives(trip_s):
    ledger = playing(trip_s=trip_s)
    cut = ledger.clear(10.25)

    assert cut is not None
    assert cut.position == 2000  # audio and clear take the same way


def test_nothing_is_cleared_when_every_byte_is_proved():
    ledger = playing()
    ledger.echo(ledger.mark(10.0), 11.0)

    assert ledger.clear(11.0) is None
    assert ledger.generation == 0


def test_a_clear_at_the_very_end_of_unproved_audio_is_sent_and_cuts_nothing():
    ledger = playing()
    cut = ledger.clear(11.0)

    assert cut is not None
    assert (cut.flushed, ledger.heard(0, 8000, 11.0)) == (0, 8000)


def test_a_late_echo_holds_no_audio_back():
    ledger = playing()
    name = ledger.mark(10.0)
    ledger.accept(8000, 10.9)
    ledger.send(8000, 10.9)
    ledger.echo(name, 11.6)

    assert ledger.position(11.6) == 8000  # what is proved, and no more
    assert ledger.in_flight(11.6) == 16000 - round(1.6 * 8000)


def test_a_lost_echo_is_noticed_when_it_is_overdue():
    ledger = playing(trip_s=0.05)
    name = ledger.mark(10.0)

    assert ledger.unproved_s(11.05) == 0.0
    assert ledger.unproved_s(11.85) == pytest.approx(0.75)
    ledger.echo(name, 12.0)
    assert ledger.unproved_s(12.0) == 0.0
