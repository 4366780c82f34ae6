"""Tenants do not see each other: canaries in every tenant,
and every public entry asked for the canaries of the others.
"""

from __future__ import annotations

import inspect
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from figures import part, record
from samples import Item, fingerprint_of, item, quick_folder
from semantic_core_peewee import SqliteStore

from semantic_core import ChunkId, Document, Filter, Ref, Scope, SearchResults, SemanticCore
from semantic_core.errors import InputError, TenantRefused, TenantRequired
from semantic_core.query_syntax import TextConditions, TextTerm
from semantic_core.testing import HashEmbedder, MemoryOutbox

OPERATIONS = 10_000
"""Tried in a plain run."""
TENANTS = (
    *(
        "acme",
        "Acme",
        "ACME",
        "acme ",
        " acme",
        "acme.",
        "acm%",
        "acm_",
        "*",
        "o'brien",
        'quo"te',
        "x' or '1'='1",
        "a--",
    ),
    # The one before the zeros begins in Cyrillic.
    *("é", "e\u0301", "\u0430cme", "0", "00", "null", "acme/notes"),
)
EMBEDDER = HashEmbedder(64)
CANARY = re.compile(r"canary[a-p]+")


def canary(tenant: str) -> str:
    """A word only this tenant has."""
    return "canary" + TENANTS.index(tenant).to_bytes(1).hex().translate(
        str.maketrans("0123456789abcdef", "abcdefghijklmnop")
    )


def canary_vector(tenant: str) -> Any:
    """A direction only this tenant has."""
    return np.eye(64, dtype=np.float32)[TENANTS.index(tenant)]


def own(tenant: str) -> Item:
    """What the trial puts into the store itself: canaries in ref, text, title, metadata,
    and the vector.
    """
    word = canary(tenant)
    vectors = [canary_vector(tenant), None]
    return item(
        Ref("notes", f"key {word}", tenant),
        f"the word {word} and shared words",
        f"second {word}",
        vectors=vectors,
        title=f"title {word}",
        metadata={"secret": word, f"key {word}": True, "shared": "all"},
    )


def passage(ref: Ref, text: str) -> Item:
    """A document of one passage, as the client would embed it."""
    return item(ref, text, vectors=[EMBEDDER.embed_query(text)])


def shown(answer: object) -> str:
    """Everything an answer says, as text; the query a caller gave is not part of it."""
    if isinstance(answer, SearchResults):
        return f"{answer.hits!r} {answer.reason}"
    if isinstance(answer, np.ndarray):
        return repr(answer.tolist())
    if attrs.has(type(answer)):
        return repr(attrs.asdict(answer, recurse=True))  # type: ignore[call-overload]
    if isinstance(answer, list | tuple):
        return " ".join(map(shown, answer))
    return repr(answer)


class Trial:
    """One multi-tenant file and its client; entries of both by name,
    called for one tenant about another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.chance = folder, random.Random(7)
        self.core = SemanticCore(
            store=SqliteStore(EMBEDDER.space, folder / "all.db", multi_tenant=True),
            embedder=EMBEDDER,
        )
        self.store: Any = self.core.store
        self.store.replace([own(tenant) for tenant in TENANTS])
        crowd = [
            (Ref("ballast", str(number), TENANTS[number % 20]), f"shared words {number}")
            for number in range(1_200)
        ]
        self.store.replace([passage(ref, text) for ref, text in crowd])

    # --- what is asked, by the name of the entry: (who asks, about whom) --------------------------

    def scope(self, tenant: str, other: str) -> Scope:
        wheres: tuple[Mapping[str, Any], ...] = (
            {},
            {"secret": canary(other)},
            {"secret": {"ne": canary(tenant)}},
            {f"key {canary(other)}": {"exists": True}},
            {"shared": "all"},
        )
        collections = self.chance.choice(
            (None, None, ("notes", "ballast", "files"), ("notes' or 1=1 --", "notes"))
        )
        texts = (
            TextConditions(),
            TextConditions(((TextTerm(canary(other)), TextTerm("shared")),)),
            TextConditions(((TextTerm("shared words", exact=True),),)),
            TextConditions(((TextTerm(canary(other)[:4], prefix=True),),)),
            TextConditions(excluded=(TextTerm(canary(tenant)),)),
            TextConditions(((TextTerm(canary(other), field="secret"),),)),
        )
        where = Filter.parse(self.chance.choice(wheres))
        names = frozenset(f"key {canary(each)}" for each in (tenant, other))
        keys = self.chance.choice((None, None, {}, {"notes": names}))
        return Scope(tenant, collections, where, keys, text=self.chance.choice(texts))

    def swapped(self, tenant: str, other: str) -> Ref:
        return Ref("notes", f"key {canary(other)}", tenant)

    def of_the_store(self) -> dict[str, Callable[[str, str], Any]]:
        store, chance = self.store, self.chance

        def ids(tenant: str, other: str) -> list[ChunkId]:
            return [ChunkId(self.swapped(tenant, other), place) for place in range(3)]

        def snapshot(tenant: str, other: str) -> Any:
            with store.snapshot():
                return store.words(canary(other), 5, Scope(tenant)), store.get(
                    self.swapped(tenant, other)
                )

        def revision(tenant: str, other: str) -> Any:
            """The revision after a write of another tenant: if it changed, it tells of it."""
            before = store.revision(tenant)
            if other != tenant:
                ref = Ref("mine", str(chance.randrange(9)), other)
                store.replace([passage(ref, f"{chance.random()} {canary(other)}")])
            return "" if store.revision(tenant) == before else canary(other)

        return {
            "get": lambda t, o: store.get(self.swapped(t, o)),
            "fetch": lambda t, o: store.fetch(ids(t, o)),
            "similarity": lambda t, o: store.similarity(ids(t, o), canary_vector(o)),
            "nearest": lambda t, o: store.nearest(
                canary_vector(o), chance.choice((1, 10, 5_000)), self.scope(t, o)
            ),
            "words": lambda t, o: store.words(
                f"{canary(o)} shared second", chance.choice((1, 10, 5_000)), self.scope(t, o)
            ),
            "score": lambda t, o: store.score(ids(t, o), f"{canary(o)} shared second"),
            "vectors": lambda t, o: store.vectors(ids(t, o)),
            "full_score": lambda t, o: store.full_score(f"{canary(o)} shared second", t),
            "titled": lambda t, o: store.titled(
                f"title {canary(o)}", chance.choice((1, 10, 5_000)), self.scope(t, o)
            ),
            "count": lambda t, o: (
                canary(o) if o != t and store.count(canary(o), self.scope(t, o)) else ""
            ),
            "facets": lambda t, o: store.facets(
                chance.choice((None, "shared")), self.scope(t, o), {"secret": 50, "shared": 5}
            ),
            "ordered": lambda t, o: store.ordered(
                chance.choice((None, "shared")),
                self.scope(t, o),
                "secret",
                descending=chance.choice((True, False)),
                limit=5_000,
            ),
            "word_counts": lambda t, o: (
                canary(o)
                if o != t and any(store.word_counts([canary(o)], self.scope(t, o)).values())
                else ""
            ),
            "words_like": lambda t, o: store.words_like(canary(o)[:3], 5_000, self.scope(t, o)),
            "words_near": lambda t, o: store.words_near(f"{canary(o)}x", 2, 50, self.scope(t, o)),
            "meeting": lambda t, o: store.meeting(
                [self.swapped(t, o), Ref("notes", f"key {canary(t)}", t)],
                TextConditions(((TextTerm(canary(o)), TextTerm("shared")),)),
            ),
            "documents": lambda t, o: store.documents(self.scope(t, o), 0, 1_000),
            "stats": lambda t, o: store.stats(t),
            "revision": revision,
            "replace": lambda t, o: store.replace(
                [passage(Ref("mine", str(chance.randrange(9)), t), f"shared {canary(t)}")]
            ),
            "remove": lambda t, o: store.remove(
                [self.swapped(t, o)] if o != t else [Ref("mine", "1", t)]
            ),
            "chunk_states": lambda t, o: store.chunk_states(ids(t, o)),
            "queue_stats": lambda t, o: store.queue_stats(t),
            "snapshot": snapshot,
        }

    def of_the_client(self) -> dict[str, Callable[[str, str], Any]]:
        chance = self.chance

        def search(kind: str) -> Callable[[str, str], Any]:
            def ask(tenant: str, other: str) -> Any:
                where = chance.choice((None, {"secret": canary(other)}, {"shared": "all"}))
                text = chance.choice((canary(other), f"the word {canary(other)} and shared words"))
                mode = chance.choice(("hybrid", "vector", "text"))
                signs = chance.choice(("", '"shared words"', "shar*", f"-{canary(tenant)}"))
                door = getattr(self.core.tenant(tenant), kind)
                found = door(
                    f"{text} {signs}",
                    where=where,
                    mode=mode,
                    limit=20,
                    syntax=chance.choice(("plain", "query")),
                    typos=chance.choice(("ignore", "suggest", "correct")),
                )
                names = [f"key {canary(each)}" for each in (tenant, other)]
                few = door(text, among={"notes": names}, mode=mode, limit=20)
                if kind != "search":
                    return found, few
                return (
                    found,
                    few,
                    door("shared", mode=mode, total=True, facets=["secret", "shared"], limit=3),
                    door("shared", order_by=chance.choice(("secret", "-secret")), limit=20),
                )

            return ask

        def ingest(tenant: str, other: str) -> Any:
            door, document = (
                self.core.tenant(tenant),
                Document(Ref("ingested", "1"), f"shared words {canary(tenant)}"),
            )
            report = door.ingest(document, mode=chance.choice(("sync", "async")))
            return report, door.get(document.ref)

        def ingest_file(tenant: str, other: str) -> Any:
            file = self.folder / "note.txt"
            file.write_text(f"a file with {canary(tenant)}", "utf-8")
            return self.core.tenant(tenant).ingest_file(
                file, key="note", metadata={"secret": canary(tenant)}
            )

        def sync(tenant: str, other: str) -> Any:
            outbox, ref = MemoryOutbox(), Ref("synced", "1", tenant)
            outbox.put(ref)
            source = {
                "synced": lambda refs: [
                    Document(one, f"synced {canary(one.tenant)}") for one in refs
                ]
            }
            return self.core.sync(outbox, source)

        def window(tenant: str, other: str) -> Any:
            return self.core.tenant(tenant).context_window(
                ChunkId(Ref("notes", f"key {canary(other)}"), 0), before=5, after=5
            )

        def similar(tenant: str, other: str) -> Any:
            own_ref = Ref("notes", f"key {canary(tenant)}")
            try:
                return self.core.tenant(tenant).similar(own_ref, limit=20)
            except InputError:  # it was removed
                return None

        return {
            "similar": similar,
            "complete": lambda t, o: self.core.tenant(t).complete(
                chance.choice((canary(o)[:3], f"title {canary(o)[:4]}", "sha"))
            ),
            "search": search("search"),
            "search_chunks": search("search_chunks"),
            "context_window": window,
            "get": lambda t, o: self.core.tenant(t).get(Ref("notes", f"key {canary(o)}")),
            "remove": lambda t, o: (
                self.core.tenant(t).remove(Ref("notes", f"key {canary(o)}")) if o != t else None
            ),
            "documents": lambda t, o: self.core.tenant(t).documents(where={"secret": canary(o)}),
            "stats": lambda t, o: self.core.tenant(t).stats(),
            "ingest": ingest,
            "ingest_file": ingest_file,
            "sync": sync,
            "embed_pending": lambda t, o: self.core.tenant(t).embed_pending(limit=1),
            "tenant": lambda t, o: self.core.tenant(t).tenant(t),
            "unrestricted": lambda t, o: (
                self.core.tenant(t).unrestricted().documents(where={"secret": canary(o)}),
                self.core.unrestricted().tenant(t).search(canary(o)),
            ),
            "plugins": lambda t, o: self.core.tenant(t).plugins(),
        }


OF_THE_OPERATOR = {
    "SqliteStore.pending": "the queue of the whole store: passages, for whoever embeds them",
    "SqliteStore.fill": "the other end of that queue; gives back a number",
    "SqliteStore.known": "vectors by fingerprint: who can name one has the text it was made from",
    "SqliteStore.bulk_update_vectors": "the same as fill",
    **dict.fromkeys(
        [
            f"SqliteStore.{name}"
            for name in (
                *(
                    "waiting",
                    "waiting_size",
                    "open_job",
                    "extend_job",
                    "passages_of",
                    "jobs",
                    "job",
                    "lease_job",
                    "note_job",
                    "settle",
                ),
                *(
                    "close_job",
                    "clean_job",
                    "pay_job",
                    "reopen_job",
                    "drop_job",
                    "hold",
                    "held",
                    "take",
                    "release",
                    "retry",
                    "given_up",
                    "charge",
                    "costs",
                ),
            )
        ],
        "the ledger of batch jobs: of the whole store, for whoever embeds its passages",
    ),
    **dict.fromkeys(
        [
            f"SqliteStore.{name}"
            for name in (
                "identity",
                "location",
                "renew_identity",
                "checkpoints",
                "checkpoint",
                "update_checkpoint",
                "advancing",
            )
        ],
        "how far the whole index has read an application's database; holds no documents",
    ),
    "SqliteStore.waiting_at_most": "how long a thread waits; gives nothing back",
    "SqliteStore.text_analyser": "of the file, not of a tenant",
    "SqliteStore.use_analyser": "how the whole store splits texts; gives nothing back",
    "SqliteStore.reanalyse": "the same",
    "SqliteStore.check": "row numbers of the whole file",
    "SqliteStore.repair": "the same",
    "SqliteStore.notes": "of the file, not of a tenant",
    "SqliteStore.backup": "the whole file",
    "SqliteStore.put_in_place": "the whole file",
    "SqliteStore.files": "of the file, not of a tenant",
    "SqliteStore.compact": "the whole file; gives nothing back",
    "SqliteStore.close": "gives nothing back",
    "SqliteStore.path": "of the file, not of a tenant",
    "SqliteStore.space": "of the file, not of a tenant",
    "SqliteStore.multi_tenant": "of the file, not of a tenant",
    "SemanticCore.store": "the store itself, every entry of which is tried",
    "SemanticCore.embedder": "holds no documents",
    "SemanticCore.analyser": "the same",
    "SemanticCore.languages": "the same",
    "SemanticCore.close": "gives nothing back",
    "SemanticCore.batch_manager": "of all tenants; refused by the client of one",
    "SemanticCore.ledger": "the same",
    "SemanticCore.in_memory": "another core, with an empty store",
    "SemanticCore.bind": "makes an index of an application's own table",
    "SemanticCore.follow": "adds what is processed by `sync`",
    "SemanticCore.followers": "the same; holds no documents",
}
"""Entries that do not answer to one tenant, and why."""


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with quick_folder() as folder:
        made = Trial(folder)
        with closing(made.core):
            yield made


def public(of: type, thing: object) -> set[str]:
    """What a class offers, and what its objects carry besides; not the ways to make one,
    which answer nothing.
    """
    makers = {name for name in dir(of) if isinstance(inspect.getattr_static(of, name), classmethod)}
    return {
        f"{of.__name__}.{name}"
        for name in {*dir(of), *vars(thing)} - makers
        if not name.startswith("_")
    }


def test_every_public_entry_is_tried_or_says_why_not(trial: Trial) -> None:
    there = public(SqliteStore, trial.store) | public(SemanticCore, trial.core)
    tried = {f"SqliteStore.{name}" for name in trial.of_the_store()}
    tried |= {f"SemanticCore.{name}" for name in trial.of_the_client()}
    assert not tried & set(OF_THE_OPERATOR)
    assert there - tried - set(OF_THE_OPERATOR) == set(), (
        "an entry nobody tries: add it to the trial"
    )
    assert (tried | set(OF_THE_OPERATOR)) - there == set(), "an entry that is not there any more"


def test_no_answer_holds_anything_of_another_tenant(trial: Trial) -> None:
    entries = {f"SqliteStore.{name}": ask for name, ask in trial.of_the_store().items()}
    entries |= {f"SemanticCore.{name}": ask for name, ask in trial.of_the_client().items()}
    chance, leaks = random.Random(11), []
    tried: Counter[str] = Counter()
    names = sorted(entries)
    for number in range(part(OPERATIONS)):
        name = names[number % len(names)]
        tenant, other = chance.choice(TENANTS), chance.choice(TENANTS)
        said = shown(entries[name](tenant, other))
        tried[name] += 1
        foreign = set(CANARY.findall(said)) - {canary(tenant)}
        if foreign:
            leaks.append(f"{name}, asked by {tenant!r}: {sorted(foreign)}")
    assert not leaks, leaks[:3]
    assert set(tried) == set(entries)
    for tenant in TENANTS:  # and nothing was changed from outside
        document, entries_of = own(tenant)
        assert trial.store.get(document.ref) == document
        assert [
            each.chunk for each in trial.store.fetch([entry.chunk.id for entry in entries_of])
        ] == [entry.chunk for entry in entries_of]
        nearest = trial.store.nearest(canary_vector(tenant), 1, Scope(tenant))
        assert nearest.ids == (entries_of[0].chunk.id,) and nearest.scores[0] > 0.999
    assert trial.store.check() == []
    record(
        "tenants", tenants=len(TENANTS), operations=sum(tried.values()), leaks=len(leaks),
        entries=len(entries), operator_entries=len(OF_THE_OPERATOR), covered_percent=100,
    )  # fmt: skip


def test_the_canary_vector_of_another_tenant_finds_nothing_near(trial: Trial) -> None:
    for tenant in TENANTS:
        for other in TENANTS:
            ranking = trial.store.nearest(canary_vector(other), 3, Scope(tenant, ("notes",)))
            assert {id.ref.tenant for id in ranking.ids} == {tenant}
            assert (ranking.scores[0] > 0.999) == (tenant == other)


def test_swapped_ids_answer_like_missing_ones(trial: Trial) -> None:
    store, compared = trial.store, 0
    for tenant in TENANTS:
        door = trial.core.tenant(tenant)
        missing = Ref("notes", "there is no such key", tenant)
        for other in TENANTS:
            if other == tenant:
                continue
            swapped = trial.swapped(tenant, other)
            for ask in (
                lambda ref: store.get(ref),
                lambda ref: store.fetch([ChunkId(ref, 0)]),
                lambda ref: np.isnan(
                    store.similarity([ChunkId(ref, 0)], canary_vector("acme"))
                ).tolist(),
                lambda ref: store.remove([ref]),
                lambda ref, door=door: door.get(ref),
                lambda ref, door=door: door.context_window(ChunkId(ref, 0)),
                lambda ref, door=door: door.remove(ref),
            ):
                assert ask(swapped) == ask(missing)
                compared += 1
            for refused in (
                door.get,
                door.remove,
                lambda ref, door=door: door.context_window(ChunkId(ref, 0)),
            ):
                with pytest.raises(TenantRefused) as caught:
                    refused(Ref("notes", f"key {canary(other)}", other))
                assert canary(other) not in str(caught.value)
            with pytest.raises(TenantRefused):
                door.ingest(Document(Ref("notes", "1", other), "planted"))
            with pytest.raises(TenantRefused):
                door.tenant(other)
    assert compared == 7 * len(TENANTS) * (len(TENANTS) - 1)


def test_a_client_of_one_tenant_processes_no_changes_of_others(trial: Trial) -> None:
    outbox = MemoryOutbox()
    outbox.put(Ref("notes", f"key {canary('Acme')}", "Acme"))
    with pytest.raises(TenantRefused):
        trial.core.tenant("acme").sync(outbox, {"notes": lambda refs: []})
    assert trial.store.get(own("Acme")[0].ref) is not None
    assert outbox.waiting, "the pending change is still to be processed, by a client that may"


def test_a_client_of_one_tenant_has_no_batch_jobs(trial: Trial) -> None:
    for tenant in TENANTS:
        with pytest.raises(TenantRefused):
            _ = trial.core.tenant(tenant).batch_manager
        with pytest.raises(TenantRefused):
            _ = trial.core.tenant(tenant).ledger


def test_no_call_goes_without_a_tenant(trial: Trial) -> None:
    with pytest.raises(TenantRequired):
        trial.core.search("anything")
    for call in (
        lambda: trial.core.search_chunks("anything"),
        lambda: trial.core.documents(),
        lambda: trial.core.stats(),
        lambda: trial.core.get(Ref("notes", "1")),
        lambda: trial.core.remove(Ref("notes", "1")),
        lambda: trial.core.context_window(ChunkId(Ref("notes", "1"), 0)),
        lambda: trial.core.ingest(Document(Ref("notes", "1"), "of nobody")),
        lambda: trial.core.ingest_file(__file__),
    ):
        with pytest.raises(TenantRequired):
            call()


@pytest.mark.parametrize("name", ["", "\0", "a\nb", "a\x7f", "x" * 501, 1, None, b"acme", "\ud800"])
def test_what_cannot_name_a_tenant_is_refused(trial: Trial, name: Any) -> None:
    with pytest.raises(InputError):
        trial.core.tenant(name)


def test_equal_passages_are_kept_apart_though_their_vector_is_made_once(trial: Trial) -> None:
    text = "a passage two tenants have"
    waiting = item(Ref("equal", "1", "Acme"), text, vectors=[None])
    trial.store.replace([passage(Ref("equal", "1", "acme"), text), waiting])
    assert trial.store.fetch([ChunkId(Ref("equal", "1", "Acme"), 0)])[0].pending is False
    assert trial.store.remove([Ref("equal", "1", "acme")]) == 1
    assert trial.store.get(Ref("equal", "1", "Acme")) is not None
    assert fingerprint_of(text) in trial.store.known([fingerprint_of(text)])
