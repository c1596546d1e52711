"""A disk as a power cut leaves it: what was flushed is there, of what was not, any part may be."""

import random
import shutil
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
WRITE, FLUSH, TRUNCATE, REMOVE = 1, 2, 3, 4
_HEAD = struct.Struct("=QQQQ")


def no_compiler() -> str:
    """Return why the shim cannot be built; empty when it can."""
    return "" if shutil.which("cc") else "there is no C compiler (cc)"


def build(name: str, folder: Path) -> Path:
    """Compile one of the libraries beside this file, to be preloaded."""
    source, library = Path(__file__).with_name(name), folder / f"{name}.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    return library


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a process did to one file."""

    kind: int
    name: str
    at: int
    data: bytes


def read_journal(path: Path) -> list[Change]:
    """Return the changes in their order."""
    raw, changes, at = path.read_bytes(), [], 0
    while at + _HEAD.size <= len(raw):
        kind, name_size, offset, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        name = raw[at : at + name_size].decode()
        at += name_size
        changes.append(Change(kind, name, offset, raw[at : at + size]))
        at += size
    return changes


class Disk:
    """Takes changes; gives images of what could be left if the power went now."""

    def __init__(self) -> None:
        self._safe: dict[str, bytearray] = {}
        self._unsafe: defaultdict[str, list[Change]] = defaultdict(list)

    def take(self, change: Change) -> None:
        """Carry one change out; a removal is safe at once, which is the worse case for what needs the file."""
        if change.kind == REMOVE:
            self._safe.pop(change.name, None)
            self._unsafe.pop(change.name, None)
        elif change.kind == FLUSH:
            for waiting in self._unsafe.pop(change.name, []):
                _apply(self._safe.setdefault(change.name, bytearray()), waiting)
            self._safe.setdefault(change.name, bytearray())
        else:
            self._unsafe[change.name].append(change)

    def after_power_cut(self, choose: random.Random) -> Iterator[tuple[str, bytes]]:
        """Yield each file as it may be found; unflushed writes are there, gone, or there in some sectors only."""
        luck = choose.choice((0.0, 0.5, 0.9))
        for name in {*self._safe, *self._unsafe}:
            image = bytearray(self._safe.get(name, b""))
            for change in self._unsafe.get(name, []):
                if change.kind == TRUNCATE:
                    if choose.random() < luck:
                        _apply(image, change)
                    continue
                for start in range(0, len(change.data), SECTOR):
                    if choose.random() < luck:
                        part = change.data[start : start + SECTOR]
                        _apply(image, Change(WRITE, name, change.at + start, part))
            yield name, bytes(image)


def _apply(image: bytearray, change: Change) -> None:
    if change.kind == TRUNCATE:
        del image[change.at :]
        image.extend(bytes(change.at - len(image)))
        return
    if len(image) < change.at:
        image.extend(bytes(change.at - len(image)))
    image[change.at : change.at + len(change.data)] = change.data
