"""A stereo telephone WAV file that is valid at every instant, written off the event loop.

The header's two lengths are rewritten after each write, so that a process killed in between leaves a readable file
that is short by the last write at most. Mu-law is WAVE format 7, PCM format 1 (RFC 2361; Microsoft RIFF).
"""

import os
import struct
import threading
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # in the standard library until Python 3.13, audioop-lts after
    import audioop

import structlog

log = structlog.get_logger(__name__)

Encoding = Literal["mulaw", "pcm16"]
RATE = 8000
CHANNELS = 2
MOST_WAITING = 4 * 1024 * 1024
"""Bytes of one call that may wait for the disk, four minutes; a disk that is further behind loses the recording."""
GATHER_S = 0.1
"""What comes within this is written in one go: waking the thread costs ten times what writing half a second does."""


class Writer:
    """One thread for every recording: a slow disk delays recordings, never calls."""

    def __init__(self, gather_s: float = GATHER_S) -> None:
        self._gather_s = gather_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recordings")
        self._work: deque[Callable[[], object]] = deque()
        self._is_due = False
        self._hurry = threading.Event()

    def do(self, work: Callable[[], object], *, at_once: bool = False) -> None:
        """Do this in the thread, soon or at once, after everything before it."""
        self._work.append(work)
        if not self._is_due:
            self._is_due = True
            self._thread.submit(self._do_all)
        if at_once:
            self._hurry.set()

    def wait(self) -> None:
        """Return once everything so far is done; blocks."""
        is_done = threading.Event()
        self.do(is_done.set, at_once=True)
        is_done.wait()

    def _do_all(self) -> None:
        self._hurry.wait(self._gather_s)
        self._is_due = False  # from here on new work is for the next time, though it may be done now
        self._hurry.clear()
        while self._work:
            try:
                self._work.popleft()()
            except Exception as error:  # the other recordings go on
                log.error("recording_failed", path="", error=f"{type(error).__name__}: {error}")


_writer = Writer()


def header(encoding: Encoding, data_bytes: int) -> bytes:
    """Return the 58-byte header of a file with this much audio."""
    tag, width = (7, 1) if encoding == "mulaw" else (1, 2)
    frame = CHANNELS * width
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, tag, CHANNELS, RATE, RATE * frame, frame, 8 * width, 0)
    fact = struct.pack("<4sII", b"fact", 4, data_bytes // frame)
    body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", data_bytes)
    return struct.pack("<4sI", b"RIFF", len(body) + data_bytes) + body


HEADER_BYTES = len(header("mulaw", 0))


class WavFile:
    """One recording; `write` and `close` return at once.

    What goes wrong stops this recording, with one line in the log and one call of `failed`, from the writing thread.
    """

    def __init__(self, path: Path, encoding: Encoding, failed: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._encoding: Encoding = encoding
        self._tell_failed = failed
        self._file: int | None = None
        self._bytes = 0
        self._has_failed = False
        self._handed_over = 0
        self._taken = 0
        _writer.do(partial(self._guarded, self._open), at_once=True)  # a kill from here on leaves a file to read

    def write(self, sample: int, stereo: bytes) -> None:
        """Put interleaved mu-law sample pairs at this sample; no later than one past the end so far."""
        if self._handed_over - self._taken > MOST_WAITING:
            self._do(self._give_up)
            return
        self._handed_over += len(stereo)
        self._do(partial(self._write, sample, stereo))

    def close(self) -> None:
        """Finish the file."""
        self._do(self._close)

    def _do(self, work: Callable[[], None]) -> None:
        _writer.do(partial(self._guarded, work))

    @staticmethod
    def wait() -> None:
        """Return once everything handed over so far, by all recordings, is written; blocks."""
        _writer.wait()

    # ---- in the writing thread -------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            work()
        except Exception as error:  # a future nobody looks at would hide it
            self._has_failed = True
            log.error("recording_failed", path=str(self.path), error=f"{type(error).__name__}: {error}")
            self._close()
            self._tell_failed(f"{type(error).__name__}: {error}")

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # EXCL: what is there already is neither overwritten nor, if it is a link, followed.
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        os.write(self._file, header(self._encoding, 0))

    def _write(self, sample: int, stereo: bytes) -> None:
        assert self._file is not None
        self._taken += len(stereo)
        is_mulaw = self._encoding == "mulaw"
        data = stereo if is_mulaw else audioop.ulaw2lin(stereo, 2)
        start = sample * CHANNELS * (1 if is_mulaw else 2)
        view, at = memoryview(data), HEADER_BYTES + start
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        if start + len(data) > self._bytes:
            self._bytes = start + len(data)
            os.pwrite(self._file, header(self._encoding, self._bytes), 0)

    def _give_up(self) -> None:
        raise OSError(f"the disk is more than {MOST_WAITING} bytes behind")

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)
