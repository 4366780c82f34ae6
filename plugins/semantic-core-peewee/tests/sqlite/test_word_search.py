"""Full-text search: removed words are not found, nothing in a query is syntax, and equal scores
have an order.
"""

from __future__ import annotations

import random
import string
import threading
from collections.abc import Callable
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import word_cache, word_search
from semantic_core_peewee.sqlite.tuning import DEFAULT, Tuning
from semantic_core_peewee.sqlite.word_cache import split

from semantic_core import ChunkId, Document, Ref, Scope, SemanticCore
from semantic_core.errors import QueryTooLarge
from semantic_core.filters import Filter
from semantic_core.testing import HashEmbedder

AT_ONCE = 0.0
"""Of `Tuning.lists_after`: posting lists are read into memory by the first search."""
NEVER = float("inf")
"""Of `Tuning.lists_after`: every search asks FTS5."""
VOCABULARY = [
    "loop",
    "looping",
    "cat",
    "dog",
    "café",
    "naïve",
    "seven",
    "river",
    "stone",
    "while",
    "ёж",
    "漢字",
]


def keys(store: SqliteStore, text: str, limit: int = 100, scope: Scope = Scope()) -> list[str]:  # noqa: B008 - frozen
    return [id.ref.key for id in store.words(text, limit, scope).ids]


def check_index(store: SqliteStore) -> None:
    connection = apsw.Connection(str(store.path))
    try:
        connection.execute(
            """insert into semantic_index_words (semantic_index_words, rank)
                values ('integrity-check', 1)"""
        )
    finally:
        connection.close()


def test_words_that_were_replaced_or_removed_are_not_found(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    old = ["apricot bramble", "cranberry damson", "elderberry fig"]
    store.replace([item("1", *old), item("2", "apricot grape")])
    store.replace([item("1", "huckleberry bramble")])
    gone = {"apricot", "cranberry", "damson", "elderberry", "fig"}
    assert {word: keys(store, word) for word in sorted(gone)} == {
        word: ["2"] if word == "apricot" else [] for word in gone
    }
    assert keys(store, "bramble") == keys(store, "huckleberry") == ["1"]
    store.remove([Ref("notes", "1"), Ref("notes", "2")])
    assert not [word for word in (*gone, "bramble", "huckleberry", "grape") if keys(store, word)]
    check_index(store)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(
    history=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.one_of(
                st.none(), st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=5), max_size=3)
            ),
        ),
        max_size=8,
    )
)
def test_the_index_agrees_with_the_passages_after_any_history(
    history: list[Any],
    tmp_path_factory: Any,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
) -> None:
    store = open_store(tmp_path_factory.mktemp("history") / "index.db")
    there: dict[str, list[str]] = {}
    for key, chunks in history:
        if chunks is None:
            store.remove([Ref("notes", key)])
            there.pop(key, None)
        else:
            there[key] = [" ".join(words) for words in chunks]
            store.replace([item(key, *there[key])])
    check_index(store)
    for word in ("cat", "café", "river", "ёж", "漢字"):
        wanted = {
            key for key, chunks in there.items() if any(word in chunk.split() for chunk in chunks)
        }
        assert set(keys(store, word)) == wanted
    store.close()


def test_nothing_in_a_query_is_syntax(store: SqliteStore, item: Callable[..., Any]) -> None:
    store.replace([item("1", "node js and c and e mail and don t"), item("2", "nothing of it")])
    made = random.Random(7)
    signs = "\"'*^():-+{}[]<>\\/%@#!?.,;~`|&=$ \t\n\0" + "NEAR AND OR NOT" + "aбé漢" + string.digits
    for _ in range(5_000):
        store.words("".join(made.choices(signs, k=made.randrange(12))), 3, Scope())
    for query in (
        "node.js",
        "C++",
        "e-mail",
        "don't",
        'passage:"node"',
        "NEAR(node js)",
        "node*",
        "^node",
        "-node",
        "a/b node",
    ):
        assert "1" in keys(store, query), query
    assert (
        keys(store, "why?") == keys(store, "...") == keys(store, "") == keys(store, "\ud800") == []
    )
    assert keys(store, "node\ud800js\0mail") == ["1"]


def test_a_repeated_word_counts_up_to_three_times(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace(
        [
            item("1", "river stone bank"),
            *(item(f"x{number}", "cloud sky blue") for number in range(9)),
        ]
    )

    def score(query: str) -> float:
        return store.words(query, 1, Scope()).scores[0]

    once = score("river")
    assert score("river river") == pytest.approx(2 * once)
    assert (
        score("river river river") == pytest.approx(3 * once) == pytest.approx(score("River " * 50))
    )
    # So many words that they are asked for in layers.
    many = " ".join(f"w{number}" for number in range(31))
    assert score(f"{many} {many} river river river") == pytest.approx(3 * once)
    narrow = store.words(f"{many} {many} river river river", 1, Scope(collections=("notes",)))
    assert narrow.scores[0] == pytest.approx(3 * once)


def test_of_many_words_the_thirty_two_rarest_are_looked_for(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    common = " ".join(f"w{number}" for number in range(40))
    store.replace([item("one", common), item("two", common), item("rare", "omega")])
    assert keys(store, f"{common} omega")[0] == "rare"
    unknown = " ".join(f"x{number}" for number in range(40))
    assert keys(store, f"{unknown} omega") == ["rare"]


def test_a_long_query_is_cut_between_words(store: SqliteStore, item: Callable[..., Any]) -> None:
    store.replace([item("whole", "marmalade"), item("half", "marma")])
    assert keys(store, "marmalade " + "x " * 40_000) == ["whole"]
    assert keys(store, "x " * 997 + " marmalade") == []
    assert keys(store, "x " * 995 + " marmalade") == ["whole"]
    with pytest.raises(QueryTooLarge, match="100,001"):
        store.words("a" * 100_001, 1, Scope())


def test_equal_scores_stand_in_the_order_of_their_ids_at_the_limit_too(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    names = [f"{number:03d}" for number in range(300)]
    random.Random(3).shuffle(names)
    store.replace([item(name, "same words here") for name in names])
    for limit in (1, 7, 100, 299, 300, 1_000):
        assert keys(store, "same", limit) == sorted(names)[:limit]
    best = item("zzz", "same same same")
    store.replace([best])
    assert keys(store, "same", 3) == ["zzz", "000", "001"]


@pytest.mark.parametrize("lists_after", [NEVER, AT_ONCE])
def test_of_many_equals_only_the_ids_of_those_that_can_be_in_the_answer_are_read(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    lists_after: float,
) -> None:
    """They stand in blocks, those written first before the others; within a block by their ids."""
    store = open_store(tuning=Tuning(most_equal=20, lists_after=lists_after))
    names = [f"{number:03d}" for number in range(300)]
    random.Random(3).shuffle(names)
    store.replace([item(name, "same words here") for name in names])
    store.replace([item("best", "same same same")])
    wanted = ["best", *(name for n in range(0, 300, 20) for name in sorted(names[n : n + 20]))]
    read: list[int] = []
    right = word_search.chunk_ids
    monkeypatch.setattr(
        word_search,
        "chunk_ids",
        lambda view, chunks: read.append(len(chunks)) or right(view, chunks),
    )
    for limit in (1, 7, 20, 21, 25, 100, 290, 301, 1_000):
        read.clear()
        assert keys(store, "same", limit) == wanted[:limit]
        assert sum(read) <= min(limit + 20, 301)


def test_of_words_that_are_all_common_the_four_rarest_are_looked_for(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(tuning=Tuning(few_passages=10))
    listed: list[str] = []
    right = word_cache._listed
    monkeypatch.setattr(
        word_cache,
        "_listed",
        lambda view, stem, there: listed.append(stem) or right(view, stem, there),
    )
    store.replace(
        [item(f"{n:02d}", " ".join(f"w{m}" for m in range(10) if n > m)) for n in range(40)]
    )
    found = keys(store, " ".join(f"w{m}" for m in range(10)))
    assert sorted(listed) == ["w6", "w7", "w8", "w9"]
    assert sorted(found) == [f"{n:02d}" for n in range(7, 40)]


def test_a_word_that_many_passages_hold_is_remembered_at_the_first_search_for_it(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace([item(f"{n:02d}", "river" if n % 10 else "river stone") for n in range(40)])
    assert keys(store, "stone") and not store._counts.lists.lists
    assert len(keys(store, "river")) == 40 and set(store._counts.lists.lists) == {"river"}


def test_matches_are_not_looked_up_one_and_all_where_the_best_are_in_scope(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuning = Tuning(most_equal=20, checked_share=1.0, lists_after=AT_ONCE)
    store = open_store(tuning=tuning)
    store.replace(
        [item(f"{n:04d}", "same words", metadata={"even": n % 2 == 0}) for n in range(3_000)]
    )
    looked_up: list[int] = []
    joins: list[str] = []
    in_scope, statement = word_search._in_scope, word_search._statement
    monkeypatch.setattr(
        word_search,
        "_in_scope",
        lambda view, rows, scope: looked_up.append(len(rows)) or in_scope(view, rows, scope),
    )
    monkeypatch.setattr(
        word_search, "_statement", lambda *parts: joins.append(parts[1]) or statement(*parts)
    )
    even = Scope(filter=Filter.parse({"even": True}))
    assert keys(store, "same", 30, even) == [f"{n:04d}" for n in range(0, 60, 2)]
    assert not joins and sum(looked_up) <= 3 * (30 + 16)
    looked_up.clear()
    assert keys(store, "same", 2_000, even) == [f"{n:04d}" for n in range(0, 3_000, 2)]
    assert not joins and sum(looked_up) == 3_000


def test_stems_accents_and_case_make_no_difference(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace(
        [item("1", "Repeating a loop"), item("2", "Un CAFÉ noir"), item("3", "\0 \u202eodd")]
    )
    assert keys(store, "loops REPEATED") == ["1"]
    assert keys(store, "cafe") == keys(store, "cafe\u0301") == ["2"]
    assert keys(store, "odd") == ["3"]


def test_a_word_asked_in_a_scope_never_counts_others_against_the_limit(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(multi_tenant=True)
    store.replace(
        [item(str(number), "target target target", tenant="big") for number in range(200)]
    )
    store.replace(
        [item("mine", "a target among other words", tenant="small", metadata={"lang": "en"})]
    )
    assert keys(store, "target", 5, Scope("small")) == ["mine"]
    assert len(keys(store, "target", 500, Scope("big"))) == 200


def test_a_scope_asked_for_again_and_again_is_the_scope_of_now(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace(
        [
            item(f"{n:04d}", f"alpha beta{n % 7} gamma", metadata={"even": n % 2 == 0})
            for n in range(1_500)
        ]
    )
    even, odd = (Scope(filter=Filter.parse({"even": value})) for value in (True, False))
    for _ in range(DEFAULT.list_scope_after + 2):
        assert keys(store, "alpha", 10, even) == [f"{n:04d}" for n in range(0, 20, 2)]
        assert len(keys(store, "alpha beta3", 2_000, even)) == 750
        assert keys(store, "alpha", 3, odd) == ["0001", "0003", "0005"]
    store.replace([item("0002", "alpha beta2 gamma", metadata={"even": False})])
    store.remove([Ref("notes", "0000")])
    for _ in range(DEFAULT.list_scope_after + 2):
        assert keys(store, "alpha", 2, even) == ["0004", "0006"]
        assert keys(store, "alpha", 3, odd) == ["0001", "0002", "0003"]


def lists_in_memory(
    *, table_size: int = 1_000_000, room: int = 2**22, most_new_passages: int = 128
) -> Tuning:
    """Posting lists are read at once. room: bytes they may take."""
    return Tuning(
        lists_after=AT_ONCE,
        table_size=table_size,
        table_gap=0,
        least_list_bytes=room,
        list_bytes_per_passage=0,
        most_new_passages=most_new_passages,
    )


@pytest.mark.parametrize("table_size", [1_000_000, 0])
def test_words_remembered_give_the_answer_of_fts5(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], table_size: int
) -> None:
    store = open_store(tuning=lists_in_memory(table_size=table_size))
    asks_fts5 = open_store(tuning=Tuning(lists_after=NEVER))
    made = random.Random(11)
    common = [f"w{number}" for number in range(40)]
    texts = [
        " ".join(common[int(40 * made.random() ** 2)] for _ in range(made.randrange(1, 9)))
        for _ in range(600)
    ]
    store.replace(
        [
            item(f"{n:03d}", text, metadata={"even": n % 2 == 0, "few": n % 50 == 0})
            for n, text in enumerate(texts)
        ]
    )
    scopes = [
        Scope(),
        *(
            Scope(filter=Filter.parse(where))
            for where in ({"even": True}, {"few": True}, {"few": "no"})
        ),
    ]
    queries = [" ".join(made.choices([*common, "zz"], k=made.randrange(1, 7))) for _ in range(60)]
    queries += [" ".join([*common, *common]), "w0 " * 5 + "w1"]
    asked = [
        (query, limit, scope) for query in queries for limit in (1, 10, 700) for scope in scopes
    ]
    plain = [asks_fts5.words(*one) for one in asked]
    again = [store.words(*one) for one in asked]
    assert [one.ids for one in again] == [one.ids for one in plain]
    for one, other in zip(again, plain, strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-12)


def test_given_chunks_score_what_words_gives_them_whether_words_are_remembered_or_not(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = random.Random(5)
    common = [f"w{number}ing" for number in range(40)]
    texts = [
        " ".join(common[int(40 * made.random() ** 2)] for _ in range(made.randrange(1, 60)))
        for _ in range(400)
    ]
    items = [item(f"{n:03d}", text) for n, text in enumerate(texts)]
    open_store().replace(items)
    ids = [entry.chunk.id for _, entries in items for entry in entries]
    queries = [
        " ".join(made.choices([*common, "zz", "w3", "w3s"], k=made.randrange(1, 9)))
        for _ in range(40)
    ]
    queries += [" ".join([*common, *common]), "w0ing " * 5 + "w1ing", "zz"]
    looked_at: list[str] = []
    monkeypatch.setattr(
        word_search,
        "split",
        lambda raw, text, *how: looked_at.append(text) or split(raw, text, *how),
    )
    for lists_after in (NEVER, AT_ONCE):
        store = open_store(tuning=Tuning(lists_after=lists_after))
        looked_at.clear()
        for query in queries:
            ranking = store.words(query, 1_000, Scope())
            listed = dict(zip(ranking.ids, ranking.scores, strict=True))
            assert store.score(ids, query) == pytest.approx(
                [listed.get(id, 0.0) for id in ids], rel=1e-12
            )
        assert bool(store._counts.lists.lists) is (lists_after == AT_ONCE)
        assert bool(looked_at) is (lists_after == NEVER)


@pytest.mark.parametrize("scores_first", [True, False])
def test_given_chunks_score_what_words_gives_them_after_every_write(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], scores_first: bool
) -> None:
    """Whether the cached words include the write or not yet;
    and an old snapshot has numbers of its own.
    """
    made = random.Random(8)
    store = open_store(tuning=lists_in_memory())
    writes = open_store()
    plain = open_store(tuning=Tuning(lists_after=NEVER))
    common = [f"w{number}" for number in range(12)]
    queries = ["w0", "w1 w0 w7", "w3 w3 w9 zz"]
    ids = [ChunkId(Ref("notes", f"{number:03d}"), 0) for number in range(90)]

    def document(number: int) -> Any:
        return item(
            f"{number:03d}",
            " ".join(common[int(12 * made.random() ** 2)] for _ in range(made.randrange(1, 30))),
        )

    def right() -> list[Any]:
        """What FTS5 gives all that are there."""
        rankings = [plain.words(query, 1_000, Scope()) for query in queries]
        there = {id for id in ids if plain.get(id.ref) is not None}
        found = [dict(zip(one.ids, one.scores, strict=True)) for one in rankings]
        return [[one.get(id, 0.0) if id in there else np.nan for id in ids] for one in found]

    writes.replace([document(number) for number in range(60)])
    for turn in range(30):
        wanted = right()
        if not scores_first:
            for query in queries:
                store.words(query, 5, Scope())
        for query, numbers in zip(queries, wanted, strict=True):
            assert store.score(ids, query) == pytest.approx(numbers, rel=1e-12, nan_ok=True), turn
            store.words(query, 5, Scope())
        with plain.snapshot(), store.snapshot():
            store.stats()  # the snapshot begins
            wanted = right()
            if turn % 3 == 0:
                writes.remove([Ref("notes", f"{made.randrange(90):03d}")])
            else:
                writes.replace([document(made.randrange(90))])
            ahead = threading.Thread(target=store.words, args=(queries[0], 5, Scope()))
            ahead.start()
            ahead.join()
            for query, numbers in zip(queries, wanted, strict=True):
                assert store.score(ids, query) == pytest.approx(numbers, rel=1e-12, nan_ok=True), (
                    turn
                )


def test_a_word_that_becomes_common_weighs_less_at_once(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    """Also where so little changed that the counts which choose words are kept."""
    store.replace([item(f"{n:02d}", f"river stone{n % 7}") for n in range(40)])
    store.replace([item(f"sand{n:02d}", "sand dune") for n in range(60)])
    id = ChunkId(Ref("notes", "07"), 0)
    for number in range(8):
        listed = dict(pairs(store, "stone0 dune"))
        assert store.score([id], "stone0 dune")[0] == pytest.approx(listed[id], rel=1e-12)
        store.replace([item(f"sand{number:02d}", "stone0 now")])


def pairs(store: SqliteStore, text: str) -> list[tuple[ChunkId, float]]:
    ranking = store.words(text, 1_000, Scope())
    return list(zip(ranking.ids, ranking.scores, strict=True))


@pytest.mark.parametrize("lists_after", [NEVER, AT_ONCE])
def test_titles_are_found_whatever_is_remembered(
    open_store: Callable[..., SqliteStore], lists_after: float
) -> None:
    embedder = HashEmbedder()
    store = open_store(space=embedder.space, tuning=Tuning(lists_after=lists_after))
    titles = {
        "json.dumps": "Serialize obj",
        "JSON dumps and loads": "Both",
        "a b c d e f g h i j k l": "Many words",
        "a b c d e f g h other": "Others",
        " ".join(f"long{number}" for number in range(60)): "More than a passage shows of a title",
        "Éclair": "Sweet",
        "漢字": "Signs",
    }
    with SemanticCore(store=store, embedder=embedder) as core:
        core.ingest(
            Document(Ref("notes", title), text, title=title) for title, text in titles.items()
        )
        core.ingest(
            Document(Ref("notes", f"x{n}"), "json dumps a b c d " * 9, title="X")
            for n in range(300)
        )
        for title in titles:
            asked = title.upper().replace(".", "  ")
            store.words(asked, 10, Scope())
            assert store.titled(asked, 1, Scope()).ids == (ChunkId(Ref("notes", title), 0),)
            assert store.titled(asked, 1, Scope()).scores == (1.0,)
        assert store.titled("eclair", 5, Scope()).ids == (ChunkId(Ref("notes", "Éclair"), 0),)
        assert len(store.titled("x", 1_000, Scope())) == 300
        assert store.titled("x", 7, Scope()).ids == store.titled("x", 300, Scope()).ids[:7]
        assert store.titled("x" * 5_000, 7, Scope()).ids == ()


def test_of_what_may_be_called_like_a_query_few_titles_are_looked_at(
    open_store: Callable[..., SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in scope that were written first."""
    embedder = HashEmbedder()
    store = open_store(space=embedder.space, tuning=Tuning(most_titles=10))
    SemanticCore(store=store, embedder=embedder).ingest(
        Document(Ref("notes", f"{n:03d}"), "text", title="River", metadata={"even": n % 2 == 0})
        for n in range(500)
    )
    looked_at: list[str] = []
    monkeypatch.setattr(
        word_search,
        "split",
        lambda raw, text, *how: looked_at.append(text) or split(raw, text, *how),
    )
    even = Scope(filter=Filter.parse({"even": True}))
    assert [id.ref.key for id in store.titled("river", 4, even).ids] == ["000", "002", "004", "006"]
    assert len(store.titled("river", 100, even)) == 10
    assert len(looked_at) == 2 * 11


def test_words_remembered_are_those_of_now(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=lists_in_memory())
    other = open_store(tuning=lists_in_memory())
    store.replace([item("1", "river stone"), item("2", "river")])
    assert keys(store, "river") == ["2", "1"]
    other.replace([item("3", "river", vectors=False)])
    assert keys(store, "river") == ["2", "3", "1"]
    other.replace([item("2", "stone", vectors=False)])
    assert keys(store, "river") == keys(other, "river") == ["3", "1"]
    with store.snapshot():
        assert keys(store, "stone") == ["2", "1"]
        other.remove([Ref("notes", "1")])
        assert keys(other, "stone") == ["2"]
        assert keys(store, "stone") == ["2", "1"]
    assert keys(store, "stone") == ["2"]
    store.repair()
    assert keys(store, "stone river") == keys(other, "stone river") == ["2", "3"]


def test_words_remembered_take_no_more_room_than_they_may(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=lists_in_memory(room=5_000))
    store.replace([item(str(number), f"all w{number % 9} v{number % 5}") for number in range(300)])
    for query in (
        "w0",
        "all",
        "w1 w2",
        "v1",
        "all w3 v2 v3",
        *(f"v{number} w{number}" for number in range(5)),
    ):
        assert keys(store, query)
        held = [column.nbytes for kept in store._counts.lists.lists.values() for column in kept]
        assert sum(held) <= store._counts.lists.bytes <= 5_000
    store.words(" ".join(f"unknown{number}" for number in range(30)), 1, Scope())
    assert len(store._counts.lists.lists) <= 10


def test_a_document_is_called_by_its_own_name_whatever_was_there_before(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=Tuning(most_ids=4))
    other = open_store()
    for number in range(12):
        other.replace([item(f"{number}-{place}", "river") for place in range(3)])
        assert keys(store, "river") == [f"{number}-{place}" for place in range(3)]
        assert len(store._pool._ids) <= 4
        other.remove([Ref("notes", f"{number}-{place}") for place in range(3)])
    assert keys(store, "river") == []


@pytest.mark.parametrize("with_vectors", [True, False])
def test_words_remembered_survive_what_is_written_and_are_those_of_fts5(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    with_vectors: bool,
) -> None:
    """One store remembers, another asks FTS5: after every write the same ids and scores,
    and no word is listed again.
    """
    made = random.Random(5)
    remembers = open_store(tuning=Tuning(lists_after=AT_ONCE))
    writes = open_store()
    plain = open_store(tuning=Tuning(lists_after=NEVER))
    common = [f"w{number}" for number in range(12)]
    queries = [*common[:4], "w0 w1 w5", "w3 w3 w9 zz"]

    def text() -> str:
        return " ".join(common[int(12 * made.random() ** 2)] for _ in range(made.randrange(0, 9)))

    def document(key: int) -> Any:
        return item(
            f"{key:03d}",
            *[text() for _ in range(made.randrange(1, 4))],
            vectors=made.random() < 0.8,
        )

    def answers(store: SqliteStore) -> list[Any]:
        with store.snapshot():
            if with_vectors:  # what a search by meaning has in memory shows which passages went
                store.nearest(np.ones(8, dtype=np.float32), 5, Scope())
            return [store.words(query, 50, Scope()) for query in queries]

    writes.replace([document(key) for key in range(200)])
    listed: list[str] = []
    right = word_cache._listed
    monkeypatch.setattr(
        word_cache,
        "_listed",
        lambda view, stem, there: listed.append(stem) or right(view, stem, there),
    )
    for turn in range(60):
        if made.random() < 0.3:
            writes.remove(
                [Ref("notes", f"{made.randrange(230):03d}") for _ in range(made.randrange(1, 3))]
            )
        else:
            writes.replace([document(made.randrange(230)) for _ in range(made.randrange(1, 4))])
        wanted = answers(plain)
        found = answers(remembers)
        assert [one.ids for one in found] == [one.ids for one in wanted], turn
        for one, other in zip(found, wanted, strict=True):
            assert one.scores == pytest.approx(other.scores, rel=1e-12)
    assert sorted(listed) == sorted({word for query in queries for word in query.split()})


def test_after_much_was_written_words_remembered_are_those_of_now(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=lists_in_memory(most_new_passages=3))
    other = open_store()
    other.replace([item("1", "river stone"), item("2", "stone")])
    assert keys(store, "river") == ["1"]
    other.replace([item(f"x{number}", "river") for number in range(9)])
    assert len(keys(store, "river")) == 10
    assert keys(store, "stone") == ["2", "1"]


def test_a_search_in_all_collections_there_are_is_one_in_everything(
    store: SqliteStore, item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that leaves a collection out, before, between or behind those it names,
    never finds what is in it.
    """
    names = ["a", "b", "d", "f"]
    store.replace(
        [item(f"{name}{number}", "river", collection=name) for name in names for number in range(3)]
    )
    for left_out in [None, *names]:
        named = tuple(name for name in names if name != left_out)
        found = store.words("river", 100, Scope(collections=named)).ids
        assert {id.ref.collection for id in found} == set(named) and len(found) == 3 * len(named)
    assert len(store.words("river", 100, Scope(collections=(*names, "zzz", "c"))).ids) == 12
    assert store.words("river", 100, Scope(collections=())).ids == ()
