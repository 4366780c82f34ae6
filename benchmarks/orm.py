"""What an index costs the application: a save beside the bare save, per ORM and database;
a whole table, once and again.

A save is one UPDATE of a row through the ORM, committed. "triggers" and "events" are what capture
adds to it, its changes left waiting; "inline" also embeds and writes the document, in the same
thread, into an index in memory with the tests' embedder. SQLite in WAL mode with
synchronous=NORMAL, servers as they are. The databases are made for it, and dropped.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from itertools import count
from textwrap import dedent
from time import perf_counter
from typing import Any

from benchmarks._measure import Run, plain_environment, side_by_side
from benchmarks._orms import ORMS, PRAGMAS, Save, servers
from benchmarks._processes import MEMORY, python
from benchmarks._report import Figure, Report, timed
from benchmarks._workbench import Workbench
from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

ROWS, SAVES, ROUNDS = 100_000, 40, 15
VARIANTS: dict[str, dict[str, str]] = {
    "bare": {},
    "triggers": {"capture": "triggers", "sync": "manual"},
    "events": {"capture": "events", "sync": "manual"},
    "inline": {"capture": "triggers", "sync": "inline"},
}
NAMES = {"sqlite3": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
TABLE = dedent(f"""\
    import json, sys
    import peewee
    from semantic_core import SemanticCore
    from semantic_core_peewee import PeeweeAdapter
    db = peewee.SqliteDatabase(sys.argv[1], pragmas={PRAGMAS!r})
    class Article(peewee.Model):
        title = peewee.TextField()
        content = peewee.TextField()
        class Meta:
            database = db
""")
FILL = TABLE + dedent("""\
    db.create_tables([Article])
    with db.atomic():
        for line in open(sys.argv[2], encoding="utf-8"):
            title, content = json.loads(line)
            Article.insert(title=title, content=content).execute()
""")
"""Arguments: the database, a file with a JSON list of title and content in each line."""
FOLLOW = (
    TABLE
    + dedent("""\
    from time import perf_counter
    with SemanticCore(store=sys.argv[2], path=sys.argv[3], embedder=sys.argv[4]) as core:
        index = core.bind(Article, adapter=PeeweeAdapter, adapter_options={"database": db},
                          source_fields=["title", "content"], sync="manual")
        spent = []
        for work in (core.sync, index.reindex):
            started = perf_counter()
            report = work()
            spent.append(perf_counter() - started)
            assert not report.failed, report.failed[0]
        assert len(index.search("the", limit=5)) == 5
        print(json.dumps([*spent, report.unchanged, Article.select().count()]))
""")
    + MEMORY
)
"""Arguments: the database, store, its file, embedder. Prints seconds of a first sync and of a
reindex, rows, peak bytes.
"""


def run(bench: Workbench) -> Report:
    """Ratios to the bare save, then rows per second and memory of a whole table."""
    figures: list[Figure] = []
    notes = ["Documents of `inline` go into memory: in a file, add one durable save of the store."]
    for orm, (_, kinds) in ORMS.items():
        for kind in kinds:
            reason = servers().why_unreachable(kind)
            if reason:
                notes.append(f"{orm} on {NAMES[kind]} was left out: {reason}")
            else:
                figures += saves(bench, orm, kind)
    rows, found = whole_table(bench)
    data = {"rows": rows, "saves per run": bench.size(SAVES, 3), "rounds": bench.rounds(ROUNDS)}
    return Report((*figures, *found), data, tuple(notes))


def saves(bench: Workbench, orm: str, kind: str) -> list[Figure]:
    """What a save costs with this ORM on this database.

    Each variant has a database, a connection and a core of its own.
    """
    here, numbers, many = f"{orm} on {NAMES[kind]}", count(), bench.size(SAVES, 3)
    row = ORMS[orm][0]
    indexes: dict[str, Any] = {}
    with ExitStack() as stack:
        core = stack.enter_context(
            SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
        )

        def opened(variant: str) -> Save:
            def bind(model: type, adapter: type, options: dict[str, Any]) -> None:
                said = {
                    "adapter": adapter,
                    "adapter_options": options,
                    "collection": variant,
                    **VARIANTS[variant],
                }
                if variant != "bare":
                    indexes[variant] = core.bind(model, source_fields=["title", "content"], **said)

            database = stack.enter_context(servers().new_database(kind, bench.fresh("orm")))
            save: Save = stack.enter_context(row(database, bind))
            if variant in indexes:
                stack.callback(indexes[variant].uninstall)
            return save

        def measured(variant: str, save: Save) -> Run:
            def run() -> float:
                texts = [f"text {next(numbers)}" for _ in range(many)]
                with ExitStack() as others:  # an ORM may tell all indexes of each commit
                    for name, index in indexes.items():
                        if name != variant:
                            others.enter_context(index.pause())
                    started = perf_counter()
                    for text in texts:
                        save(text)
                    spent = perf_counter() - started
                core.sync()  # what waits is not counted
                return spent / many

            return run

        runs = {variant: measured(variant, opened(variant)) for variant in VARIANTS}
        if not bench.quick:
            for once in runs.values():
                once()
        timings = side_by_side(runs, bench.rounds(ROUNDS), settle=False)
    figures = [timed(f"save, {here}, bare", timings["bare"])]
    for variant in list(VARIANTS)[1:]:
        ratio = timings[variant].ratio(timings["bare"])
        figures.append(Figure(f"save, {here}, {variant}, of the bare save", ratio, "x"))
    return figures


def whole_table(bench: Workbench) -> tuple[int, list[Figure]]:
    """Rows per second and peak memory of a process that indexes a table,
    then goes through it again.
    """
    folder = bench.fresh("reindex")
    rows = bench.size(ROWS, 200)
    passages = bench.passages
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            passage = passages[number % len(passages)]
            file.write(json.dumps([f"{passage.title} {number}", passage.text]) + "\n")
    _answer(FILL, str(folder / "rows.db"), str(folder / "rows.jsonl"))
    spent, memory = _answer(
        FOLLOW, str(folder / "rows.db"), bench.store, str(folder / "index.db"), bench.embedder
    )
    first, again, unchanged, count_of_rows = json.loads(spent)
    assert unchanged == count_of_rows == rows, f"{unchanged} of {rows} rows were unchanged"
    return rows, [
        Figure(
            "first index of a table, rows/s",
            rows / first,
            "rows/s",
            note=f"Peewee on SQLite, {bench.embedder}",
        ),
        Figure(
            "reindex of the same rows, rows/s", rows / again, "rows/s", note="nothing is embedded"
        ),
        Figure("peak memory of both", int(memory) / 1e6, "MB"),
    ]


def _answer(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        python(script, *arguments),
        capture_output=True,
        text=True,
        env=plain_environment(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"A process ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.split("\n")[:2]
