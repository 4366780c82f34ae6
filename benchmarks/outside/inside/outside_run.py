"""Runs a suite as its authors do, records what became of each test, and binds an index to the
models if it is asked to.

    python outside_run.py RECORD ORM MODULE-OR-SCRIPT [ARGUMENT ...]

RECORD: the file to write. ORM: django, peewee, sqlalchemy, or none for a run without the index.
"""

from __future__ import annotations

import atexit
import importlib
import os
import runpy
import sys
from pathlib import Path

from outside_record import PytestRecord, Record, record_unittest


def main(path: str, orm: str, target: str, *arguments: str) -> None:
    """Run the suite; ends as it ends."""
    script = target.endswith(".py")
    sys.path.insert(0, str(Path(target).resolve().parent) if script else os.getcwd())
    record = Record(Path(path))
    atexit.register(record.close)
    record_unittest(record)
    if orm != "none":
        _bind(orm, record)
    sys.argv = [target, *arguments]
    if target == "pytest":
        import pytest

        raise SystemExit(pytest.main([*arguments], plugins=[PytestRecord(record)]))
    if script:
        runpy.run_path(target, run_name="__main__")
    else:
        runpy.run_module(target, run_name="__main__", alter_sys=True)


def _bind(orm: str, record: Record) -> None:
    from outside_index import Counts

    counts, process = Counts(), os.getpid()
    importlib.import_module(f"outside_{orm}").bind(counts)

    def told() -> None:
        if os.getpid() == process:  # a suite may fork
            record.summary(**counts.told())

    atexit.register(told)


if __name__ == "__main__":
    main(*sys.argv[1:])
