"""Writers and workers race, and are killed at any moment: in the end the index is the table."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PROGRAM = HERE / "race_app.py"


def figures() -> Any:
    spec = importlib.util.spec_from_file_location(
        "race_figures", HERE.parent / "trust" / "figures.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Writer:
    """A writing process; counts the changes it told of."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.count = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read1(4096):  # type: ignore[attr-defined]
            self.count += len(chunk)

    def kill(self) -> int:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.count


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["apsw", "postgresql", "mysql"])
def test_writers_and_workers_that_are_killed_leave_an_index_that_is_the_table(
    kind: str, new_address: Callable[..., Any], tmp_path: Path
) -> None:
    tools = figures()
    wanted = 600 * tools.SOAK if tools.MEASURING else 240
    chance = random.Random(7)
    with new_address(kind) as db:
        address = (
            db.connect_params["options"].rpartition("=")[2]
            if kind == "postgresql"
            else str(db.database)
        )
        index = str(tmp_path / "index.db")

        def command(role: str, seed: int = 0) -> list[str]:
            return [sys.executable, str(PROGRAM), role, kind, address, index, str(seed)]

        subprocess.run(command("check"), check=True, capture_output=True, timeout=60)
        writes = kills = 0
        until = time.monotonic() + 60 * tools.SOAK
        while writes < wanted:
            assert time.monotonic() < until, f"only {writes} of {wanted} writes in time"
            writers = [Writer(command("write", chance.randrange(10**6))) for _ in range(2)]
            worker = subprocess.Popen(command("work"))
            while (
                sum(writer.count for writer in writers) < min(wanted // 2, 500)
                and time.monotonic() < until
            ):
                time.sleep(0.05)
            time.sleep(chance.random() / 10)
            worker.kill()
            worker.wait()
            writes += sum(writer.kill() for writer in writers)
            kills += 3
        time.sleep(0.1)
        # What a killed worker had taken comes back when its lease ends; here it is given back at
        # once.
        db.execute_sql("UPDATE semantic_outbox SET ready_at = 0")
        done = subprocess.run(
            command("check"), check=True, capture_output=True, text=True, timeout=120
        )
    rows, missing, stale, ghosts, waiting = map(int, done.stdout.split())
    tools.record(
        f"race-{kind}",
        writes=writes,
        kills=kills,
        rows=rows,
        missing=missing,
        stale=stale,
        ghosts=ghosts,
    )
    assert (missing, stale, ghosts, waiting) == (0, 0, 0, 0) and rows > 0
