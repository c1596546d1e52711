"""A process that records a call which never ends, from the recording's parts alone; made to be killed.

python -m tests.support.endless_recording FILE mulaw|pcm16
"""

import itertools
import sys
import time
from pathlib import Path

from archer_bridge.adapters import wav_file
from archer_bridge.calls.core_ports import CALLER
from archer_bridge.calls.recorder import Recorder

SPEED = 10
"""How much faster than real time."""


def record(path: Path, encoding: str) -> None:
    """Print how long the call is, in seconds, after every frame."""
    wav_file._writer = wav_file.Writer(wav_file.GATHER_S / SPEED)
    file = wav_file.WavFile(path, "mulaw" if encoding == "mulaw" else "pcm16")
    recorder = Recorder(file.write, file.close)
    began = time.monotonic()
    for number in itertools.count():
        time.sleep(max(0.0, began + number / 50 / SPEED - time.monotonic()))
        now = (number + 1) / 50
        recorder.note((CALLER, 20 * number, bytes([number % 256]) * 160, number / 50))
        if number % 25 == 24:
            recorder.advance(now)
        print(now, flush=True)


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2])
