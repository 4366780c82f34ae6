"""The contract of a store, as a list of checks.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from semantic_core.errors import InputError
from semantic_core.testing.adapters.harness import Limit
from semantic_core.testing.check import Check, checks_in, limited
from semantic_core.testing.stores import (
    batches,
    checkpoints,
    conditions,
    crashed,
    documents,
    keys,
    queue,
    random,
    reopened,
    revisions,
    scopes,
    scores,
    threads,
    totals,
    vectors,
    vocabulary,
    words,
    writes,
)
from semantic_core.testing.stores.history import history_check

HISTORIES = 60
"""Number of random histories by default."""


def store_checks(
    *,
    persistent: bool = False,
    histories: int = HISTORIES,
    limits: Mapping[str, Limit] | None = None,
) -> list[Check]:
    """The rules that every store follows. Quick and general checks come first, random histories
    last.

    Parametrize a test with them and call each with an opener, which opens the store of this name in
    this space, multi-tenant or not::

        @pytest.mark.parametrize("check", store_checks(persistent=True), ids=str)
        def test_store(check, tmp_path):
            def opener(space, name="index", **options):
                return MyStore(space, path=tmp_path / f"{name}.db", **options)

            check(opener)

    The first opening of a name in a check must give an empty store. Checks of an ability that a
    store does not have (`TextSearch`, `TextScores`, `TextScale`, `TextCounts`, `Facets`,
    `FieldOrder`, `TitleSearch`, `TextFilter`, `Vocabulary`, `ChunkVectors`, `VectorQueue`,
    `BatchQueue`, `Checkpoints`) are
    skipped with the reason.

    persistent: whether opening a name again after `close` gives the same store with its contents;
    checks of this are then part of the list, and so are checks with a second process, which is a
    fork that calls the opener. histories: number of random histories that the last check plays.
    limits: what the store cannot do, by the name of the rule; these checks are skipped with the
    reason. Raises InputError for a name that no rule has.
    """
    modules = [
        documents,
        writes,
        vectors,
        queue,
        batches,
        checkpoints,
        words,
        scores,
        totals,
        conditions,
        vocabulary,
        scopes,
        keys,
        threads,
        revisions,
    ]
    if persistent:
        modules += [reopened, crashed]
    checks = [
        *checks_in(*modules, random),
        history_check(persistent=persistent, histories=histories),
    ]
    declared = dict(limits or {})
    unknown = declared.keys() - {str(check) for check in checks}
    if unknown:
        raise InputError(f"limits names rules that there are not: {', '.join(sorted(unknown))}.")
    listed = []
    for check in checks:
        limit = declared.get(str(check))
        listed.append(check if limit is None else limited(check, limit.reason))
    return listed
