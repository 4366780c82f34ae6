"""Full-text search: the scores of FTS5, removed words are not found, nothing in a query is syntax,
and equal scores have an order.
"""

from __future__ import annotations

import random
import string
import threading
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_search
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import ChunkId, Ref, Scope
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import AnalyserMismatch, QueryTooLarge
from semantic_core.filters import Filter
from semantic_core.types import Token

TINY = Tuning(tail=3, merge_factor=2, merge_inline=True, scope_factor=1, spare_rows=1)
"""Segments so small that every boundary is crossed, and merged all the time."""
VOCABULARY = ["loop", "cat", "dog", "café", "naïve", "seven", "river", "stone", "ёж", "漢字"]


def keys(store: SqliteStore, text: str, limit: int = 100, scope: Scope = Scope()) -> list[str]:  # noqa: B008 - frozen
    return [id.ref.key for id in store.words(text, limit, scope).ids]


class Fts5:
    """The full-text search of SQLite, given the same terms."""

    def __init__(self) -> None:
        self._raw = apsw.Connection(":memory:")
        self._raw.execute("create virtual table words using fts5 (terms, tokenize = 'ascii')")
        self._ids: dict[ChunkId, int] = {}

    def replace(self, item: Any) -> None:
        document, entries = item
        self.remove(document.ref)
        for entry in entries:
            number = max(self._ids.values(), default=0) + 1
            self._ids[entry.chunk.id] = number
            terms = " ".join(token.term for token in WordAnalyser().tokens(entry.passage))
            self._raw.execute("insert into words (rowid, terms) values (?, ?)", (number, terms))

    def remove(self, ref: Ref) -> None:
        for id in [id for id in self._ids if id.ref == ref]:
            self._raw.execute("delete from words where rowid = ?", (self._ids.pop(id),))

    def scores(self, query: str) -> dict[ChunkId, float]:
        terms = [f'"{token.term}"' for token in WordAnalyser().tokens(query)]
        if not terms:
            return {}
        rows = self._raw.execute(
            "select rowid, -bm25(words) from words where words match ?", (" OR ".join(terms),)
        )
        found = dict(rows.fetchall())
        return {id: found[number] for id, number in self._ids.items() if number in found}


def as_fts5(fts5: Fts5, store: SqliteStore, query: str) -> None:
    """The store finds the same chunks with the same scores, at every limit the best of them."""
    wanted = fts5.scores(query)
    found = store.words(query, 10_000, Scope())
    assert dict(zip(found.ids, found.scores, strict=True)) == pytest.approx(wanted, rel=1e-9)
    for limit in (1, 3, 10):
        best = store.words(query, limit, Scope()).scores
        assert best == pytest.approx(sorted(wanted.values(), reverse=True)[:limit], rel=1e-9)


@pytest.mark.parametrize("tuning", [Tuning(), TINY], ids=["usual", "tiny"])
def test_scores_are_those_of_fts5_after_every_write(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], tuning: Tuning
) -> None:
    made = random.Random(5)
    store = open_store(tuning=tuning)
    writes = open_store(tuning=tuning)
    fts5 = Fts5()
    common = [f"w{number}" for number in range(12)]
    queries = [*common[:3], "w0 w1 w5", "w3 w3 w9 zz", " ".join(common)]

    def text() -> str:
        return " ".join(common[int(12 * made.random() ** 2)] for _ in range(made.randrange(0, 9)))

    for _ in range(50):
        key = f"{made.randrange(40):03d}"
        if made.random() < 0.3:
            writes.remove([Ref("notes", key)])
            fts5.remove(Ref("notes", key))
        else:
            some = [item(f"{made.randrange(40):03d}", *[text() for _ in range(3)]) for _ in "ab"]
            writes.replace(some)
            for one in some:
                fts5.replace(one)
        for query in queries:
            as_fts5(fts5, store, query)
    assert writes.check() == []


@pytest.mark.parametrize("times", [1, 254, 255, 256, 70_000])
def test_a_word_may_be_there_any_number_of_times(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], times: int
) -> None:
    store = open_store(tuning=TINY)
    fts5 = Fts5()
    given = [item("often", "river " * times)]
    given += [item(f"{n}", f"river stone{n}" if n % 3 else "sand") for n in range(9)]
    for one in given:
        store.replace([one])
        fts5.replace(one)
    as_fts5(fts5, store, "river")
    as_fts5(fts5, store, "river sand stone4")


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
    assert store.check() == []


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
@pytest.mark.parametrize("tuning", [Tuning(), TINY], ids=["usual", "tiny"])
def test_the_index_agrees_with_the_passages_after_any_history(
    history: list[Any],
    tuning: Tuning,
    tmp_path_factory: Any,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
) -> None:
    store = open_store(tmp_path_factory.mktemp("history") / "index.db", tuning=tuning)
    there: dict[str, list[str]] = {}
    for key, chunks in history:
        if chunks is None:
            store.remove([Ref("notes", key)])
            there.pop(key, None)
        else:
            there[key] = [" ".join(words) for words in chunks]
            store.replace([item(key, *there[key])])
    assert store.check() == []
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
    store.replace([item(f"w{n}", *[f"w{n}"] * (n + 1)) for n in range(40)])
    assert f"w{39}" not in keys(store, common, 500) and "w0" in keys(store, common, 500)


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


def test_of_many_equals_only_the_ids_of_those_that_can_be_in_the_answer_are_read(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They stand in blocks, those written first before the others; within a block by their ids."""
    store = open_store(tuning=Tuning(most_equal=20))
    names = [f"{number:03d}" for number in range(300)]
    random.Random(3).shuffle(names)
    store.replace([item(name, "same words here") for name in names])
    store.replace([item("best", "same same same")])
    wanted = ["best", *(name for n in range(0, 300, 20) for name in sorted(names[n : n + 20]))]
    read: list[int] = []
    right = text_search.chunk_ids
    monkeypatch.setattr(
        text_search,
        "chunk_ids",
        lambda view, chunks: read.append(len(chunks)) or right(view, chunks),
    )
    for limit in (1, 7, 20, 21, 25, 100, 290, 301, 1_000):
        read.clear()
        assert keys(store, "same", limit) == wanted[:limit]
        assert sum(read) <= min(limit + 20, 301)


def test_of_words_that_are_all_common_the_four_rarest_are_looked_for(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=Tuning(few_passages=10))
    store.replace(
        [item(f"{n:02d}", " ".join(f"w{m}" for m in range(10) if n > m)) for n in range(40)]
    )
    found = keys(store, " ".join(f"w{m}" for m in range(10)))
    assert sorted(found) == [f"{n:02d}" for n in range(7, 40)]


def test_matches_are_not_looked_up_one_and_all_where_the_best_are_in_scope(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(tuning=Tuning(most_equal=20, checked_share=1.0))
    store.replace(
        [item(f"{n:04d}", "same words", metadata={"even": n % 2 == 0}) for n in range(3_000)]
    )
    looked_up: list[int] = []
    right = text_search.in_scope
    monkeypatch.setattr(
        text_search,
        "in_scope",
        lambda view, clause, ids: looked_up.append(len(ids)) or right(view, clause, ids),
    )
    even = Scope(filter=Filter.parse({"even": True}))
    assert keys(store, "same", 30, even) == [f"{n:04d}" for n in range(0, 60, 2)]
    assert sum(looked_up) <= 3 * (30 + 16) + 3 * (30 + 20)
    looked_up.clear()
    # Asked for again in the same state, all documents in scope are known.
    assert keys(store, "same", 2_000, even) == [f"{n:04d}" for n in range(0, 3_000, 2)]
    assert not looked_up


def test_accents_and_case_make_no_difference(store: SqliteStore, item: Callable[..., Any]) -> None:
    store.replace(
        [item("1", "Repeating a loop"), item("2", "Un CAFÉ noir"), item("3", "\0 \u202eodd")]
    )
    assert keys(store, "LOOP repeating") == ["1"]
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
    assert keys(store, "target", 5, Scope("nobody")) == []


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
    for _ in range(4):
        assert keys(store, "alpha", 10, even) == [f"{n:04d}" for n in range(0, 20, 2)]
        assert len(keys(store, "alpha beta3", 2_000, even)) == 750
        assert keys(store, "alpha", 3, odd) == ["0001", "0003", "0005"]
    store.replace([item("0002", "alpha beta2 gamma", metadata={"even": False})])
    store.remove([Ref("notes", "0000")])
    for _ in range(4):
        assert keys(store, "alpha", 2, even) == ["0004", "0006"]
        assert keys(store, "alpha", 3, odd) == ["0001", "0002", "0003"]
    store.replace([item("0001", "alpha beta1 gamma", metadata={"even": True})])  # no word changed
    for _ in range(4):
        assert keys(store, "alpha", 2, even) == ["0001", "0004"]
        assert keys(store, "alpha", 2, odd) == ["0002", "0003"]


@pytest.mark.parametrize("scores_first", [True, False])
@pytest.mark.parametrize("tuning", [Tuning(), TINY], ids=["usual", "tiny"])
def test_given_chunks_score_what_words_gives_them_after_every_write(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    scores_first: bool,
    tuning: Tuning,
) -> None:
    """Whether the process has seen the write yet or not; an old snapshot has its own numbers."""
    made = random.Random(8)
    store = open_store(tuning=tuning)
    writes = open_store(tuning=tuning)
    plain = open_store(tuning=tuning)
    common = [f"w{number}" for number in range(12)]
    queries = ["w0", "w1 w0 w7", "w3 w3 w9 zz"]
    ids = [ChunkId(Ref("notes", f"{number:03d}"), 0) for number in range(90)]

    def document(number: int) -> Any:
        return item(
            f"{number:03d}",
            " ".join(common[int(12 * made.random() ** 2)] for _ in range(made.randrange(1, 30))),
        )

    def right() -> list[Any]:
        """What a search gives all that are there."""
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
                in_thread(writes.remove, [Ref("notes", f"{made.randrange(90):03d}")])
            else:
                in_thread(writes.replace, [document(made.randrange(90))])
            in_thread(store.words, queries[0], 5, Scope())
            for query, numbers in zip(queries, wanted, strict=True):
                assert store.score(ids, query) == pytest.approx(numbers, rel=1e-12, nan_ok=True), (
                    turn
                )


def in_thread(call: Callable[..., Any], *args: Any) -> None:
    thread = threading.Thread(target=call, args=args)
    thread.start()
    thread.join()


def test_a_word_that_becomes_common_weighs_less_at_once(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace([item(f"{n:02d}", f"river stone{n % 7}") for n in range(40)])
    store.replace([item(f"sand{n:02d}", "sand dune") for n in range(60)])
    id = ChunkId(Ref("notes", "07"), 0)
    scores = []
    for number in range(8):
        listed = dict(pairs(store, "stone0"))
        assert store.score([id], "stone0")[0] == pytest.approx(listed[id], rel=1e-12)
        scores.append(listed[id])
        store.replace([item(f"sand{number:02d}", "stone0 now")])
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == len(scores)


def pairs(store: SqliteStore, text: str) -> list[tuple[ChunkId, float]]:
    ranking = store.words(text, 1_000, Scope())
    return list(zip(ranking.ids, ranking.scores, strict=True))


def test_a_document_is_called_by_its_own_name_whatever_was_there_before(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=Tuning(most_ids=4))
    other = open_store()
    for number in range(12):
        other.replace([item(f"{number}-{place}", "river") for place in range(3)])
        assert keys(store, "river") == [f"{number}-{place}" for place in range(3)]
        assert len(store._pool._shared.ids) <= 4
        other.remove([Ref("notes", f"{number}-{place}") for place in range(3)])
    assert keys(store, "river") == []


def test_a_search_in_all_collections_there_are_is_one_in_everything(
    store: SqliteStore, item: Callable[..., Any]
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


class Cut:
    """An analyser whose terms are the first letters of words."""

    def __init__(self, letters: int) -> None:
        self.identity = f"cut-{letters}"
        self._letters = letters

    def tokens(self, text: str, language: str | None = None) -> list[Token]:
        """Each word cut; in the language "x-none", none."""
        if language == "x-none":
            return []
        found = WordAnalyser().tokens(text)
        return [token._replace(term=token.term[: self._letters]) for token in found]

    query_tokens = tokens


class Either(WordAnalyser):
    """An analyser for which "color" and "colour" are alternatives in a query."""

    identity = "either"

    def query_tokens(self, text: str, language: str | None = None) -> list[Token]:
        """Each word, and its other spelling at the same position."""
        spellings = ("color", "colour")
        tokens: list[Token] = []
        for token in self.tokens(text):
            terms = spellings if token.term in spellings else (token.term,)
            tokens += [token._replace(term=term) for term in terms]
        return tokens


@pytest.mark.parametrize("tuning", [Tuning(), TINY], ids=["usual", "tiny"])
def test_alternatives_are_one_word_however_rare_each_is(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], tuning: Tuning
) -> None:
    """The scores are those of an index in which all are spelled alike."""
    texts = ["red color", "color color wheel", "colour chart", "color of colour", "blue", "wheel"]
    texts += ["plain color"] * 3 + ["nothing"] * 9
    store = open_store(tuning=tuning, analyser=Either())
    fts5 = Fts5()
    ids = []
    for number, text in enumerate(texts):
        one = item(str(number), text)
        ids += [entry.chunk.id for entry in one[1]]
        store.replace([one])
        fts5.replace(item(str(number), text.replace("colour", "color")))
    for query in ("color", "colour wheel", "Color COLOUR chart"):
        wanted = fts5.scores(query.lower().replace("colour", "color"))
        found = store.words(query, 50, Scope())
        assert dict(zip(found.ids, found.scores, strict=True)) == pytest.approx(wanted, rel=1e-9)
        scores = store.score(ids, query)
        assert scores == pytest.approx([wanted.get(id, 0.0) for id in ids], rel=1e-9)


@pytest.fixture
def cut_store(open_store: Callable[..., SqliteStore]) -> Iterator[SqliteStore]:
    yield open_store(analyser=Cut(4))


def test_an_index_is_searched_with_the_analyser_that_made_it(
    cut_store: SqliteStore, open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    assert cut_store.text_analyser is None
    cut_store.replace([item("1", "rivers and lakes")])
    assert cut_store.text_analyser == "cut-4"
    assert keys(cut_store, "riverside") == ["1"]
    other = open_store()
    for use in (
        lambda: other.words("rivers", 1, Scope()),
        lambda: other.score([], "rivers"),
        lambda: other.replace([item("2", "sand")]),
        lambda: other.remove([Ref("notes", "1")]),
        lambda: other.use_analyser(WordAnalyser()),
        other.check,
    ):
        with pytest.raises(AnalyserMismatch, match="cut-4.*words-1"):
            use()
    assert other.get(Ref("notes", "2")) is None
    other.use_analyser(Cut(4))
    assert keys(other, "riverbed") == ["1"]


def test_an_index_is_made_anew_with_another_analyser(
    cut_store: SqliteStore, open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    cut_store.replace([item(f"{n}", f"rivers{n} lake") for n in range(9)])
    other = open_store()
    other.reanalyse(WordAnalyser())
    assert other.text_analyser == "words-1"
    assert keys(other, "rivers3") == ["3"] and other.check() == []
    with pytest.raises(AnalyserMismatch, match="words-1.*cut-4"):
        cut_store.words("rivers", 1, Scope())
    cut_store.use_analyser(WordAnalyser())
    assert keys(cut_store, "rivers4") == ["4"]


def test_a_document_whose_language_changes_is_analysed_again(
    cut_store: SqliteStore, item: Callable[..., Any]
) -> None:
    import attrs

    document, entries = item("1", "rivers")
    cut_store.replace([(document, entries)])
    assert keys(cut_store, "rivers") == ["1"]
    cut_store.replace([(attrs.evolve(document, language="x-none"), entries)])
    assert keys(cut_store, "rivers") == []
    cut_store.replace([(document, entries)])
    assert keys(cut_store, "rivers") == ["1"]
    assert cut_store.check() == []


def test_a_file_of_an_earlier_release_gets_its_index_by_the_first_search_or_write(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    """There, documents without vectors had no home either."""
    given = [item("1", "river stone"), item("2", "river", vectors=False)]
    for first in (
        lambda store: keys(store, "river"),
        lambda store: store.score([ChunkId(Ref("notes", "1"), 0)], "river"),
        lambda store: store.replace([item("3", "sand")]),
        lambda store: store.remove([Ref("notes", "4")]),
    ):
        store = open_store()
        store.replace([*given, item("4", "lake")])
        store.close()
        raw = apsw.Connection(str(store.path))
        for table in ("state", "tail", "word"):
            raw.execute(f"delete from semantic_index_text_{table}")
        raw.execute("delete from semantic_index_home")
        raw.close()
        store = open_store()
        first(store)
        assert sorted(keys(store, "river")) == ["1", "2"]
        store.repair()
        assert store.check() == []
        store.remove([Ref("notes", "3")])
        store.close()
