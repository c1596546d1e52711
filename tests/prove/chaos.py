"""Thousands of calls with random faults against real bridge processes, and what the record says afterwards.

    python -m tests.prove.chaos [--calls 10000] [--seed N] [--kill K] [--db sqlite|postgres] [--processes 1|2]

Faults strike the caller's side, the vendor's, the tools and the store, drawn from one seed. With --kill the process
gets SIGKILL so many times on the way and is started again; of two processes, one after the other. Of two processes any
takes any request of a call, as behind a proxy. Prints a table and `N passed, M failed`.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.support.rush.bridge import environment_seed
from tests.support.rush.judge import conclude
from tests.support.rush.run import Rush, Size
from tests.support.rush.storage import no_postgres, storage


async def prove(size: Size, folder: Path) -> int:
    """Run one rush; return the exit code."""
    async with storage(size.database, folder) as url:
        rush = Rush(size, folder, url)
        return conclude(await rush.run())


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=90)
    parser.add_argument("--seed", type=int, default=environment_seed())
    parser.add_argument("--kill", type=int, default=0, help="how many times the process gets SIGKILL")
    parser.add_argument("--db", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--processes", type=int, default=1, help="bridges on one database, which is then PostgreSQL")
    options = parser.parse_args()
    if options.processes > 1 and options.db == "sqlite":
        parser.error("one SQLite file serves one process: add --db postgres")
    print(f"seed {options.seed}", flush=True)
    if options.db == "postgres" and (missing := no_postgres()):
        print(f"SKIPPED, NOT PROVED: {missing}\n0 passed, 0 failed")
        return 0
    size = Size(options.calls, options.at_once, options.seed, options.kill, options.db, options.processes)
    random.seed(options.seed)
    folder = tempfile.mkdtemp(prefix="archer-chaos-")
    status = uvloop.run(prove(size, Path(folder)))
    if status:
        print(f"what the bridges wrote is in {folder}")
    else:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
