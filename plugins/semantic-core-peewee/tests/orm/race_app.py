"""An application of three kinds of processes over one database: writers, workers,
and one that checks.

Run as ``python race_app.py ROLE KIND ADDRESS INDEX SEED``; `test_race.py` starts and kills them.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

import peewee

from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

HERE = Path(__file__).parent
ROWS = 200
"""Keys the writers choose from, so that they meet."""


def connected(kind: str, address: str) -> Any:
    """The database object the tests of this folder use for such an address."""
    spec = importlib.util.spec_from_file_location("race_conftest", HERE / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.connect(kind, address)


def bound(db: Any, index: str) -> tuple[type[peewee.Model], SemanticCore]:
    """The model on this database, with its index."""
    from semantic_core_peewee import SemanticIndex, init_database

    class Item(peewee.Model):
        id = peewee.IntegerField(primary_key=True)
        body = peewee.TextField()
        note = peewee.TextField(default="")
        search = SemanticIndex(["body"], sync="manual")

        class Meta:
            database = db

    core = SemanticCore(
        store="sqlite", embedder=HashEmbedder(), path=index, store_options={"durability": "normal"}
    )
    db.create_tables([Item])
    init_database(db, core)
    return Item, core


def write(db: Any, model: Any, chance: random.Random) -> None:
    """Change rows for ever, one by one, in bulk, in transactions some of which are rolled back.

    A dot per change.
    """
    number = 0
    while True:
        number += 1
        key, body = chance.randrange(ROWS), f"text {chance.randrange(10**6)} of {number}"
        what = chance.random()
        try:
            if what < 0.35:
                model.insert(id=key, body=body).on_conflict_ignore().execute()
            elif what < 0.65:
                model.update(body=body).where(model.id == key).execute()
            elif what < 0.75:
                model.delete().where(model.id == key).execute()
            elif what < 0.85:
                model.update(body=body).where(model.id.between(key, key + 5)).execute()
            elif what < 0.9:
                model.update(note=body).where(model.id == key).execute()
            else:
                with db.atomic() as transaction:
                    model.delete().where(model.id == key).execute()
                    model.insert(id=key, body=body).execute()
                    if chance.random() < 0.5:
                        transaction.rollback()
        except peewee.OperationalError:
            # A deadlock, or a lock that another holds: nothing was changed.
            continue
        sys.stdout.write(".")
        sys.stdout.flush()


def main() -> None:
    """What the arguments say."""
    role, kind, address, index, seed = sys.argv[1:]
    db = connected(kind, address)
    model, core = bound(db, index)
    if role == "write":
        write(db, model, random.Random(int(seed)))
    while role == "work":
        core.sync(limit=50)
    found = [core.sync(), model.search.verify()]  # type: ignore[attr-defined]
    report = found[1]
    sys.stdout.write(
        f"{report.rows} {report.missing} {report.stale} {report.ghosts} {report.waiting}\n"
    )


if __name__ == "__main__":
    main()
