"""Look for secrets in every file of the work tree: `python -m tests.security.secret_scan [--update]`.

detect-secrets finds them, `.secrets.baseline` (its own format, without line numbers) says which finds are known to be
none: made-up keys of tests and simulators. Exit code 1 for a new one. `--update` takes today's finds into the
baseline; read its diff before committing it. Files that did not change since the last run are not read again.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / ".secrets.baseline"
CACHE = ROOT / "var" / "secret_scan.json"
NOT_TEXT = {".svg", ".wav", ".png", ".gif", ".ico", ".db"}
NOT_READ = {"constraints.txt", ".secrets.baseline"}
"""Nothing but digests."""
NOT_READ_UNDER = ("tests/fuzz/corpus/",)
"""Bytes that look like anything."""

Finds = dict[str, list[list[str]]]
"""File name: [type, SHA-1 of the secret] of each find, sorted."""


def files() -> list[str]:
    """Return the tracked and the new files, relative to the root."""
    command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return sorted(
        name
        for name in listed.split("\0")
        if name
        and name not in NOT_READ
        and not name.startswith(NOT_READ_UNDER)
        and Path(name).suffix not in NOT_TEXT
        and (ROOT / name).is_file()
    )


def scan(names: list[str], settings: dict[str, Any], cache: dict[str, list[list[str]]]) -> tuple[Finds, dict[str, Any]]:
    """Return the finds, and the cache for the next run: the finds by the digest of name, settings and content."""
    kept: dict[str, Any] = {}
    finds: Finds = {}
    salt = json.dumps(settings, sort_keys=True).encode()
    with transient_settings(settings):
        for name in names:
            key = hashlib.sha256(b"\0".join([salt, name.encode(), (ROOT / name).read_bytes()])).hexdigest()
            if key in cache:
                found = cache[key]
            else:
                found = sorted([secret.type, secret.secret_hash] for secret in scan_file(str(ROOT / name)))
            kept[key] = found
            if found:
                finds[name] = found
    return finds, kept


def known(baseline: dict[str, Any]) -> Finds:
    """Return the finds that the baseline has."""
    return {
        name: sorted([item["type"], item["hashed_secret"]] for item in items)
        for name, items in baseline["results"].items()
    }


def new_finds(finds: Finds, before: Finds) -> list[str]:
    """Return one sentence for each find that is not in the baseline."""
    return [
        f"{name}: {kind}; if it is none, say so: python -m tests.security.secret_scan --update"
        for name, found in finds.items()
        for kind, digest in found
        if [kind, digest] not in before.get(name, [])
    ]


def _cache() -> dict[str, Any]:
    try:
        cache: dict[str, Any] = json.loads(CACHE.read_text())
        return cache
    except (OSError, ValueError):
        return {}  # the first run here


def main() -> int:
    """Scan, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    baseline = json.loads(BASELINE.read_text())
    settings = {name: baseline[name] for name in ("plugins_used", "filters_used")}
    finds, cache = scan(files(), settings, _cache())
    CACHE.parent.mkdir(exist_ok=True)
    CACHE.write_text(json.dumps(cache))
    if options.update:
        results = {
            name: [{"type": kind, "filename": name, "hashed_secret": digest} for kind, digest in found]
            for name, found in finds.items()
        }
        BASELINE.write_text(json.dumps(baseline | {"results": results}, indent=2) + "\n")
    problems = [] if options.update else new_finds(finds, known(baseline))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
