"""Whole text frames, by the compiled reader and framer and by those in Python: the same, byte for byte."""

import gc
import os
import runpy
import weakref
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from archer_bridge.adapters import frames
from archer_bridge.adapters.frames import LARGEST, Framer, FrameReader
from tests.support.wire import CLOSE, CONT, PING, TEXT, frame, text

TWINS: list[tuple[Any, Any]] = [(FrameReader, Framer)]
if frames.kernel is not None:
    TWINS.append((frames.kernel.Reader, frames.kernel.Framer))
each = pytest.mark.parametrize(("reader", "framer"), TWINS, ids=["python", *["compiled"] * (len(TWINS) - 1)])
any_frames = st.one_of(
    st.builds(lambda payload: (TEXT, payload, True), st.one_of(st.binary(max_size=200), st.text().map(str.encode))),
    st.tuples(st.sampled_from([TEXT, CONT, Opcode.BINARY]), st.binary(max_size=200), st.booleans()),
    st.tuples(st.sampled_from([PING, CLOSE]), st.binary(max_size=100), st.just(True)),
)


def read(reader: Any, data: bytes, *, masked: bool, limit: int = LARGEST) -> tuple[int, list[bytes]]:
    """Return how many bytes were taken, and what the sink got."""
    messages: list[bytes] = []
    rests: list[bytes] = []
    reader(messages.append, pytest.fail, rests.append, masked=masked, limit=limit).received(data)
    assert len(rests) <= 1
    assert data.endswith(rest := b"".join(rests))
    assert rest or not rests, "nothing is left to nobody"
    return len(data) - len(rest), messages


@each
@pytest.mark.parametrize("masked", [True, False])
def test_reading_stops_at_what_is_not_whole(reader: Any, framer: Any, masked: bool) -> None:
    first = text("one", masked=masked) + text("two" * 100, masked=masked)
    tails = {
        "cut in two": text("three", masked=masked)[:-1],
        "cut in its length": text("three" * 50, masked=masked)[:3],
        "one byte": b"\x81",
        "wrongly masked": text("x", masked=not masked),
        "a control frame": frame(PING, b"x", masked=masked),
        "a fragment": frame(TEXT, b"x", fin=False, masked=masked),
        "binary": frame(Opcode.BINARY, b"x", masked=masked),
        "too large": text("x" * 1001, masked=masked),
        "eight bytes of length": text("x" * 70_000, masked=masked),
        "not UTF-8": text(b"abc\xff", masked=masked),
        "a surrogate": text(b"\xed\xa0\x80", masked=masked),
    }
    for what, tail in tails.items():
        assert read(reader, first + tail, masked=masked, limit=1000) == (len(first), [b"one", b"two" * 100]), what


@each
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 125, 126, 160, 255, 256, 65535])
@pytest.mark.parametrize("masked", [True, False])
def test_what_is_framed_is_read_again(reader: Any, framer: Any, masked: bool, size: int) -> None:
    message = ("aé" * size).encode()[:size].decode(errors="ignore").encode()
    sent: list[bytes] = []

    framer(sent.append, pytest.fail, os.urandom if masked else None).write(message)

    assert read(reader, sent[0], masked=masked) == (len(sent[0]), [message])


@each
@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_are_those_of_the_library(reader: Any, framer: Any, size: int) -> None:
    sent: list[bytes] = []
    key = b"\x11\x82\xc3\x04"

    framer(sent.append, pytest.fail, None).write(b"x" * size)
    framer(sent.append, pytest.fail, lambda size: key * (size // 4)).write(b"x" * size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("websockets.frames.secrets.token_bytes", lambda _: key)
        assert sent == [Frame(TEXT, b"x" * size).serialize(mask=masked) for masked in (False, True)]


@each
def test_each_mask_is_used_once(reader: Any, framer: Any) -> None:
    numbers, sent = count(), list[bytes]()
    one = framer(
        sent.append, pytest.fail, lambda size: b"".join(next(numbers).to_bytes(4, "big") for _ in range(size // 4))
    )

    for _ in range(1000):
        one.write(b"")

    assert [int.from_bytes(data[2:6], "big") for data in sent] == list(range(1000))


@each
def test_what_cannot_be_sent_waits(reader: Any, framer: Any) -> None:
    sent, waits = list[bytes](), list[tuple[bytes, bool]]()
    one = framer(sent.append, lambda *waiting: waits.append(waiting), None)

    one.is_open = False
    one.write(b"a", droppable=True)
    one.write(b"b")
    one.is_open = True
    one.write(b"c", droppable=True)

    assert (waits, sent) == ([(b"a", True), (b"b", False)], [text("c", masked=False)])


@each
def test_a_sink_that_breaks_is_told_and_reading_stops_after_its_message(reader: Any, framer: Any) -> None:
    errors, error, data = list[BaseException](), LookupError("ours"), text("one", masked=False)

    def sink(message: bytes) -> None:
        raise error

    left = list[bytes]()
    reader(sink, errors.append, left.append, masked=False, limit=100).received(data * 2)
    assert left == [data]
    assert errors == [error]
    assert error.__traceback__ is not None  # it is raised again where the call is run


@each
def test_what_is_no_exception_goes_through(reader: Any, framer: Any) -> None:
    def sink(message: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader(sink, pytest.fail, pytest.fail, masked=False, limit=100).received(text("one", masked=False))


@each
def test_errors_of_what_they_call_go_through(reader: Any, framer: Any) -> None:
    def fails(*_: object) -> Any:
        raise OSError("gone")

    for one in (framer(fails, pytest.fail, None), framer(pytest.fail, pytest.fail, fails)):
        with pytest.raises(OSError, match="gone"):
            one.write(b"x")


def test_a_call_that_is_wrong_is_refused() -> None:
    for reader, framer in TWINS[1:]:
        one = framer(pytest.fail, pytest.fail, None)
        for arguments, named in (
            ((), {}),
            ((b"x", True, 1), {}),
            ((b"x", True), {"droppable": True}),
            ((b"x",), {"other": True}),
            (("text",), {}),
        ):
            with pytest.raises(TypeError):
                one.write(*arguments, **named)
        with pytest.raises(TypeError):
            reader(pytest.fail, pytest.fail, pytest.fail, masked=True, limit=1).received("text")
        with pytest.raises(ValueError, match="less than one key"):
            framer(pytest.fail, pytest.fail, lambda _: b"").write(b"x")


def test_a_kernel_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = pytest.importorskip("archer_bridge.adapters._frames", reason="the kernel was not compiled here")
    monkeypatch.setattr(kernel, "VERSION", frames.KERNEL_VERSION + 1)
    fresh = runpy.run_path(frames.__file__)

    assert frames.make_reader is kernel.Reader
    assert (fresh["make_reader"], fresh["make_framer"]) == (fresh["FrameReader"], fresh["Framer"])


@each
def test_circles_are_collected(reader: Any, framer: Any) -> None:
    class Owner:
        def take(self, *_: object) -> None: ...

    owner = Owner()
    owner.parts = (  # type: ignore[attr-defined]
        reader(owner.take, owner.take, owner.take, masked=True, limit=1), framer(owner.take, owner.take, None)
    )  # fmt: skip
    gone = weakref.ref(owner)

    del owner
    gc.collect()

    assert gone() is None


@pytest.mark.skipif(len(TWINS) == 1, reason="the kernel was not compiled here: no C compiler")
@given(st.lists(any_frames, max_size=6), st.binary(max_size=12), st.booleans(), st.integers(0, 300))
@example([(TEXT, b"\xc3\xa9", True)], b"\x81", True, 300)
def test_both_read_the_same(parts: list[tuple[Opcode, bytes, bool]], tail: bytes, masked: bool, limit: int) -> None:
    data = b"".join(frame(opcode, payload, fin=fin, masked=masked) for opcode, payload, fin in parts) + tail

    ours, compiled = (read(reader, data, masked=masked, limit=limit) for reader, _ in TWINS)

    assert ours == compiled


@pytest.mark.skipif(len(TWINS) == 1, reason="the kernel was not compiled here: no C compiler")
@given(st.binary(max_size=300), st.booleans())
def test_both_read_the_same_of_anything(data: bytes, masked: bool) -> None:
    for start in (b"", b"\x81", b"\x81\xfe", b"\x81\x7e"):
        ours, compiled = (read(reader, start + data, masked=masked) for reader, _ in TWINS)
        assert ours == compiled
