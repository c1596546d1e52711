"""What only PostgreSQL can get wrong."""

import pytest

from archer_bridge.adapters.sql import open_store, upgrade
from archer_bridge.errors import StoreUnavailable
from tests.adapters.sql.conftest import Database


@pytest.mark.parametrize("options", [{}, {"read_only": True}], ids=["writer", "reader"])
async def test_a_server_that_is_not_there_is_unavailable(options: dict[str, bool]) -> None:
    url = "postgresql://archer@127.0.0.1:1/calls"

    with pytest.raises(StoreUnavailable, match=r"cannot be read: .*Connect"):
        await open_store(url, **options)  # type: ignore[arg-type]  # the table holds only booleans
    with pytest.raises(StoreUnavailable, match="the schema cannot be upgraded: "):
        await upgrade(url)


async def test_the_version_is_told(postgres_database: Database) -> None:
    async with await open_store(postgres_database.url) as store:
        assert store.database_version.startswith("PostgreSQL ")
