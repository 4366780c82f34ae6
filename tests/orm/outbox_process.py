"""A process of its own at an outbox.

Arguments: what to do, kind and address of the database, and a number.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from databases import DIALECT, connect

from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sql import Sql


def create(outbox: SqlOutbox) -> None:
    """Make the tables, and write a pending change to see that they are there."""
    outbox.create()
    outbox.add("article", ["1"])


def race(outbox: SqlOutbox, number: int) -> None:
    """Write 100 pending changes, and meanwhile take what there is: finish most, fail or give back
    the rest.

    Prints what it did.
    """
    chance = random.Random(number)
    for turn in range(100):
        outbox.add("article", [f"{number}-{turn}"])
        changes = outbox.claim(chance.randint(1, 5))
        finished, rest = changes[:3], [change.number for change in changes[3:]]
        outbox.done([change.number for change in finished])
        (outbox.failed(rest, "by chance") if chance.random() < 0.5 else outbox.give_back(rest))
        for change in finished:
            sys.stdout.write(f"{change.key}\n")


if __name__ == "__main__":
    what, kind, address, *rest = sys.argv[1:]
    connection = connect(kind, address)
    mine = SqlOutbox(Sql(connection.run, DIALECT[kind]), max_attempts=1_000, base_delay=0)
    if what == "create":
        create(mine)
    else:
        race(mine, int(rest[0]))
    connection.close()
