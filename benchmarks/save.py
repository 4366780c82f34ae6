"""What a save costs with the set-up of the first page: Peewee on a SQLite file,
the index in a file beside it.

A save is one ``Model.create()``, committed. "inline" embeds and writes the document after each
commit, in the same thread; "paused" and "one transaction" do that once for all saves of a run;
"background" leaves it to a thread, which works at the same time. Every variant has a database of
its own, in SQLite's usual journal mode and in WAL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks._measure import Run, side_by_side
from benchmarks._report import Figure, Report, timed
from benchmarks._workbench import Workbench

SAVES, ROUNDS = 50, 15
JOURNALS = {"default journal": {}, "WAL": {"journal_mode": "wal"}}
VARIANTS = {
    "bare": ("", ""),
    "inline": ("inline", ""),
    "inline, paused": ("inline", "paused"),
    "background": ("background", ""),
    "bare, one transaction": ("", "transaction"),
    "inline, one transaction": ("inline", "transaction"),
}
"""What `sync` is ("": no index), and what the saves of a run stand in."""


def run(bench: Workbench) -> Report:
    """Milliseconds of a bare save, and what the others take, as ratios to it."""
    figures: list[Figure] = []
    many = bench.size(SAVES, 3)
    for journal, pragmas in JOURNALS.items():
        folder = bench.fresh("save")
        with ExitStack() as stack:
            runs = {
                name: stack.enter_context(
                    _saves(bench, folder / f"{number}.db", pragmas, *said, many=many)
                )
                for number, (name, said) in enumerate(VARIANTS.items())
            }
            for once in runs.values():
                once()
            timings = side_by_side(runs, bench.rounds(ROUNDS), settle=False)
        for name, timing in timings.items():
            if name.startswith("bare"):
                figures.append(timed(f"save, {journal}, {name}", timing))
        for name, timing in timings.items():
            bare = timings["bare, one transaction" if "transaction" in name else "bare"]
            if not name.startswith("bare"):
                figures.append(
                    Figure(f"save, {journal}, {name}, of the bare save", timing.ratio(bare), "x")
                )
    return Report(tuple(figures), {"saves per run": many, "rounds": bench.rounds(ROUNDS)})


@contextmanager
def _saves(
    bench: Workbench, path: Path, pragmas: dict[str, str], sync: str, block: str, *, many: int
) -> Iterator[Run]:
    """Seconds for one of `many` saves into a table of its own."""
    import peewee
    from semantic_core_peewee import PeeweeAdapter

    db = peewee.SqliteDatabase(path, pragmas=pragmas)

    class Article(peewee.Model):  # type: ignore[misc]
        title = peewee.CharField()
        content = peewee.TextField()

        class Meta:
            database = db

    numbers = count()
    blocks: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "": nullcontext,
        "transaction": db.atomic,
    }
    with ExitStack() as stack:
        stack.callback(db.close)
        db.create_tables([Article])
        if sync:
            core = stack.enter_context(bench.open(path.with_suffix(".semantic.db")))
            index = core.bind(
                Article, adapter=PeeweeAdapter, source_fields=["title", "content"], sync=sync
            )
            blocks["paused"] = index.pause

        def once() -> float:
            texts = [bench.passages[next(numbers) % len(bench.passages)] for _ in range(many)]
            started = perf_counter()
            with blocks[block]():
                for text in texts:
                    Article.create(title=text.title, content=text.text)
            return (perf_counter() - started) / many

        yield once
