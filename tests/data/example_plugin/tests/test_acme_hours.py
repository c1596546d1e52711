import asyncio

import pytest
from acme_hours import BOOKED, book_callback, opening_hours

from archer_bridge.testing import run_tool
from archer_bridge.tool_api import InvalidArguments, Reply, ToolError


def test_hours_come_from_the_settings():
    said = asyncio.run(run_tool(opening_hours, {"day": "monday"}, settings={"monday": "9 to 5"}))

    assert said == {"day": "monday", "hours": "9 to 5"}


def test_a_day_that_is_none_is_refused():
    with pytest.raises(InvalidArguments, match="day: Input should be 'monday'"):
        asyncio.run(run_tool(opening_hours, {"day": "someday"}))


def test_a_callback_is_booked_for_the_verified_only():
    with pytest.raises(ToolError, match="not verified"):
        asyncio.run(run_tool(book_callback, {"day": "monday"}))

    assert Reply({"booked": "monday"}) == asyncio.run(
        run_tool(book_callback, {"day": "monday"}, verified=True, key="k")
    )
    assert BOOKED["k"] == "monday"
