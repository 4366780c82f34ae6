"""The contract of a store, as a list of checks."""

from __future__ import annotations

from semantic_core.testing.check import Check, checks_in
from semantic_core.testing.stores import (
    batches,
    checkpoints,
    documents,
    queue,
    random,
    reopened,
    scopes,
    scores,
    threads,
    vectors,
    words,
    writes,
)
from semantic_core.testing.stores.history import history_check

HISTORIES = 60
"""Random histories played by default."""


def store_checks(*, persistent: bool = False, histories: int = HISTORIES) -> list[Check]:
    """The rules every store keeps; the quick ones that say most come first, random histories last.

    Give each to pytest, with an opener: a store of this name, in this space, multi-tenant or not::

        @pytest.mark.parametrize("check", store_checks(persistent=True), ids=str)
        def test_store(check, tmp_path):
            def opener(space, name="index", **options):
                return MyStore(space, path=tmp_path / f"{name}.db", **options)

            check(opener)

    Opening a name for the first time in a check must give an empty store. persistent: opening it
    again, after `close`, gives the same store with all that is in it, and the checks about that are
    part of the list. Abilities a store does not have (`TextSearch`, `TextScores`, `TitleSearch`,
    `VectorQueue`, `BatchQueue`, `Checkpoints`) are skipped with that reason.
    histories: random ones the last check plays.
    """
    modules = [
        documents,
        writes,
        vectors,
        queue,
        batches,
        checkpoints,
    ]
    modules += [words, scores, scopes, threads]
    if persistent:
        modules.append(reopened)
    return [
        *checks_in(*modules, random),
        history_check(persistent=persistent, histories=histories),
    ]
