"""Measure: ``python -m benchmarks [name ...] [--quick] [--scale 0.1] [--resume] [--json FILE]``;
all without a name.

Each benchmark is written down as soon as it is measured, so a long run can be cut short and taken
up again.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks._measure import hardware, load, now
from benchmarks._report import measured_at, show, write
from benchmarks._workbench import Workbench

BENCHMARKS = {
    "quality": "how good the answers are, on collections with judgements",
    "analysis": "how fast texts become terms, beside a regular expression and FTS5's tokeniser",
    "ingest": "real Markdown through the client, and where its time goes",
    "store": "the store alone beside bare SQLite, one durable save, a first search",
    "search": "every kind of search in an index of 100,000 chunks",
    "embedders": "the embedders of a wheel: rates, memory, questions in other languages",
    "plugins": "what plugins that do nothing cost a search",
    "cold": "whole processes from the command line",
    "batch": "a batch job of 100,000 chunks: rates beside a bare executemany, memory",
    "orm": "what a save costs with an index, per ORM and database; a table of 100,000 rows",
    "save": "what a save costs with the set-up of the first page, one by one and many at once",
    "concurrency": "many searching clients beside some that save, in a group of processes",
    "peers": "nearest neighbours beside other libraries",
}
RESULTS = Path(__file__).with_name("results.json")
QUICK_SCALE = 0.004


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, show it, and write it down."""
    given = _parser().parse_args(arguments)
    names = given.names or list(BENCHMARKS)
    scale = given.scale if given.scale is not None else QUICK_SCALE if given.quick else 1.0
    path = given.json or (RESULTS if scale == 1.0 and not given.quick else None)
    print(
        "{processor}, {cores} cores, {memory_gb} GB, {python}, load {load}\n".format(**hardware())
    )
    with TemporaryDirectory(prefix="semantic-core-benchmarks-") as folder:
        bench = Workbench(
            Path(folder), scale=scale, quick=given.quick, store=given.store, embedder=given.embedder
        )
        for name in names:
            facts = {"date": now(), "scale": scale, "hardware": hardware()}
            if given.resume and path and measured_at(path, name) == facts["hardware"]["commit"]:
                print(f"{name} is measured already.\n")
                continue
            started = perf_counter()
            report = import_module(f"benchmarks.{name}").run(bench)
            facts |= {"seconds": round(perf_counter() - started), "load_at_end": load()}
            show(name, report, judge=scale == 1.0)
            print(
                f"  {name} took {{seconds}} s, load {{load_at_end}}\n".format(**facts), flush=True
            )
            if path is not None:
                write(path, name, facts, report)
    print(
        f"Written to {path}."
        if path
        else "Nothing written: that takes the full size, or --json FILE."
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    described = "\n".join(f"  {name:11} {what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"The figures behind every performance claim.\n\n{described}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        choices=[*BENCHMARKS, []],
        help="which; all if none is named",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes and single runs: shows that it works, not how fast",
    )
    parser.add_argument(
        "--scale", type=float, metavar="SHARE", help="share of the full sizes, 1 by default"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out what was measured at this commit already"
    )
    wanted = f"where to write; what is measured at full size goes into {RESULTS.name}"
    parser.add_argument("--json", type=Path, metavar="FILE", help=wanted)
    parser.add_argument(
        "--store", default="sqlite", metavar="NAME", help="an installed store, sqlite by default"
    )
    parser.add_argument(
        "--embedder", default="wordllama", metavar="NAME", help="likewise, wordllama by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
