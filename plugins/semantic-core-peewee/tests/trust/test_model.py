"""Random histories over two handles on one file: every answer equals the answer of a simple model,
whatever was done before.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from figures import MEASURING, SOAK, record
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oracle import CLOSE, Oracle, exact, same_order
from samples import SPACE, Item, axis, fingerprint_of, item, quick_folder, unit, vector_of
from semantic_core_peewee import SqliteStore

from semantic_core import Chunk, ChunkId, Document, Entry, Filter, Ref, Scope
from semantic_core.errors import (
    InputError,
    SemanticCoreError,
    StoreMisuse,
    TenantRefused,
    TenantRequired,
    VectorInvalid,
)

STEPS = 20_000
"""What a plain run must play at least."""

WORDS = ("zorbak", "velquon", "tirefok", "gorvax", "brumlik", "quasdom", "hexplon", "wubrat")
PASSAGES = (
    *WORDS,
    *(f"{one} {other}" for one, other in zip(WORDS, WORDS[1:], strict=False)),
    "zorbak zorbak gorvax",
    "",
)
OWN = "only here"
"""Stands for a passage no other document has, so that its vector may be given anew."""
METADATA: tuple[Mapping[str, Any], ...] = (
    {},
    {"n": 1},
    {"n": 1.0},
    {"n": True},
    {"n": "1", "lang": "en"},
    {"n": 2.5, "lang": ["en", "de"]},
    {"lang": []},
    {'o\'b "x" %': "o'b", "n": -3},
)
WHERES: tuple[Mapping[str, Any], ...] = (
    {"n": 1},
    {"n": True},
    {"n": {"ne": 1}},
    {"n": {"gte": -3, "lt": 2}},
    {"lang": "en"},
    {"lang": {"not_in": ["en", "fr"]}},
    {"lang": {"exists": True}},
    {"lang": {"exists": False}, "n": {"gt": 0}},
    {'o\'b "x" %': "o'b"},
    {"n": ["1", 2.5]},
)
COLLECTIONS, KEYS, TENANTS = ("notes", "Notes", "a%b"), ("1", "01", "k'\"k", "é"), ("acme", "Acme")
CHUNKS = 3
LIMITS = (0, 1, 2, 5, 1_000)

played: Counter[str] = Counter()
"""How often each rule was played, over the whole run."""

numbers = st.integers(0, 10_000)
drafts = st.tuples(
    numbers,  # which document
    st.lists(st.sampled_from((*PASSAGES, OWN)), max_size=CHUNKS),
    st.integers(0, 2**CHUNKS - 1),  # which of its passages come with a vector
    st.sampled_from(("", "Title")),
    st.integers(0, len(METADATA) - 1),
    st.integers(0, 2),  # which vector of a passage of its own
)
stamp = st.sampled_from((None, None, 1, 2, 3))
handle = st.integers(0, 1)
limit = st.sampled_from(LIMITS)


@attrs.frozen
class Snapshot:
    """A snapshot a handle is in, and what the oracle was when it began."""

    block: AbstractContextManager[None]
    oracle: Oracle


class Histories(RuleBasedStateMachine):
    """Two handles on one file, and the oracle beside them."""

    folder: Path
    files = count()
    begun: Mapping[bool, tuple[Path, Oracle]]

    def __init__(self) -> None:
        super().__init__()
        self.path = self.folder / f"{next(self.files)}.db"
        self.oracle = Oracle()
        self.snapshots: list[list[Snapshot]] = [[], []]
        self.stores: list[SqliteStore] = []

    @initialize(multi_tenant=st.booleans(), large=st.booleans())
    def begin(self, multi_tenant: bool, large: bool) -> None:
        self.tenants = TENANTS if multi_tenant else ("",)
        if large:
            begun, oracle = self.begun[multi_tenant]
            shutil.copyfile(begun, self.path)
            self.oracle = oracle.state()
        self.stores = [SqliteStore(SPACE, self.path, multi_tenant=multi_tenant) for _ in range(2)]
        self.refs = [
            Ref(name, key, tenant)
            for tenant in self.tenants
            for name in COLLECTIONS
            for key in KEYS
        ]

    # --- what is done -----------------------------------------------------------------------------

    @rule(which=handle, given=st.lists(drafts, min_size=1, max_size=4), stamp=stamp)
    def replace(self, which: int, given: list[Any], stamp: int | None) -> None:
        played["replace"] += 1
        batch = [self.item(*draft) for draft in given]
        stamps = (
            {}
            if stamp is None
            else {document.ref: stamp + place % 2 for place, (document, _) in enumerate(batch)}
        )
        if self.refused(which, lambda store: store.replace(batch, stamps)):
            return
        report = self.stores[which].replace(batch, stamps)
        assert list(report.outcomes) == self.oracle.replace(batch, stamps)

    replace_more = replace_again = replace  # most of what happens to a store

    @rule(which=handle, places=st.lists(numbers, min_size=1, max_size=3), stamp=stamp)
    def remove(self, which: int, places: list[int], stamp: int | None) -> None:
        played["remove"] += 1
        refs = [self.ref(place) for place in places]
        stamps = {} if stamp is None else dict.fromkeys(refs, stamp)
        if self.refused(which, lambda store: store.remove(refs, stamps)):
            return
        assert self.stores[which].remove(refs, stamps) == self.oracle.remove(refs, stamps)

    @rule(
        which=handle,
        passages=st.lists(st.sampled_from(PASSAGES), min_size=1, max_size=5),
        also_waiting=st.booleans(),
    )
    def fill(self, which: int, passages: list[str], also_waiting: bool) -> None:
        played["fill"] += 1
        texts = [*passages, *(list(self.oracle.waiting().values())[:3] if also_waiting else [])]
        # Of another length, and stored as the same bits: a fingerprint has one vector.
        vectors = {fingerprint_of(text): vector_of(text) * np.float32(4) for text in texts}
        if self.refused(which, lambda store: store.fill(vectors)):
            return
        assert self.stores[which].fill(vectors) == self.oracle.fill(vectors)

    @rule(which=handle, place=numbers, kind=numbers)
    def bad_input(self, which: int, place: int, kind: int) -> None:
        played["bad input"] += 1
        errors, act = self.bad(place)[kind % BAD_INPUTS]
        if self.snapshots[which]:
            errors = (*errors, StoreMisuse)
        with pytest.raises(errors) as caught:
            act(self.stores[which])
        assert isinstance(caught.value, SemanticCoreError)
        self.same_counts(1 - which)

    @precondition(lambda self: not any(self.snapshots))
    @rule(which=handle)
    def reopen(self, which: int) -> None:
        played["reopen"] += 1
        self.stores[which].close()
        self.stores[which] = SqliteStore(SPACE, self.path)

    @precondition(lambda self: sum(map(len, self.snapshots)) < 4)
    @rule(which=handle)
    def enter_snapshot(self, which: int) -> None:
        played["enter snapshot"] += 1
        block = self.stores[which].snapshot()
        block.__enter__()
        held = self.snapshots[which]
        held.append(Snapshot(block, held[-1].oracle if held else self.oracle.state()))

    @precondition(lambda self: any(self.snapshots))
    @rule(which=handle)
    def leave_snapshot(self, which: int) -> None:
        played["leave snapshot"] += 1
        (self.snapshots[which] or self.snapshots[1 - which]).pop().block.__exit__(None, None, None)

    @precondition(lambda self: not any(self.snapshots))
    @rule(which=handle, really=st.integers(0, 9))
    def compact(self, which: int, really: int) -> None:
        if really == 0:
            played["compact"] += 1
            self.stores[which].compact()

    @rule(which=handle, really=st.integers(0, 9))
    def back_up(self, which: int, really: int) -> None:
        if really:
            return
        played["backup"] += 1
        copy = self.folder / f"copy{next(self.files)}.db"
        self.stores[which].backup(copy)
        restored = SqliteStore(SPACE, copy)
        try:
            assert restored.check() == []
            for ref in self.refs:
                self.same_document(restored, ref, self.truth(which))
        finally:
            restored.close()
            for file in self.folder.glob(f"{copy.name}*"):
                file.unlink()

    # --- what is asked ----------------------------------------------------------------------------

    @rule(
        which=handle, text=st.sampled_from((*PASSAGES, "nowhere", OWN)), limit=limit, scope=numbers
    )
    def nearest(self, which: int, text: str, limit: int, scope: int) -> None:
        played["nearest"] += 1
        asked = self.scope(scope)
        ranking = self.stores[which].nearest(vector_of(text) * np.float32(0.5), limit, asked)
        assert ranking.source == "vector"
        same_order(
            ranking.ids, ranking.scores, self.truth(which).cosines(vector_of(text), asked), limit
        )

    @rule(
        which=handle,
        words=st.lists(st.sampled_from((*WORDS, "nowhere")), max_size=3),
        limit=limit,
        scope=numbers,
    )
    def words(self, which: int, words: list[str], limit: int, scope: int) -> None:
        played["words"] += 1
        asked = self.scope(scope)
        everything = self.stores[which].words(" ".join(words), 1_000, asked)
        assert set(everything.ids) == self.truth(which).with_words(words, asked)
        assert len(set(everything.ids)) == len(everything)
        pairs = list(zip(everything.scores, everything.ids, strict=True))
        assert pairs == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
        best = self.stores[which].words(" ".join(words), limit, asked)
        assert (best.source, best.ids, best.scores) == (
            "words",
            everything.ids[:limit],
            everything.scores[:limit],
        )

    @rule(which=handle, places=st.lists(numbers, max_size=6), text=st.sampled_from(PASSAGES))
    def similarity(self, which: int, places: list[int], text: str) -> None:
        played["similarity"] += 1
        ids = [ChunkId(self.ref(place), place % (CHUNKS + 1)) for place in places]
        found = self.stores[which].similarity(ids, vector_of(text))
        rows, query = [self.truth(which).row(id) for id in ids], vector_of(text).astype(np.float64)
        held = [None if row is None else row.vector for row in rows]
        truth = [
            np.nan if vector is None else float(vector @ query / np.sqrt(vector @ vector))
            for vector in held
        ]
        assert (found.dtype, found.shape) == (np.float32, (len(ids),))
        assert np.allclose(found, np.array(truth), atol=CLOSE, rtol=0, equal_nan=True), (
            found,
            truth,
        )

    @rule(which=handle, places=st.lists(numbers, max_size=8))
    def fetch(self, which: int, places: list[int]) -> None:
        played["fetch"] += 1
        ids = [ChunkId(self.ref(place), place % (CHUNKS + 1)) for place in places]
        truth = self.truth(which)
        wanted = []
        for id in ids:
            row = truth.row(id)
            if row is not None:
                document, chunk = truth.documents[id.ref].document, row.entry.chunk
                about = document.title, exact(document.metadata), row.vector is None
                wanted.append(
                    (
                        id,
                        chunk.text,
                        chunk.start,
                        chunk.end,
                        chunk.kind,
                        exact(chunk.metadata),
                        *about,
                    )
                )
        found = [
            (one.chunk, one.title, exact(one.metadata), one.pending)
            for one in self.stores[which].fetch(ids)
        ]
        assert [
            (
                chunk.id,
                chunk.text,
                chunk.start,
                chunk.end,
                chunk.kind,
                exact(chunk.metadata),
                *about,
            )
            for chunk, *about in found
        ] == wanted

    @rule(which=handle, place=numbers)
    def get(self, which: int, place: int) -> None:
        played["get"] += 1
        self.same_document(self.stores[which], self.ref(place), self.truth(which))

    @rule(which=handle, offset=st.integers(0, 6), limit=limit, scope=numbers)
    def documents(self, which: int, offset: int, limit: int, scope: int) -> None:
        played["documents"] += 1
        asked = self.scope(scope)
        within = self.truth(which).within(asked)
        page = self.stores[which].documents(asked, offset, limit)
        assert page.total == len(within)
        wanted = []
        for ref in sorted(within, key=lambda ref: (ref.collection, ref.key))[
            offset : offset + limit
        ]:
            held = within[ref]
            waiting = sum(row.vector is None for row in held.rows.values())
            about = held.document.title, exact(held.document.metadata), len(held.document.text)
            wanted.append((ref, *about, len(held.rows), waiting))
        assert [
            (one.ref, one.title, exact(one.metadata), one.characters, one.chunks, one.pending)
            for one in page
        ] == wanted

    @rule(which=handle, limit=limit, passages=st.lists(st.sampled_from(PASSAGES), max_size=4))
    def queue(self, which: int, limit: int, passages: list[str]) -> None:
        played["queue"] += 1
        truth = self.truth(which)
        queued = list(self.stores[which].pending(10_000))
        waiting: dict[str, str] = {}
        for chunk in queued:
            waiting.setdefault(chunk.fingerprint, chunk.passage)
        assert list(waiting.items()) == list(truth.waiting().items())
        assert list(self.stores[which].pending(limit)) == queued[:limit]
        names = {fingerprint_of(passage) for passage in passages}
        found, held = self.stores[which].known(names), truth.vectors()
        assert set(found) == names & set(held)
        for name, vector in found.items():
            assert np.allclose(vector, held[name], atol=1e-6)
            assert abs(float(np.sqrt((vector.astype(np.float64) ** 2).sum())) - 1.0) < 1e-5

    @rule(which=handle, place=numbers)
    def counts(self, which: int, place: int) -> None:
        played["stats"] += 1
        self.same_counts(which, self.tenants[place % len(self.tenants)] or None)

    @precondition(lambda self: not any(self.snapshots))
    @rule(which=handle, really=st.integers(0, 3))
    def check(self, which: int, really: int) -> None:
        if really == 0:
            played["check"] += 1
            assert self.stores[which].check() == []

    # --- what it is done with ---------------------------------------------------------------------

    def same_counts(self, which: int, tenant: str | None = None) -> None:
        counted = {
            ref: held
            for ref, held in self.truth(which).documents.items()
            if tenant in (None, ref.tenant)
        }
        waiting = sum(row.vector is None for held in counted.values() for row in held.rows.values())
        chunks = sum(len(held.rows) for held in counted.values())
        stats = self.stores[which].stats(tenant)
        assert (stats.documents, stats.chunks, stats.pending) == (len(counted), chunks, waiting)
        assert stats.collections == Counter(ref.collection for ref in counted)

    def ref(self, place: int) -> Ref:
        return self.refs[place % len(self.refs)]

    def scope(self, number: int) -> Scope:
        tenant = self.tenants[number % len(self.tenants)]
        collections = (None, None, None, (), COLLECTIONS[:1], COLLECTIONS[1:], ("unknown", "a%b"))[
            number // 2 % 7
        ]
        where = (None, None, *WHERES)[number // 14 % (len(WHERES) + 2)]
        return Scope(tenant, collections, Filter.parse(where))

    def item(
        self, place: int, passages: list[str], given: int, title: str, metadata: int, version: int
    ) -> Item:
        ref = self.ref(place)
        texts, vectors = [], []
        for position, passage in enumerate(passages):
            own = passage == OWN
            text = (
                f"{WORDS[0]} {ref.collection} {ref.key} {position} {ref.tenant}" if own else passage
            )
            vector = vector_of(f"{text} {version}") if own else vector_of(text)
            texts.append(text)
            vectors.append(vector if given >> position & 1 else None)
        return item(ref, *texts, vectors=vectors, title=title, metadata=METADATA[metadata])

    def truth(self, which: int) -> Oracle:
        held = self.snapshots[which]
        return held[-1].oracle if held else self.oracle

    def refused(self, which: int, write: Callable[[SqliteStore], object]) -> bool:
        """Whether this handle must not write now; then it has been seen to refuse."""
        if not self.snapshots[which]:
            return False
        with pytest.raises(StoreMisuse):
            write(self.stores[which])
        return True

    def same_document(self, store: SqliteStore, ref: Ref, truth: Oracle) -> None:
        found, held = store.get(ref), truth.documents.get(ref)
        if held is None:
            assert found is None
            return
        assert found is not None
        for one, other in ((found, held.document),):
            assert (one.ref, one.text, one.title, one.media_type) == (
                other.ref,
                other.text,
                other.title,
                other.media_type,
            )
            assert (one.language, exact(one.metadata)) == (other.language, exact(other.metadata))

    def bad(
        self, place: int
    ) -> list[tuple[tuple[type[Exception], ...], Callable[[SqliteStore], object]]]:
        """Calls that must be refused, and with what.

        Each batch begins with a document that could be written.
        """
        ref, other = self.ref(place), self.ref(place + 1)
        fine = self.item(place, ["zorbak", "gorvax velquon"], 3, "never kept", 1, 0)
        wrong_tenant = Ref(other.collection, other.key, "" if other.tenant else "acme")
        refusal = TenantRequired if other.tenant else TenantRefused
        size = SPACE.dimensions
        vectors = [
            np.full(size, np.nan, np.float32),
            np.full(size, np.inf, np.float32),
            np.zeros(size, np.float32),
            axis(0) * np.float32(1e-23),
            np.ones(size + 1, np.float32),
            np.ones((1, size), np.float32),
            np.array(["1"] * size),
        ]
        poison = vectors[place % len(vectors)]
        bad_entry = item(other, "zorbak", "gorvax", vectors=[axis(1), poison])

        def breaks_off() -> Any:
            yield fine
            raise InputError("the source broke off")

        twice = item(other, "zorbak")
        chunk = Chunk(ChunkId(ref, 0), "zorbak", 0, 6)
        foreign = (
            Document(other, "zorbak"),
            [Entry(chunk, "zorbak", fingerprint_of("zorbak"), None)],
        )
        return [
            ((VectorInvalid,), lambda store: store.replace([fine, bad_entry])),
            ((InputError,), lambda store: store.replace([fine, (twice[0], twice[1] * 2)])),
            ((InputError,), lambda store: store.replace([fine, foreign])),
            ((InputError,), lambda store: store.replace(breaks_off())),
            ((InputError,), lambda store: store.replace([fine], {ref: 2**63})),
            ((refusal,), lambda store: store.replace([fine, item(wrong_tenant, "zorbak")])),
            ((refusal,), lambda store: store.remove([ref, wrong_tenant])),
            ((InputError,), lambda store: store.remove([ref, "notes/1"])),  # type: ignore[list-item]
            ((InputError,), lambda store: store.remove([ref], {ref: True})),
            (
                (VectorInvalid,),
                lambda store: store.fill({fingerprint_of("zorbak"): axis(0), "x": poison}),
            ),
            ((VectorInvalid,), lambda store: store.nearest(poison, 10, self.scope(0))),
            ((InputError,), lambda store: store.nearest(axis(0), -1, self.scope(0))),
            ((InputError,), lambda store: store.words("zorbak", True, self.scope(0))),
            ((refusal,), lambda store: store.words("zorbak", 10, Scope(wrong_tenant.tenant))),
            ((refusal,), lambda store: store.get(wrong_tenant)),
            ((InputError,), lambda store: store.documents(self.scope(0), -1)),
        ]

    def teardown(self) -> None:
        with ExitStack() as stack:
            for store in self.stores:
                stack.callback(store.close)
            for held in self.snapshots:
                while held:
                    held.pop().block.__exit__(None, None, None)
            if self.stores:
                assert self.stores[0].check() == []
                for which in (0, 1):
                    for ref in self.refs:
                        self.same_document(self.stores[which], ref, self.oracle)
        for file in self.folder.glob(f"{self.path.name}*"):
            os.unlink(file)


def begin_large(folder: Path, multi_tenant: bool) -> tuple[Path, Oracle]:
    """A store with more chunks than are ever scored one by one in SQL, and the oracle of it."""
    path, oracle = folder / f"large {multi_tenant}.db", Oracle()
    tenant = TENANTS[0] if multi_tenant else ""
    batch = [
        item(Ref("large", str(n), tenant), *(f"ballast {n} {m}" for m in range(CROWD)))
        for n in range(CROWD)
    ]
    store = SqliteStore(SPACE, path, multi_tenant=multi_tenant)
    store.replace(batch)
    store.close()
    oracle.replace(batch, {})
    return path, oracle


CROWD = 33
"""Documents, and chunks of each, that a large history begins with."""
BAD_INPUTS = 16
LENGTH = 100
"""Steps of a history, at most."""
HISTORIES = 292
"""Played where the figures are what it is for, with so many steps at least."""
FEW_HISTORIES = 60
"""Played in every other run."""


def test_any_history_gives_the_oracles_answers() -> None:
    played.clear()
    played_histories = HISTORIES * SOAK if MEASURING else FEW_HISTORIES
    with quick_folder() as folder:
        Histories.folder = folder
        Histories.begun = {tenants: begin_large(folder, tenants) for tenants in (False, True)}
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=played_histories,
                stateful_step_count=LENGTH,
                derandomize=SOAK == 1,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    steps = sum(played.values())
    if MEASURING:
        assert steps >= STEPS * SOAK, f"{steps} steps are too few: raise HISTORIES"
    assert len(played) == 18, f"some rule was never played: {dict(played)}"
    record("model", steps=steps, differences=0, histories=played_histories, rules=sorted(played))


def test_the_oracle_knows_the_cosine_of_two_vectors() -> None:
    oracle = Oracle()
    one = item(Ref("notes", "1"), "zorbak", "gorvax", vectors=[unit([3, 4, *[0] * 14]), None])
    oracle.replace([one], {})
    scores = oracle.cosines(axis(1) * np.float32(7), Scope())
    assert scores == {one[1][0].chunk.id: pytest.approx(0.8, abs=1e-7)}
