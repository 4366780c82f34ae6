"""Whenever the power fails: the file can be opened, is undamaged, and has everything that was
acknowledged.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import apsw
import pytest
from crash_history import (
    SPACE,
    Model,
    Step,
    Verdict,
    chosen_seed,
    folder_in_memory,
    judge,
    log_of,
    step,
)
from figures import SOAK, part, record
from power_log import Disk, Event, logged, write_files
from semantic_core_peewee import SqliteStore

from semantic_core.errors import StoreError

Durability = Literal["full", "normal", "off"]

NAME = "power.db"
STEPS = 26
"""Writes of one history."""
SESSIONS = 3
"""How often the store is opened and closed in it."""
SHARE = 0.12
"""Part of the moments of a history at which the power is cut."""
CUTS = 4
"""States that are looked at for one moment."""
KEYS = 6
"""Documents there can be; few, so that a state is read in little time."""


@contextmanager
def connections(pages: int, durability: Durability) -> Iterator[None]:
    """Within it, every connection empties the log after so many pages;
    with "off" none of them waits for the disk.
    """

    def prepare(connection: apsw.Connection) -> None:
        if durability == "off":
            connection.execute("pragma synchronous = off")
            connection.authorizer = _keep_it_off

    apsw.connection_hooks.append(prepare)
    try:
        with log_of(pages):
            yield
    finally:
        apsw.connection_hooks.remove(prepare)


def _keep_it_off(action: int, name: str | None, value: str | None, *_: Any) -> int:
    return (
        apsw.SQLITE_IGNORE
        if action == apsw.SQLITE_PRAGMA and name == "synchronous" and value
        else apsw.SQLITE_OK
    )


def history(
    folder: Path, seed: int, durability: Durability, rng: random.Random
) -> tuple[list[Event], list[Step]]:
    """Everything that happened to the files while a store was written to, and the writes."""
    steps = [step(seed, number, "p", KEYS) for number in range(STEPS)]
    ends = sorted(rng.sample(range(1, STEPS), SESSIONS - 1)) + [STEPS]
    options = {"durability": "normal" if durability == "normal" else "full"}
    with (
        logged(folder / f"{NAME}.lock", folder / NAME) as log,
        connections(rng.choice([10, 40, 1_000]), durability),
    ):
        for first, last in zip([0, *ends], ends, strict=False):
            store = SqliteStore(SPACE, folder / NAME, **options)
            for one in steps[first:last]:
                log.mark("begun", one.number)
                one.apply(store)
                log.mark("done", one.number)
            store.close()
    return log.events, steps


@dataclass
class Trial:
    """Power cuts of one durability. worst: most acknowledged writes one of them lost."""

    durability: Durability
    seed: int
    figures: Counter[str] = field(default_factory=Counter)
    worst: int = 0
    judged: dict[object, tuple[list[str], Verdict]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self, states: int) -> None:
        """Until there have been so many, no two of them the same."""
        with folder_in_memory() as folder:
            while self.figures["states"] < states:
                number = self.figures["histories"]
                rng = random.Random(f"{self.durability} {self.seed} {number}")
                live, cut = folder / f"live {number}", folder / "cut"
                live.mkdir()
                cut.mkdir(exist_ok=True)
                events, steps = history(live, self.seed + number, self.durability, rng)
                models = list(accumulate(steps, Model.after, initial=Model()))
                self.judged.clear()
                self._cut(cut, events, models, rng, states)
                self.figures["histories"] += 1

    def _cut(
        self,
        folder: Path,
        events: Sequence[Event],
        models: Sequence[Model],
        rng: random.Random,
        states: int,
    ) -> None:
        """Cut the power at many a moment of one history, until there have been so many states."""
        disk, begun, done, synced = Disk(), 0, 0, 0
        seen = set[int]()
        for place, event in enumerate(events):
            if event[0] == "begun":
                begun = event[1] + 1
            elif event[0] == "done":
                done = event[1] + 1
            else:
                disk.take(event)
                if event == ("sync", f"{NAME}-wal"):
                    synced = done
            if rng.random() > SHARE:
                continue
            if self.figures["states"] >= states:
                break
            for _ in range(1 if disk.is_settled else CUTS):
                files = disk.after_power_cut(rng)
                state = hash((begun, done, *sorted(files.items())))
                if state in seen:
                    continue
                seen.add(state)
                write_files(folder, files)
                least = done if self.durability == "full" else synced
                self._judge(
                    folder,
                    models,
                    (least, done, begun),
                    f"history {self.figures['histories']}, event {place} {event[:2]}",
                )

    def _judge(
        self, folder: Path, models: Sequence[Model], limits: tuple[int, int, int], where: str
    ) -> None:
        """limits: writes that must be there; that were acknowledged; that had begun."""
        least, done, begun = limits
        self.figures["states"] += 1
        numbers = [done, *range(begun, done, -1), *range(done - 1, -1, -1)]
        try:
            SqliteStore(SPACE, folder / NAME).close()  # recovers what the power cut left
            content = hash(
                tuple((file.name, file.read_bytes()) for file in sorted(folder.iterdir()))
            )
            key = (content, *limits[1:])
            if key not in self.judged:  # equal bytes hold the same
                self.judged[key] = self._verdict(folder, [models[number] for number in numbers])
            problems, verdict = self.judged[key]
        except (StoreError, apsw.Error) as error:
            problems, verdict = [repr(error)], Verdict(None)
        if problems:
            self._failed("corrupt", where, problems)
        elif verdict.state is None:
            self._failed("mixed", where, verdict.details)
        else:
            held = numbers[verdict.state]
            self.worst = max(self.worst, done - held)
            self.figures["under_way"] += held > done
            self.figures["without_the_last"] += held < done
            if held < least:
                self._failed("lost", where, [f"{held} writes there, wanted {least}"])

    def _verdict(self, folder: Path, models: Sequence[Model]) -> tuple[list[str], Verdict]:
        """(what is wrong with the file, which of these it holds)."""
        self.figures["recovered"] += 1
        with closing(SqliteStore(SPACE, folder / NAME)) as store:
            problems = store.check()
            verdict = judge(store, models)
        with closing(apsw.Connection(str(folder / NAME))) as raw:
            problems += [line for (line,) in raw.execute("pragma integrity_check") if line != "ok"]
        return problems, verdict

    def _failed(self, how: str, where: str, details: Sequence[str]) -> None:
        self.figures[how] += 1
        self.failures.append(f"{how} in {where}: {details[:3]}")


def trial(durability: Durability, states: int) -> Trial:
    """Run one and keep its figures."""
    made = Trial(durability, chosen_seed(20_260_302, SOAK))
    made.run(states)
    figures = {
        name: made.figures[name]
        for name in (
            "states",
            "recovered",
            "corrupt",
            "mixed",
            "lost",
            "under_way",
            "without_the_last",
        )
    }
    record(f"power_{durability}", **figures, most_lost=made.worst, seed=made.seed)
    return made


@pytest.mark.slow
def test_a_power_cut_takes_nothing_that_was_acknowledged() -> None:
    cut = trial("full", part(4_000))
    assert cut.failures == [], f"TRUST_SEED={cut.seed}"
    assert cut.worst == 0
    assert cut.figures["under_way"] > 0, (
        "no state held the write that was under way: the cuts are in the wrong places"
    )


@pytest.mark.slow
def test_a_power_cut_takes_the_last_writes_at_most_when_they_were_not_to_wait_for_the_disk() -> (
    None
):
    cut = trial("normal", 800 * SOAK)
    assert cut.failures == [], f"TRUST_SEED={cut.seed}"
    assert cut.worst > 0, "nothing was ever lost: the cuts are in the wrong places"


@pytest.mark.slow
def test_power_cuts_destroy_a_file_nobody_waited_for() -> None:
    cut = trial("off", 200 * SOAK)
    assert cut.figures["corrupt"] + cut.figures["mixed"] > 0
    assert cut.figures["lost"] + cut.figures["corrupt"] > 10
