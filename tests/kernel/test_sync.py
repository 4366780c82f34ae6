"""Sync: a pending change is an address; its row is read as it is now, and an older state never
overwrites a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import Document, Ref, SemanticCore
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import InputError
from semantic_core.testing import HashEmbedder, MemoryOutbox


class Table:
    """An application's rows, and the pending changes its changes leave."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.outbox = MemoryOutbox()
        self.reads: list[Sequence[Ref]] = []

    def save(self, key: str, text: str | None) -> None:
        if text is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = text
        self.outbox.put(Ref("rows", key))

    def read(self, refs: Sequence[Ref]) -> Iterable[Document]:
        self.reads.append(refs)
        return [Document(ref, self.rows[ref.key]) for ref in refs if ref.key in self.rows]


def opened() -> SemanticCore:
    embedder = HashEmbedder()
    return SemanticCore(store=MemoryStore(embedder.space), embedder=embedder, plugins=[])


def indexed(core: SemanticCore) -> dict[str, str]:
    return {item.ref.key: core.get(item.ref).text for item in core.documents(limit=100)}  # type: ignore[union-attr]


def test_rows_are_ingested_as_they_are_now_and_the_gone_are_removed() -> None:
    core, table = opened(), Table()
    table.save("1", "walrus")
    table.save("2", "otter")
    report = core.sync(table.outbox, {"rows": table.read})
    assert (report.added, report.removed, report.complete) == (2, 0, True)
    table.save("1", "seal")
    table.save("2", None)
    report = core.sync(table.outbox, {"rows": table.read})
    assert (report.updated, report.removed) == (1, 1)
    assert indexed(core) == {"1": "seal"}
    assert len(table.outbox.take(10)) == 0


def test_many_changes_of_one_row_cost_one_read() -> None:
    core, table = opened(), Table()
    for number in range(9):
        table.save("1", f"version {number}")
    core.sync(table.outbox, {"rows": table.read})
    assert table.reads == [[Ref("rows", "1")]]
    assert indexed(core) == {"1": "version 8"}


def test_a_change_made_during_the_work_is_not_lost() -> None:
    core, table = opened(), Table()

    def read_while_changing(refs: Sequence[Ref]) -> Iterable[Document]:
        documents = table.read(refs)
        table.save("1", "newer")
        return documents

    table.save("1", "older")
    core.sync(table.outbox, {"rows": read_while_changing})
    assert indexed(core) == {"1": "older"}
    core.sync(table.outbox, {"rows": table.read})
    assert indexed(core) == {"1": "newer"}


def test_a_collection_that_cannot_be_read_keeps_its_changes_and_stops_no_other() -> None:
    core, table = opened(), Table()
    table.save("1", "walrus")
    table.outbox.put(Ref("orders", "7"))
    report = core.sync(table.outbox, {"rows": table.read})
    assert report.added == 1
    assert [(failure.what, failure.code) for failure in report.failed] == [
        ("orders", "LookupError")
    ]
    assert [ref for _, ref in table.outbox.take(10)] == [Ref("orders", "7")]


def test_a_report_over_several_collections_counts_each_document_once() -> None:
    core, outbox = opened(), MemoryOutbox()
    rows = {"notes": ["walrus", "otter"], "memos": ["seal", "orca", "beluga"]}

    def read(refs: Sequence[Ref]) -> Iterable[Document]:
        return [Document(ref, rows[ref.collection][int(ref.key)]) for ref in refs]

    for collection, texts in rows.items():
        for number in range(len(texts)):
            outbox.put(Ref(collection, str(number)))
    report = core.sync(outbox, {"notes": read, "memos": read})
    assert (report.added, report.chunks, report.embedded) == (5, 5, 5)


def test_a_slow_worker_never_puts_an_older_state_back() -> None:
    core, table = opened(), Table()
    table.save("1", "older")
    slow = table.outbox.take(1)
    older = list(table.read([ref for _, ref in slow]))
    table.save("1", "newer")
    core.sync(table.outbox, {"rows": table.read})
    core._ingest("sync", None).run(older, {ref: number for number, ref in slow})
    assert indexed(core) == {"1": "newer"}


def test_a_removed_row_does_not_come_back_by_a_slow_worker() -> None:
    core, table = opened(), Table()
    table.save("1", "older")
    slow = table.outbox.take(1)
    older = list(table.read([ref for _, ref in slow]))
    table.save("1", None)
    core.sync(table.outbox, {"rows": table.read})
    core._ingest("sync", None).run(older, {ref: number for number, ref in slow})
    assert indexed(core) == {}
    table.save("1", "again")
    core.sync(table.outbox, {"rows": table.read})
    assert indexed(core) == {"1": "again"}


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("save"),
            st.sampled_from("123"),
            st.none() | st.sampled_from(["walrus", "otter", "seal"]),
        ),
        st.tuples(st.just("sync"), st.integers(1, 3), st.none()),
        st.tuples(st.just("late"), st.integers(0, 5), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_whatever_the_order_of_work_the_index_ends_as_the_rows(history: list[Any]) -> None:
    core, table = opened(), Table()
    taken: list[tuple[list[Document], list[Ref], dict[Ref, int]]] = []
    for step, what, text in history:
        if step == "save":
            table.save(what, text)
        elif step == "sync":
            core.sync(table.outbox, {"rows": table.read}, limit=what)
        elif what < len(taken):
            documents, refs, stamps = taken[what]  # a worker that read long ago finishes now
            core._ingest("sync", None).run(documents, stamps)
            core.store.remove(
                [ref for ref in refs if ref not in {document.ref for document in documents}], stamps
            )
        waiting = dict(table.outbox.waiting)
        if waiting:
            refs = list(dict.fromkeys(waiting.values()))
            stamps = {
                ref: max(number for number, other in waiting.items() if other == ref)
                for ref in refs
            }
            taken.append((list(table.read(refs)), refs, stamps))
    while table.outbox.waiting:
        core.sync(table.outbox, {"rows": table.read})
    assert indexed(core) == table.rows


@pytest.mark.parametrize("limit", [0, -1, True, "5", 1.5])
def test_a_limit_of_changes_is_a_whole_number_from_one(limit: object) -> None:
    with pytest.raises(InputError, match="limit must be a whole number from 1"):
        SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]).sync(limit=limit)  # type: ignore[arg-type]
