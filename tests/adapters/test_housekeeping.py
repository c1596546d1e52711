"""The chores of a running bridge: leases, orphans, and retention on a clock of the test's own."""

import asyncio
import os
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from archer_bridge.adapters import housekeeping
from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.sql.opening import LEASE
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.adapters.vitals import Vitals
from archer_bridge.config_models import RecordingSettings, RetentionSettings
from archer_bridge.errors import StoreUnavailable
from archer_bridge.models import CallState
from tests.adapters.sql.samples import SetClock, done, new_call, new_sid, turn
from tests.support.virtual import virtual

DAYS = 400


@virtual
async def test_four_hundred_days_pass_while_the_bridge_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sid = SetClock(), new_sid()
    recording = tmp_path / f"CA{'1' * 32}.wav"
    recording.write_bytes(b"RIFF")
    os.utime(recording, (clock.now.timestamp(),) * 2)
    monkeypatch.setattr(housekeeping, "utc_now", clock)
    monkeypatch.setattr(housekeeping.time, "time", lambda: clock.now.timestamp())
    monkeypatch.setattr(housekeeping, "PURGE_EVERY_S", 1.0)
    start, left = clock.now, []
    async with await open_store(f"sqlite:///{tmp_path}/record.db", clock=clock) as store:
        await store.add_customers(DEMO_CUSTOMERS)
        await store.open_call(new_call(sid))
        await store.claim_stream(sid, "MZ1", "token", store.owner_id)
        await store.move_call(sid, CallState.ACTIVE)
        store.add_turn(sid, turn(1))
        await store.end_call(sid, done())
        settings = (
            RetentionSettings(words_days=90, calls_days=365),
            RecordingSettings(enabled=True, folder=tmp_path, retention_days=30),
        )
        with capture_logs() as lines:
            keeping = asyncio.create_task(housekeeping.keep_retention(store, *settings))
            for _ in range(DAYS // 10):
                row = await store.get_call(sid)
                assert row is not None
                left.append((recording.exists(), len(await store.turns(sid)), bool(row.from_number)))
                clock.advance(days=10)
                await asyncio.sleep(1.0)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        checked = await store.check()

    told = [(line["words"], line["calls"], line["recordings"]) for line in lines if line["event"] == "retention_purged"]
    assert clock.now - start == timedelta(days=DAYS)
    assert (left[0], left[3], left[5], left[-1]) == (
        (True, 1, True),
        (True, 1, True),
        (False, 1, True),
        (False, 0, False),
    )
    assert told == [(0, 0, 1), (1, 0, 0), (0, 1, 0)]
    assert checked.problems == ()


@virtual
async def test_what_cannot_be_deleted_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PURGE_EVERY_S", 1.0)
    folder = tmp_path / "recordings"
    folder.mkdir()
    old = folder / f"CA{'2' * 32}.wav"
    old.write_bytes(b"RIFF")
    os.utime(old, (0, 0))
    settings = RetentionSettings(), RecordingSettings(folder=folder)
    async with await open_store(f"sqlite:///{tmp_path}/record.db") as store:
        await store.close()  # as a database that is gone
        with capture_logs() as lines:
            keeping = asyncio.create_task(housekeeping.keep_retention(store, *settings))
            await asyncio.sleep(2.5)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    assert [line["event"] for line in lines] == ["retention_failed"] * 3


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(StoreUnavailable("away"), id="away"),
        pytest.param(RuntimeError("a bug"), id="a-bug"),
        pytest.param(None, id="never-answers"),
    ],
)
@virtual
async def test_leases_are_renewed_whatever_happens_to_a_metric(
    trouble: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await open_store(f"sqlite:///{tmp_path}/record.db") as store:
        renewed: list[float] = []
        renew = store.renew_leases

        async def counted() -> None:
            renewed.append(asyncio.get_running_loop().time())
            await renew()

        async def troubled() -> int:
            if trouble is None:
                await asyncio.Event().wait()
            raise trouble or AssertionError("it never answers")

        monkeypatch.setattr(store, "renew_leases", counted)
        monkeypatch.setattr(store, "count_unknown_tools", troubled)
        with capture_logs():
            keeping = asyncio.create_task(housekeeping.keep_house(store, Vitals()))
            await asyncio.sleep(60)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    assert len(renewed) >= 5
    assert max(b - a for a, b in pairwise(renewed)) < LEASE.total_seconds()
