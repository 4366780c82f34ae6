"""Whatever happens to the bytes of a file: reading it does not crash, and damage that changes an
answer is found.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crash_history import SPACE, chosen_seed, folder_in_memory
from figures import SOAK, part, record
from rot_reader import documents, look
from semantic_core_peewee import SqliteStore

MUTATIONS = 300
PATIENCE = 60
"""Seconds a reader may take; only one that hangs takes longer."""


class Reader:
    """A process that reads damaged files; another takes its place if it dies."""

    def __init__(self) -> None:
        self.crashes = 0
        self._start()

    def _start(self) -> None:
        paths = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(Path(__file__).with_name("rot_reader.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"},
            text=True,
        )

    def look(self, path: Path) -> dict[str, Any] | None:
        """What `rot_reader.look` says; None if it crashed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], PATIENCE)[0], (
            "a reader does not come back"
        )
        line = self._process.stdout.readline()
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        self.close()
        self.crashes += 1
        self._start()
        return None

    def close(self) -> None:
        """Let it end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(PATIENCE)


def damaged(sound: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The file with one piece of damage, most often where something is written; and what it is."""
    data = bytearray(sound)

    def somewhere() -> int:
        return max((rng.randrange(len(data)) for _ in range(3)), key=lambda place: data[place] != 0)

    kind = rng.choice(["flip", "flip", "zero", "swap", "random"])
    place, size = somewhere(), min(rng.choice([1, 8, 64, 512, 4_096, 16_384]), len(data) // 4)
    start = min(place - place % size if size >= 512 else place, len(data) - size)
    if kind == "flip":
        size = rng.choice([1, 1, 2, 8])
        for _ in range(size):
            data[somewhere()] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        data[start : start + size] = bytes(size)
    elif kind == "random":
        data[start : start + size] = rng.randbytes(size)
    else:
        other = min(somewhere() // size * size, len(data) - size)
        data[start : start + size], data[other : other + size] = (
            data[other : other + size],
            data[start : start + size],
        )
    return f"{kind} of {size} at {start}", bytes(data)


def without_log(path: Path) -> Path:
    """The path, with nothing beside it that an earlier reader left."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def verdict(seen: dict[str, Any], sound: dict[str, Any]) -> str:
    """What reading a damaged file came to.

    "refused": it could not be opened. "harmless": every answer is right. "found": `check` names the
    damage, or at least every wrong answer is an error. "missed": a wrong answer was given, and
    `check` finds nothing.
    """
    if "open" in seen["raised"]:
        return "refused"
    wrong = [name for name, said in sound["said"].items() if seen["said"][name] != said]
    if not wrong:
        return "harmless"
    if (
        seen["problems"]
        or "check" in seen["raised"]
        or all(name in seen["raised"] for name in wrong)
    ):
        return "found"
    return "missed"


@pytest.mark.slow
def test_damage_that_changes_an_answer_is_found() -> None:
    seed = chosen_seed(20_260_303, SOAK)
    rng, figures, reader = random.Random(seed), Counter[str](), Reader()
    missed, strange = [], []
    with folder_in_memory() as folder, closing(reader):
        store = SqliteStore(SPACE, folder / "sound.db")
        store.replace(documents())
        store.close()
        bytes_of_it, sound = (folder / "sound.db").read_bytes(), look(str(folder / "sound.db"))
        assert (sound["problems"], sound["served"]) == ([], 0)
        assert sound["strange"] == []
        for number in range(part(MUTATIONS)):
            what, data = damaged(bytes_of_it, rng)
            path = without_log(folder / "damaged.db")
            path.write_bytes(data)
            seen = reader.look(path)
            if seen is not None:
                figures[verdict(seen, sound)] += 1
                figures["served"] += bool(seen["served"])
                missed += [f"{number}, {what}"] if verdict(seen, sound) == "missed" else []
                strange += [f"{number}, {what}: {seen['strange']}"] if seen["strange"] else []
    harmful = figures["refused"] + figures["found"] + figures["missed"]
    found = round(100 * (1 - figures["missed"] / harmful), 3)
    counted = {name: figures[name] for name in ("refused", "found", "missed", "harmless", "served")}
    record(
        "bit_rot",
        mutations=part(MUTATIONS),
        **counted,
        crashes=reader.crashes,
        found_percent=found,
        seed=seed,
    )
    again = f"TRUST_SEED={seed}"
    assert reader.crashes == 0, again
    assert found >= 99.9, [again, *missed]
    assert figures["served"] == 0, again
    assert strange == [], [again, *strange[:10]]
    assert harmful > part(MUTATIONS) // 2, "most of the damage was done where nothing is"


def test_a_sound_file_with_every_kind_of_metadata_has_no_problems(tmp_path: Path) -> None:
    store = SqliteStore(SPACE, tmp_path / "sound.db")
    store.replace(documents())
    assert store.check() == []
    store.close()
