"""Recordings on disk: what they are called, and deleting those that are too old."""

import os
import re
import stat
from pathlib import Path

NAME = re.compile(r"CA[0-9a-fA-F]{32}(-\d+)?\.wav")
"""A call's id, and a number if the call has more than one recording."""
DAY_S = 86_400


def new_path(folder: Path, call_sid: str) -> Path:
    """Return where the next recording of a call goes: each of its streams has its own."""
    path, number = folder / f"{call_sid}.wav", 1
    while os.path.lexists(path):  # a planted link, wherever it leads, takes a name like a file
        number += 1
        path = folder / f"{call_sid}-{number}.wav"
    return path


def purge(folder: Path, older_than_days: float, now: float) -> list[Path]:
    """Delete recordings last written more than so many days before `now`; return which, sorted.

    Only plain files directly in `folder` that are named like a recording; links are neither followed nor deleted.
    A folder that does not exist holds none.

    Args:
        folder: where recordings are.
        older_than_days: their age; 0 deletes all.
        now: seconds since the epoch.

    Raises:
        OSError: the folder cannot be read, or a file in it cannot be deleted.
    """
    if not folder.is_dir():
        return []
    gone = []
    for path in sorted(folder.iterdir()):
        if not NAME.fullmatch(path.name):
            continue
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode) and now - facts.st_mtime > older_than_days * DAY_S:
            path.unlink(missing_ok=True)
            gone.append(path)
    return gone
