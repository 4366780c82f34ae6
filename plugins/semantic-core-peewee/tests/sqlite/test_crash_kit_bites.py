"""Stores with which several processes would lose data, and the check that catches each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
from semantic_core_peewee.sqlite.store import SqliteStore

from semantic_core.errors import InputError, StoreBusy
from semantic_core.testing import Limit, store_checks
from semantic_core.types import Ref

CHECKS = {str(check): check for check in store_checks(persistent=True)}
CRASH = "what_was_written_outlives_a_crash"
TOGETHER = "another_process_reads_and_writes_at_once"


class WritesWhenItIsClosed(SqliteStore):
    """Keeps every write for the end, and sees it until then by writing and undoing it."""

    def replace(self, batch: Iterable[Any], stamps: Any = None) -> Any:
        batch = list(batch)
        self.__dict__.setdefault("late", []).append((batch, stamps))
        from semantic_core.types import ReplaceReport

        return ReplaceReport(tuple((document.ref, "added") for document, _ in batch))

    def close(self) -> None:
        for batch, stamps in self.__dict__.pop("late", []):
            super().replace(batch, stamps)
        super().close()


class ForgetsStampsInACrash(SqliteStore):
    """Writes the stamps of removals when it is closed."""

    def remove(self, refs: Iterable[Ref], stamps: Any = None) -> int:
        refs = list(refs)
        self.__dict__.setdefault("late", []).append((refs, stamps))
        return super().remove(refs)

    def close(self) -> None:
        for refs, stamps in self.__dict__.pop("late", []):
            super().remove(refs, stamps)
        super().close()


class OneProcessAtATime(SqliteStore):
    """Locks its file for one process."""

    def __init__(self, space: Any, path: Any, **options: Any) -> None:
        import fcntl

        self._lock: int | None = os.open(f"{path}.mine", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy("Another process has it open.") from error
        super().__init__(space, path, **options)

    def close(self) -> None:
        super().close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class ReadsItOnce(SqliteStore):
    """Remembers what it has read, and never looks again."""

    def get(self, ref: Ref) -> Any:
        known = self.__dict__.setdefault("known", {})
        if ref not in known:
            known[ref] = super().get(ref)
        return known[ref]


MUTANTS = {
    WritesWhenItIsClosed: CRASH,
    ForgetsStampsInACrash: CRASH,
    OneProcessAtATime: TOGETHER,
    ReadsItOnce: TOGETHER,
}


def opener(store: type[SqliteStore], folder: Path) -> Callable[..., SqliteStore]:
    return lambda space, name="index", **options: store(space, folder / f"{name}.db", **options)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_kit_catches_it(
    mutant: type[SqliteStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semantic_core.testing.stores.crashed.PATIENCE", 1.0)
    with pytest.raises((AssertionError, StoreBusy)):
        CHECKS[MUTANTS[mutant]](opener(mutant, tmp_path))


def test_what_a_store_cannot_do_is_declared_and_skipped_with_its_reason(tmp_path: Path) -> None:
    limit = Limit("One process at a time has the file open.", "Use one process.")
    checks = {
        str(check): check for check in store_checks(persistent=True, limits={TOGETHER: limit})
    }
    assert checks.keys() == CHECKS.keys()
    with pytest.raises(SkipTest, match="One process at a time"):
        checks[TOGETHER](opener(OneProcessAtATime, tmp_path))
    checks[CRASH](opener(OneProcessAtATime, tmp_path))
    with pytest.raises(InputError, match="limits names rules that there are not: no_such_rule"):
        store_checks(limits={"no_such_rule": limit})
