"""The recording's file: readable after every write, off the event loop, and no trouble for the call."""

import os
import resource
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from archer_bridge.adapters import wav_file
from archer_bridge.adapters.wav_file import HEADER_BYTES, WavFile
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.support.wav import read_wav

STEREO = bytes(range(256)) * 4


def linear(data: bytes) -> bytes:
    return plan(MULAW_8K, PCM16_8K).build().feed(data)


@pytest.mark.parametrize(("encoding", "tag", "width"), [("mulaw", 7, 1), ("pcm16", 1, 2)])
def test_the_file_is_valid_after_every_write(encoding: wav_file.Encoding, tag: int, width: int, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "call.wav"
    file = WavFile(path, encoding)
    WavFile.wait()
    states = [read_wav(path)]
    for number in range(3):
        file.write(number * 512, STEREO)
        WavFile.wait()
        states.append(read_wav(path))
    file.close()
    WavFile.wait()

    assert [state.pairs for state in states] == [0, 512, 1024, 1536]
    assert {(state.tag, state.channels, state.rate, state.bits) for state in states} == {(tag, 2, 8000, 8 * width)}
    assert states[-1].data == (STEREO * 3 if width == 1 else linear(STEREO * 3))
    assert path.stat().st_size == HEADER_BYTES + len(states[-1].data)
    assert path.stat().st_mode & 0o777 == 0o600


def test_pcm16_is_read_by_the_standard_library(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "call.wav", "pcm16")
    file.write(0, STEREO)
    file.close()
    WavFile.wait()
    with wave.open(str(tmp_path / "call.wav")) as read:
        facts = (read.getnchannels(), read.getframerate(), read.getsampwidth(), read.getnframes())
        data = read.readframes(10_000)

    assert facts == (2, 8000, 2, 512)
    assert data == linear(STEREO)


def test_an_earlier_place_is_overwritten(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "call.wav", "mulaw")
    file.write(0, b"a" * 100)
    file.write(20, b"b" * 20)
    file.write(45, b"c" * 20)
    file.close()
    WavFile.wait()

    assert read_wav(tmp_path / "call.wav").data == b"a" * 40 + b"b" * 20 + b"a" * 30 + b"c" * 20


def is_a_file(folder: Path) -> Path:
    (folder / "taken").write_text("a file where the folder should be")
    return folder / "taken" / "call.wav"


def exists(folder: Path) -> Path:
    (folder / "call.wav").write_text("somebody's")
    return folder / "call.wav"


@pytest.mark.parametrize("trouble", [is_a_file, exists])
def test_what_cannot_be_opened_is_told_once(trouble: object, tmp_path: Path) -> None:
    path = trouble(tmp_path)  # type: ignore[operator]  # one of the functions above
    told: list[str] = []
    with capture_logs() as logs:
        file = WavFile(path, "mulaw", told.append)
        for number in range(5):
            file.write(number * 512, STEREO)
        file.close()
        WavFile.wait()

    assert [line["event"] for line in logs] == ["recording_failed"]
    assert len(told) == 1
    assert (tmp_path / path.relative_to(tmp_path).parts[0]).read_text() in {
        "a file where the folder should be",
        "somebody's",
    }


def test_a_full_disk_stops_the_recording_and_keeps_what_was_written(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: list[str] = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES + 1500, before[1]))
    try:
        with capture_logs() as logs:
            file = WavFile(tmp_path / "call.wav", "mulaw", told.append)
            for number in range(5):
                file.write(number * 512, STEREO)
            file.close()
            WavFile.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert [line["event"] for line in logs] == ["recording_failed"]
    assert len(told) == 1
    assert read_wav(tmp_path / "call.wav").data == STEREO
    assert file._file is None  # no descriptor is left open


def test_a_disk_that_stands_still_costs_bounded_memory(tmp_path: Path) -> None:
    told: list[str] = []
    pipe = tmp_path / "slow.wav"
    os.mkfifo(pipe)
    with capture_logs():
        wav_file._writer.do(pipe.read_bytes)  # the disk: nothing is written until the pipe is closed
        file = WavFile(tmp_path / "call.wav", "mulaw", told.append)
        for number in range(10):
            file.write(number * (1 << 19), bytes(1 << 20))
        pipe.write_bytes(b"")
        WavFile.wait()

    assert told == [f"OSError: the disk is more than {wav_file.MOST_WAITING} bytes behind"]
    assert read_wav(tmp_path / "call.wav").pairs == 5 << 19


def test_what_comes_close_together_wakes_the_thread_once_and_keeps_its_order() -> None:
    writer, done, wakings = wav_file.Writer(gather_s=3600.0), list[int](), list[int]()
    submit = writer._thread.submit

    def counted(work: Callable[[], None]) -> Future[None]:
        wakings.append(len(done))
        return submit(work)

    writer._thread.submit = counted  # type: ignore[assignment,method-assign]
    for number in range(100):
        writer.do(partial(done.append, number))
    writer.wait()  # for nothing that gathers
    first = list(done)
    writer.do(partial(done.append, 100), at_once=True)
    writer.wait()

    assert first == list(range(100))
    assert done == list(range(101))
    assert wakings[0] == 0
    assert wakings[1:] in ([100], [100, 101])  # by whether the thread was done before it was waited for


def test_one_that_raises_keeps_none_of_the_others_from_the_disk() -> None:
    writer, done = wav_file.Writer(), list[int]()
    with capture_logs() as logs:
        writer.do(partial(done.append, 1))
        writer.do(partial(divmod, 1, 0))
        writer.do(partial(done.append, 2))
        writer.wait()

    assert done == [1, 2]
    assert [(line["event"], line["error"]) for line in logs] == [
        ("recording_failed", "ZeroDivisionError: integer division or modulo by zero")
    ]


def test_three_kills_leave_three_readable_recordings(tmp_path: Path) -> None:
    for number, wait_s in enumerate([0.05, 0.25, 0.6]):
        path = tmp_path / f"{number}.wav"
        command = [sys.executable, "-m", "tests.support.endless_recording", str(path), "pcm16"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(wait_s)  # the kill comes at an instant that nothing in the child knows of
        child.kill()
        lines = [line for line in child.stdout if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        recorded = read_wav(path)
        with wave.open(str(path)) as read:
            frames = read.getnframes()

        assert recorded.pairs == frames
        assert abs(recorded.pairs / 8000 - float(lines[-1])) <= 1.0
