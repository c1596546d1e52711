from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from archer_bridge.adapters.sql.types import UtcDateTime, dump_json, load_json

DIALECTS: list[Dialect] = [sqlite.dialect(), postgresql.dialect()]  # type: ignore[no-untyped-call]  # SQLAlchemy's
ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
INSTANTS = st.datetimes(datetime(1970, 1, 3), datetime(9000, 1, 1), timezones=ZONES)


@given(INSTANTS, st.sampled_from(DIALECTS))
def test_an_instant_comes_back_as_the_same_instant_in_utc(instant: datetime, dialect: Dialect) -> None:
    column = UtcDateTime()

    stored = column.process_result_value(column.process_bind_param(instant, dialect), dialect)

    assert stored == instant
    assert stored.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; expected an aware datetime"):
        UtcDateTime().process_bind_param(datetime(2026, 11, 22), DIALECTS[0])


def test_nothing_stays_nothing() -> None:
    column = UtcDateTime()

    assert column.process_bind_param(None, DIALECTS[0]) is None
    assert column.process_result_value(None, DIALECTS[0]) is None
    assert load_json(None) == {}


def test_json_is_canonical_and_takes_any_value() -> None:
    assert dump_json({"b": "é\ud83d", "a": {2}}) == '{"a":"{2}","b":"\\u00e9\\ud83d"}'


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="stored JSON is a list, expected an object"):
        load_json("[]")
