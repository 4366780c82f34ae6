"""Many clients of one application at once: searches beside saves,
in a group of processes as a web server runs them.

The application is the guide's FastAPI example: articles in Peewee on SQLite, an index in a file of
its own, kept inline, calls through `AsyncSemanticCore`. Its functions are called without HTTP, so
that only they are measured. Each process has its share of the clients; a client asks again as soon
as it is answered. One more client looks, again and again, for the word only the row saved last
holds: one that is not found is an error.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Any

from benchmarks._measure import Timing, plain_environment
from benchmarks._orms import ROOT
from benchmarks._processes import python
from benchmarks._report import Figure, Report, timed
from benchmarks._workbench import Workbench

PROCESSES, SEARCHING, SAVING = 3, 50, 3
ROWS, SECONDS = 100_000, 20
EXAMPLE = ROOT / "guides" / "examples"

APPLICATION = dedent("""\
    import json, sys
    sys.path.insert(0, sys.argv[1])
    import fastapi_app
    from fastapi_app import Article, db, find, save
    from semantic_core import AsyncSemanticCore, SemanticCore
    from semantic_core_peewee import init_database
    db.init(sys.argv[2], pragmas={"journal_mode": "wal"})
    core = SemanticCore.from_config(path=sys.argv[3])
    with db.connection_context():
        db.create_tables([Article])
        init_database(db, core)
""")
"""Arguments: the example's folder, the database, the index."""
FILL = APPLICATION + dedent("""\
    with db.connection_context(), db.atomic():
        for line in open(sys.argv[4], encoding="utf-8"):
            title, content = json.loads(line)
            Article.insert(title=title, content=content).execute()
    with db.connection_context():
        assert not core.sync().failed
    core.close()
""")
"""One more: a file with a JSON list of title and content in each line."""
SERVE = APPLICATION + dedent("""\
    import asyncio, random
    from time import perf_counter
    given = json.loads(sys.argv[4])
    searches, saves, latest = [], [], []

    def found(word):
        with db.connection_context():
            return [row.content for row in Article.search(word, limit=1, mode="text")]

    async def clients(calls):
        until = perf_counter() + given["seconds"]

        async def ask(seed):
            drawn, rounds = random.Random(seed), 0
            while perf_counter() < until or not rounds:
                rounds += 1
                query = drawn.choice(given["queries"])
                started = perf_counter()
                await calls.call(lambda: find(query))
                searches.append(perf_counter() - started)

        async def write(seed):
            number = 0
            while perf_counter() < until or not number:
                number += 1
                text = f"fresh text number u{seed}x{number}"
                started = perf_counter()
                await calls.call(lambda: save("Fresh", text), writes=True)
                saves.append(perf_counter() - started)
                latest.append(text)

        async def check():
            while perf_counter() < until:
                if latest:
                    text = latest[-1]
                    assert await calls.call(lambda: found(text.split()[-1])) == [text], text
                await asyncio.sleep(0.1)

        await asyncio.gather(check(), *map(ask, given["searching"]), *map(write, given["saving"]))

    async def serve():
        async with AsyncSemanticCore(core) as calls:
            for query in given["queries"][:20]:
                await calls.call(lambda: find(query))
            await calls.call(lambda: save("Warm", "up"), writes=True)
            print("ready", flush=True)
            sys.stdin.readline()
            await clients(calls)

    asyncio.run(serve())
    print(json.dumps([searches, saves]))
""")
"""One more: queries, the seconds to go on, the numbers of its clients. Says "ready",
and begins at a line.
"""


def run(bench: Workbench) -> Report:
    """Searches and saves a second, and how long each waited; beside them, one client alone."""
    folder, rows = bench.fresh("concurrency"), bench.size(ROWS, 200)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            passage = bench.passages[number % len(bench.passages)]
            file.write(json.dumps([passage.title, passage.text]) + "\n")
    _ended(_started(FILL, folder, str(folder / "rows.jsonl")), "")
    seconds = 0.3 if bench.quick else SECONDS
    alone, _ = measured(bench, folder, seconds, processes=1, searching=1, saving=0)
    searches, saves = measured(
        bench, folder, seconds, processes=PROCESSES, searching=SEARCHING, saving=SAVING
    )
    together = f"{SEARCHING} searching and {SAVING} saving clients, {PROCESSES} processes"
    figures = [
        timed("search, one client alone", alone),
        timed(f"search, {together}", searches),
        Figure(f"searches a second, {together}", len(searches.runs) / seconds, "/s"),
        timed(f"save, {together}", saves),
        Figure(f"saves a second, {together}", len(saves.runs) / seconds, "/s"),
    ]
    notes = (
        "The rows saved last were looked for all the while, and found.",
        (
            "Clients never pause: what one waits is mostly for the others, about their number "
            "times a search over the cores."
        ),
    )
    return Report(tuple(figures), {"rows": rows, "seconds": seconds}, notes)


def measured(
    bench: Workbench, folder: Path, seconds: float, *, processes: int, searching: int, saving: int
) -> tuple[Timing, Timing]:
    """What searches and saves took, in the order they ended, process by process."""
    servers = []
    for number in range(processes):
        mine = {
            "searching": list(range(searching))[number::processes],
            "saving": list(range(saving))[number::processes],
        }
        told = json.dumps({"queries": bench.queries, "seconds": seconds, **mine})
        servers.append(_started(SERVE, folder, told))
    for server in servers:
        assert server.stdout.readline() == "ready\n", server.stderr.read()
    for server in servers:
        server.stdin.write("go\n")
        server.stdin.flush()
    answers = [json.loads(_ended(server, None)) for server in servers]
    return Timing(tuple(_all(answers, 0))), Timing(tuple(_all(answers, 1)))


def _all(answers: list[list[list[float]]], which: int) -> list[float]:
    return [spent for answer in answers for spent in answer[which]]


def _started(script: str, folder: Path, more: str) -> Any:
    command = python(script, str(EXAMPLE), str(folder / "app.db"), str(folder / "index.db"), more)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=plain_environment(), cwd=folder, **pipes)


def _ended(server: Any, told: str | None) -> str:
    out, err = server.communicate(told)
    if server.returncode:
        raise RuntimeError(f"A process ended with {server.returncode}:\n{out}{err}")
    return str(out)
