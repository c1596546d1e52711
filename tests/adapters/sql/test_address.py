from pathlib import Path
from urllib.parse import quote

import pytest

from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.address import parse_address
from archer_bridge.errors import StoreError


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///var/archer.db", Path("var/archer.db")),
        ("sqlite+aiosqlite:///var/archer.db", Path("var/archer.db")),
        ("sqlite:////srv/a%20b/x.db", Path("/srv/a b/x.db")),
    ],
)
def test_sqlite_is_a_file(url: str, file: Path) -> None:
    address = parse_address(url)

    assert (address.dialect, address.file) == ("sqlite", file)
    assert str(address) == str(file)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_postgresql_is_reached_by_asyncpg_and_prints_no_password(scheme: str) -> None:
    address = parse_address(f"{scheme}://archer:hunter2@db.example/calls?sslmode=require")

    assert (address.dialect, address.file) == ("postgresql", None)
    assert str(address) == "postgresql://archer:***@db.example/calls?sslmode=require"
    assert address.writer_url().render_as_string(hide_password=False) == (
        "postgresql+asyncpg://archer:hunter2@db.example/calls?ssl=require"
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("sqlite://", "is not a file path", id="memory-without-name"),
        pytest.param("sqlite:///:memory:", "':memory:' is not a file path", id="memory"),
        pytest.param("sqlite:///file:x?mode=memory", "is not a file path", id="uri"),
        pytest.param("mysql://host/name", "database scheme 'mysql' is not supported", id="mysql"),
        pytest.param("archer.db", "cannot be read; expected sqlite:///FILE or postgresql://HOST/NAME", id="bare"),
    ],
)
def test_anything_else_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(StoreError) as refused:
        parse_address(url)

    assert words in str(refused.value)


async def test_a_file_name_with_url_characters_is_opened_as_it_is(tmp_path: Path) -> None:
    name = "50% #1?.db"

    async with await open_store(f"sqlite:///{tmp_path}/{quote(name)}") as store:
        assert await store.list_calls() == []

    assert {name, f"{name}.lock"} == {file.name for file in tmp_path.iterdir()}
