"""A database URL, understood once for every driver that opens it."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from archer_bridge.errors import StoreError

SCHEMES = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "postgresql+asyncpg": "postgresql",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is; `file` is set for SQLite only."""

    dialect: str
    url: URL
    file: Path | None

    def __str__(self) -> str:
        """Return what people and PostgreSQL's own tools call it, without the password."""
        if self.file is not None:
            return str(self.file)
        query = {"sslmode" if name == "ssl" else name: value for name, value in self.url.query.items()}
        return self.url.set(drivername="postgresql", query=query).render_as_string(hide_password=True)

    def require_file(self) -> Path:
        """Return the SQLite file; whoever asks has checked `dialect`."""
        assert self.file is not None, "only SQLite has a file"
        return self.file

    def writer_url(self) -> URL:
        """Return the URL of the writer: the plain driver on its own thread for SQLite, asyncpg else."""
        if self.file is None:
            return self.url
        return URL.create("sqlite+pysqlite", database=str(self.file))

    def reader_url(self, driver: str = "aiosqlite") -> URL:
        """Return the URL of the readers; SQLite opens the file read-only, with this driver."""
        if self.file is None:
            return self.url
        name = f"file:{quote(str(self.file.absolute()))}"
        return URL.create(f"sqlite+{driver}", database=name, query={"mode": "ro", "uri": "true"})


def parse_address(url: str) -> Address:
    """Understand a database URL.

    Raises:
        StoreError: for an unknown scheme, or a SQLite database that is not a file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "the database URL cannot be read; expected sqlite:///FILE or postgresql://HOST/NAME"
        ) from error
    dialect = SCHEMES.get(parsed.drivername)
    if dialect is None:
        raise StoreError(
            f"database scheme {parsed.drivername!r} is not supported; expected sqlite:///FILE or postgresql://HOST/NAME"
        )
    if dialect == "postgresql":
        return Address(dialect, _for_asyncpg(parsed), None)
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StoreError(
            f"SQLite database {parsed.database or ''!r} is not a file path: the record must outlive the process "
            "and is read and written on two connections; expected sqlite:///FILE"
        )
    return Address(dialect, parsed, Path(parsed.database))


def _for_asyncpg(url: URL) -> URL:
    """Rename libpq's `sslmode`, which hosted databases put in their URLs, to what asyncpg calls it."""
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)
