"""How a search ranks: what its scores mean, which steps can be switched off, boosts and age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import Document, Ref, SearchHit, SemanticCore
from semantic_core._memory.store import MemoryStore
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import EmbedderUnavailable, InputError
from semantic_core.ranking import STEPS, RankingOptions, Recency
from semantic_core.testing import HashEmbedder
from semantic_core.types import Token

WORDS = ("loop", "list", "block", "item", "break", "value", "index", "sorted", "reverse", "key")


def note(key: str, text: str, **fields: Any) -> Document:
    return Document(Ref("notes", key), text, **fields)


def opened(*documents: Document, embedder: Any = None, store: Any = None, **options: Any) -> Any:
    embedder = embedder or HashEmbedder()
    core = SemanticCore(store=store or MemoryStore(embedder.space), embedder=embedder, **options)
    core.ingest(documents)
    return core


def keys(results: Sequence[SearchHit]) -> list[str]:
    return [hit.ref.key for hit in results]


def others(count: int = 20) -> list[Document]:
    return [
        note(f"other{number:02}", f"unrelated passage {number} of it") for number in range(count)
    ]


# --- scores ---------------------------------------------------------------------------------------


def test_the_very_text_scores_1_and_a_text_without_words_and_meaning_nearly_0() -> None:
    core = opened(note("same", "zorbak velquon tirefok"), *others())
    results = core.search("zorbak velquon tirefok", limit=50)
    assert results[0].ref.key == "same"
    assert results[0].score > 0.99
    assert results[-1].score < 0.1


def test_all_words_of_a_query_in_a_longer_passage_score_high() -> None:
    text = "here is zorbak and then velquon stands beside many more words than that"
    core = opened(note("holds", text), *others())
    assert core.search("zorbak velquon")[0].score > 0.5
    half = core.search("zorbak absentword")[0].score
    assert 0.2 < half < core.search("zorbak")[0].score


def test_an_index_of_two_rows_does_not_give_the_same_two_scores_to_every_query() -> None:
    core = opened(note("rake", "garden rake"), note("hose", "garden hose"))
    found = {
        query: tuple(round(hit.score, 2) for hit in core.search(query))
        for query in ("garden rake", "garden", "rake", "hose", "quantum physics")
    }
    assert len(set(found.values())) >= 4
    assert max(found["quantum physics"]) < 0.1 < min(found["garden rake"])


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_hits_below_min_score_are_left_out_in_every_mode(mode: Any) -> None:
    core = opened(note("same", "zorbak velquon"), note("half", "zorbak tirefok"), *others())
    everything = core.search("zorbak velquon", limit=50, mode=mode)
    for least in (0.0, 0.05, 0.3, 0.6, 1.0):
        found = core.search("zorbak velquon", limit=50, mode=mode, min_score=least)
        assert keys(found) == [hit.ref.key for hit in everything if hit.score >= least]
    assert keys(core.search("zorbak velquon", mode=mode, min_score=0.3))[0] == "same"
    assert not core.search("nothing like that", mode=mode, min_score=0.9)


def test_hits_in_the_order_of_a_field_have_the_same_scores_and_the_same_cut() -> None:
    core = opened(
        note("a", "zorbak velquon", metadata={"year": 1}),
        note("b", "zorbak tirefok and more", metadata={"year": 2}),
        *others(),
    )
    asked = {"order_by": "-year", "mode": "text"}
    found = core.search("zorbak velquon", **asked)
    assert keys(found) == ["b", "a"]
    plain = {hit.ref.key: hit.score for hit in core.search("zorbak velquon", mode="text")}
    assert {hit.ref.key: hit.score for hit in found} == pytest.approx(plain)
    assert keys(core.search("zorbak velquon", min_score=plain["a"] - 0.01, **asked)) == ["a"]


def test_min_score_means_the_same_if_the_embedder_fails() -> None:
    embedder = HashEmbedder()
    core = opened(note("same", "zorbak velquon"), *others(), embedder=embedder)
    embedder.fail_with = EmbedderUnavailable("away")
    found = core.search("zorbak absent words", min_score=0.9)
    assert found.degraded and not found
    assert keys(core.search("zorbak velquon", min_score=0.4)) == ["same"]


def test_a_cut_holds_on_every_page() -> None:
    core = opened(
        *(note(f"{number:02}", "zorbak " + "more " * number) for number in range(15)), *others(40)
    )
    everything = core.search("zorbak", limit=100)
    least = everything[9].score
    wanted = [hit.ref.key for hit in everything if hit.score >= least]
    assert 10 <= len(wanted) < 50
    paged = [
        hit.ref.key
        for offset in range(0, 60, 7)
        for hit in core.search("zorbak", limit=7, offset=offset, min_score=least)
    ]
    assert paged == wanted


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=25),
    texts,
    st.lists(st.sampled_from(STEPS), unique=True),
    st.sampled_from(["hybrid", "vector", "text"]),
)
def test_scores_are_from_0_to_1_and_never_rise_on_any_page_whatever_the_steps(
    passages: list[list[str]], query: str, steps: list[str], mode: Any
) -> None:
    documents = [note(str(number), "\n\n".join(of)) for number, of in enumerate(passages)]
    core = opened(*documents, max_chars=50)
    options = {"steps": steps}
    everything = list(core.search_chunks(query, limit=100, mode=mode, ranking=options))
    scores = [hit.score for hit in everything]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    paged = [
        hit
        for offset in range(0, len(everything), 3)
        for hit in core.search_chunks(query, limit=3, offset=offset, mode=mode, ranking=options)
    ]
    assert [(hit.id, hit.score) for hit in paged] == [(hit.id, hit.score) for hit in everything]


@pytest.mark.parametrize("score", [-0.1, 1.1, "1", None, True, float("nan")])
def test_a_min_score_that_cannot_be_meant_is_refused(score: Any) -> None:
    with pytest.raises(InputError, match="min_score must be a number from 0 to 1"):
        opened().search("x", min_score=score)


# --- steps ----------------------------------------------------------------------------------------


def test_each_step_is_timed_and_says_what_it_did() -> None:
    core = opened(note("a", "zorbak velquon"), note("b", "zorbak"), *others())
    results = core.search("zorbak velquon")
    steps = {"fuse by documents", "fuse by vectors", "fuse by feedback", "fuse by neighbours"}
    assert steps <= results.timings.keys()
    assert sum(results.timings[step] for step in steps) <= results.timings["fuse"]
    assert results[0].parts.keys() == {"vector", "words", "feedback", "neighbours"}
    sums = [sum(hit.parts.values()) for hit in results]
    assert sums == sorted(sums, reverse=True)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_can_be_switched_off_for_a_search_or_for_all(step: str) -> None:
    documents = [note("a", "zorbak velquon"), note("b", "zorbak"), *others()]
    rest = [name for name in STEPS if name != step]
    for_one = opened(*documents).search("zorbak velquon", ranking={"steps": rest})
    for_all = opened(*documents, ranking={"steps": rest}).search("zorbak velquon")
    for results in (for_one, for_all):
        assert f"fuse by {step}" not in results.timings
        assert step not in results[0].parts
    assert for_one[0].parts == for_all[0].parts


def test_the_search_itself_decides_over_the_index() -> None:
    core = opened(note("a", "zorbak"), *others(), ranking={"steps": []})
    assert core.search("zorbak")[0].parts.keys() == {"vector", "words"}
    again = core.search("zorbak", ranking={"steps": ["neighbours"]})
    assert "neighbours" in again[0].parts


def test_a_store_without_vectors_of_chunks_and_without_scale_is_searched_all_the_same() -> None:
    class Plain(MemoryStore):
        vectors = None  # type: ignore[assignment]
        full_score = None  # type: ignore[assignment]

    embedder = HashEmbedder()
    core = opened(note("a", "zorbak"), *others(), embedder=embedder, store=Plain(embedder.space))
    results = core.search("zorbak")
    assert results[0].ref.key == "a"
    assert 0.5 < results[0].score <= 1
    assert results[0].parts.keys() == {"vector", "words"}


def test_a_passage_beside_the_one_with_the_words_is_preferred_to_other_documents() -> None:
    """Of two equal passages, the one whose document contains the rest of the query is better."""
    beside = "the passage about it is beside the other one"
    long = note("long", f"{beside}\n\nzorbak velquon tirefok and more words than fit in")
    core = opened(note("alone", beside), long, *others(), max_chars=60)

    def places(*steps: str) -> list[tuple[str, int]]:
        options = {"steps": steps}
        found = core.search_chunks("zorbak passage beside", limit=50, ranking=options)
        places = [(hit.ref.key, hit.position) for hit in found]
        return sorted([("alone", 0), ("long", 0)], key=places.index)

    assert places() == [("alone", 0), ("long", 0)]
    assert places("documents") == [("long", 0), ("alone", 0)]


def test_in_a_small_index_the_best_are_not_taken_for_the_meaning_of_the_query() -> None:
    core = opened(note("a", "zorbak velquon"), note("b", "zorbak"), *others(5))
    for hit in core.search("zorbak velquon"):
        assert (hit.parts["feedback"], hit.parts["neighbours"]) == (0.0, 0.0)


# --- boosts ---------------------------------------------------------------------------------------


def in_title_or_text() -> list[Document]:
    filler = " ".join(f"word{number}" for number in range(12))
    return [
        note("title", f"{filler} and no more", title="About zorbak of old"),
        note("text", f"zorbak zorbak zorbak {filler}", title="About something"),
        *others(),
    ]


def test_a_boosted_title_brings_a_document_forward() -> None:
    core = opened(*in_title_or_text())
    assert keys(core.search("zorbak", mode="text"))[0] == "text"
    boosted = core.search("zorbak", mode="text", ranking={"boosts": {"title": 10}})
    assert keys(boosted)[0] == "title"
    assert keys(core.search("zorbak", ranking={"boosts": {"title": 10}}))[0] == "title"


def test_a_boosted_key_of_the_metadata_brings_a_document_forward() -> None:
    core = opened(
        note("plain", "zorbak zorbak", metadata={"tags": ["other"]}),
        note("tagged", "zorbak and a few words more", metadata={"tags": ["zorbak", "x"]}),
        *others(),
    )
    assert keys(core.search("zorbak", mode="text"))[0] == "plain"
    assert keys(core.search("zorbak", mode="text", ranking={"boosts": {"tags": 5}}))[0] == "tagged"


class Prefixes:
    """Terms are the first four letters of words."""

    identity = "prefixes-1"

    def tokens(self, text: str, language: str | None = None) -> list[Token]:
        return [token._replace(term=token.term[:4]) for token in WordAnalyser().tokens(text)]

    query_tokens = tokens


def test_boosted_fields_are_compared_as_the_full_text_search_compares_words() -> None:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], analyser=Prefixes())
    core.ingest(in_title_or_text())
    inflected = core.search("zorbaks", mode="text", ranking={"boosts": {"title": 10}})
    assert keys(inflected)[0] == "title"


# --- recency --------------------------------------------------------------------------------------


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def test_of_equal_documents_the_newer_comes_first_and_the_score_halves_with_its_half_life() -> None:
    core = opened(
        note("a-old", "zorbak", metadata={"at": days_ago(20)}),
        note("b-new", "zorbak", metadata={"at": days_ago(0)}),
        *others(),
    )
    assert keys(core.search("zorbak", limit=2)) == ["a-old", "b-new"]
    plain = core.search("zorbak")[0].score
    new, old = core.search("zorbak", limit=2, ranking={"recency": {"field": "at", "half_life": 10}})
    assert (new.ref.key, old.ref.key) == ("b-new", "a-old")
    assert new.score == pytest.approx(plain, abs=1e-3)
    assert old.score == pytest.approx(plain / 4, abs=1e-3)


def test_a_document_without_a_time_and_one_from_the_future_keep_their_scores() -> None:
    core = opened(
        note("none", "zorbak"),
        note("odd", "zorbak", metadata={"at": "yesterday"}),
        note("number", "zorbak", metadata={"at": 7}),
        note("future", "zorbak", metadata={"at": days_ago(-9)}),
        note("date", "zorbak", metadata={"at": "2001-01-01"}),
        *others(),
    )
    options = {"recency": {"field": "at", "half_life": 1}}
    factors = {
        hit.ref.key: hit.parts["recency"] for hit in core.search("zorbak", limit=5, ranking=options)
    }
    assert factors.pop("date", 0.0) < 1e-9
    assert all(factor == 1.0 for factor in factors.values())
    assert len(factors) >= 4


def test_the_time_of_the_last_change_counts_unless_another_field_is_named() -> None:
    core = opened(note("a", "zorbak"), *others())
    hit = core.search("zorbak", ranking={"recency": {"half_life": 1e-6}})[0]
    assert 0 <= hit.parts["recency"] < 1


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": []}, "ranking: there is no 'step'"),
        ({"steps": ["feedbak"]}, "there is no step 'feedbak'"),
        ({"steps": "feedback"}, "steps must be a list of names"),
        ({"boosts": {"title": 0}}, "a weight must be a number above 0"),
        ({"boosts": {"title": "3"}}, "a weight must be a number above 0"),
        ({"boosts": {"title": 1e9}}, "at most 100"),
        ({"boosts": ["title"]}, "boosts must be a mapping"),
        ({"boosts": {"": 2}}, "a boosted field has a name"),
        ({"recency": 30}, "recency must be a mapping"),
        ({"recency": {}}, "recency: half_life is missing"),
        ({"recency": {"half_life": 0}}, "half_life must be a number of days above 0"),
        ({"recency": {"half_life": 1, "of": "x"}}, "recency: there is no 'of'"),
        ({"recency": {"half_life": 1, "field": ""}}, "the field of recency"),
        (["feedback"], "ranking must be a mapping"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        opened().search("x", ranking=given)
    assert message in str(refused.value)
    with pytest.raises(InputError):
        opened(ranking=given)


def test_options_change_what_they_name_and_leave_the_rest() -> None:
    usual = RankingOptions(steps=["feedback"], boosts={"title": 2})
    changed = RankingOptions.of({"recency": {"half_life": 3}}, usual)
    assert changed == RankingOptions(("feedback",), {"title": 2.0}, Recency(3))
    assert RankingOptions.of(None, usual) is usual
    assert RankingOptions.of(usual) is usual
    assert RankingOptions(steps=["neighbours", "documents"]).steps == ("documents", "neighbours")


def test_the_factor_of_age_halves_with_every_half_life() -> None:
    recency = Recency(half_life=2)
    day = 86_400
    assert [recency.factor(age * day) for age in (-5, 0, 2, 4)] == [1.0, 1.0, 0.5, 0.25]
    assert recency.factor(float("inf")) == 0.0
