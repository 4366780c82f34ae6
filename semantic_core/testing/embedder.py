"""The contract of an embedder, as a list of checks.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from semantic_core.protocols import CoversTexts, Embedder
from semantic_core.testing.check import Check, checks_in, expect, same, skip
from semantic_core.testing.strategies import ODD_TEXTS
from semantic_core.types import Space, Vector, Vectors

MakeEmbedder = Callable[[], Embedder]

TEXTS = (
    "how to bake bread at home",
    "a",
    "The quarterly tax report of a company lists income, expenses and the tax that is due. " * 4,
    "for and while repeat a block of code",
    "planets and moons",
)
"""Passages of very different length, to reveal errors in padding, sorting and truncation."""
LENGTH_TOLERANCE = 1e-4
"""How far the length of a vector may be from 1, and two vectors of the same text from each other.
"""
LONGEST = 20_000
"""The most characters of a passage in these checks."""


def embedder_checks() -> list[Check]:
    """The rules that every embedder follows.

    Parametrize a test with them and call each with a function that makes an embedder::

    @pytest.mark.parametrize("check", embedder_checks(), ids=str)
    def test_embedder(check):
        check(lambda: MyEmbedder(model="small"))
    """
    return checks_in(sys.modules[__name__])


def _embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The vectors of these passages, in calls of at most batch_size passages."""
    size = embedder.batch_size
    parts: list[Vectors] = []
    for start in range(0, len(texts), size):
        parts.append(embedder.embed_documents(texts[start : start + size]))
    return np.concatenate(parts)


def _distance(first: Vectors, second: Vectors) -> float:
    """The largest difference of two numbers at the same place."""
    return float(np.abs(first - second).max(initial=0.0))


def _close(found: Vectors, expected: Vectors, what: str) -> None:
    """Fail unless both arrays of vectors are the same, up to LENGTH_TOLERANCE."""
    same(found.shape, expected.shape, f"{what}: shape")
    off = _distance(found, expected)
    expect(
        off <= LENGTH_TOLERANCE,
        f"{what}: expected a difference of at most {LENGTH_TOLERANCE}, found {off:.3g}.",
    )


def _well_formed(vectors: Vectors, count: int, embedder: Embedder, what: str) -> None:
    """Fail unless these are `count` vectors of the space: float32, finite, of length 1."""
    same(type(vectors), np.ndarray, f"{what}: type")
    same(vectors.dtype, np.dtype(np.float32), f"{what}: dtype")
    same(vectors.shape, (count, embedder.space.dimensions), f"{what}: shape")
    expect(
        np.isfinite(vectors).all(),
        f"{what}: expected finite numbers, found NaN or infinity.",
    )
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
    expect(
        (np.abs(lengths - 1) <= LENGTH_TOLERANCE).all(),
        f"{what}: expected vectors of length 1, found lengths {lengths}.",
    )


@Check
def it_says_what_it_is(make_embedder: MakeEmbedder) -> None:
    """It has the members of an `Embedder`. Its space is a Space, and batch_size and max_chars are
    whole numbers above 0.
    """
    embedder = make_embedder()
    expect(
        isinstance(embedder, Embedder),
        f"Expected all members of semantic_core.protocols.Embedder, found a "
        f"{type(embedder).__name__} without some of them.",
    )
    expect(isinstance(embedder.space, Space), f"space: expected a Space, found {embedder.space!r}.")
    for name in ("batch_size", "max_chars"):
        value = getattr(embedder, name)
        expect(
            type(value) is int and value >= 1,
            f"{name}: expected an int of 1 or more, found {value!r}.",
        )


@Check
def its_space_stays_the_same(make_embedder: MakeEmbedder) -> None:
    """The space does not change when the embedder is used, and another embedder that is made in the
    same way has the same space.
    """
    embedder = make_embedder()
    before = embedder.space
    embedder.embed_query(TEXTS[0])
    embedder.embed_documents(TEXTS[:1])
    same(embedder.space, before, "space after embedding")
    same(make_embedder().space, before, "space of another embedder made in the same way")


@Check
def rows_are_float32_of_length_one(make_embedder: MakeEmbedder) -> None:
    """`embed_documents` gives one row per passage: float32 of shape (n, dimensions), finite, of
    length 1. It accepts any sequence of texts.
    """
    embedder = make_embedder()
    for count in range(1, min(len(TEXTS), embedder.batch_size) + 1):
        passages = TEXTS[:count]
        rows = embedder.embed_documents(list(passages))
        _well_formed(rows, count, embedder, f"vectors of {count} passages in a list")
        rows = embedder.embed_documents(tuple(passages))
        _well_formed(rows, count, embedder, f"vectors of {count} passages in a tuple")


@Check
def a_query_is_one_vector(make_embedder: MakeEmbedder) -> None:
    """`embed_query` gives float32 of shape (dimensions,), finite, of length 1."""
    embedder = make_embedder()
    for text in (*TEXTS, ""):
        vector: Vector = embedder.embed_query(text)
        what = f"vector of the query {text[:30]!r}"
        same(getattr(vector, "ndim", None), 1, f"{what}: number of axes")
        _well_formed(vector.reshape(1, -1), 1, embedder, what)


@Check
def no_passages_give_no_rows(make_embedder: MakeEmbedder) -> None:
    """`embed_documents` of ``[]`` gives an array of shape (0, dimensions)."""
    embedder = make_embedder()
    _well_formed(embedder.embed_documents([]), 0, embedder, "vectors of no passages")


@Check
def rows_stand_in_the_order_of_passages(make_embedder: MakeEmbedder) -> None:
    """Rows are in the order of the passages. Equal passages have equal rows, and different passages
    have different rows.
    """
    embedder = make_embedder()
    texts = [*TEXTS, TEXTS[0]]
    rows = _embed(embedder, texts)
    _close(_embed(embedder, texts[::-1])[::-1], rows, "vectors of the passages in reverse order")
    _close(rows[-1:], rows[:1], "vectors of the same passage twice")
    apart = _distance(rows[0], rows[4])
    expect(
        apart > LENGTH_TOLERANCE,
        f"vectors of different passages: expected a difference, found {apart:.3g}.",
    )


@Check
def company_changes_nothing(make_embedder: MakeEmbedder) -> None:
    """A passage has the same vector alone and in a batch with shorter and longer passages."""
    embedder = make_embedder()
    together = _embed(embedder, TEXTS)
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    _close(alone, together, "vectors of passages alone, and in a batch")


@Check
def the_same_text_has_the_same_vector(make_embedder: MakeEmbedder) -> None:
    """A text has the same vector when it is embedded again, also by another embedder that is made
    in the same way. This is true of passages and of queries.
    """
    first = make_embedder()
    second = make_embedder()
    rows = _embed(first, TEXTS)
    for embedder in (first, second):
        _close(_embed(embedder, TEXTS), rows, "vectors of the same passages again")
        query = embedder.embed_query(TEXTS[0])
        _close(query, first.embed_query(TEXTS[0]), "vector of the same query again")


@Check
def answers_are_kept_apart(make_embedder: MakeEmbedder) -> None:
    """An answer does not change when the next one is made, and overwriting it does not change later
    answers.
    """
    embedder = make_embedder()
    first = embedder.embed_documents([TEXTS[0]])
    query = embedder.embed_query(TEXTS[0])
    first_copy = first.copy()
    query_copy = query.copy()
    embedder.embed_documents([TEXTS[4]])
    embedder.embed_query(TEXTS[4])
    _close(first, first_copy, "vectors of passages after the next call")
    _close(query, query_copy, "vector of a query after the next call")
    for answer in (first, query):
        if answer.flags.writeable:
            answer[...] = 0.0
    again = embedder.embed_documents([TEXTS[0]])
    _close(again, first_copy, "vectors of passages after an answer was overwritten")
    again = embedder.embed_query(TEXTS[0])
    _close(again, query_copy, "vector of a query after an answer was overwritten")


@Check
def a_full_batch_is_taken(make_embedder: MakeEmbedder) -> None:
    """`embed_documents` accepts batch_size passages in one call and gives each its own row."""
    embedder = make_embedder()
    size = embedder.batch_size
    texts = [f"passage number {number} of a full batch" for number in range(size)]
    rows = embedder.embed_documents(texts)
    _well_formed(rows, size, embedder, "vectors of a full batch")
    last = embedder.embed_documents(texts[-1:])
    _close(last, rows[-1:], "vector of the last passage of a full batch")


@Check
def a_long_passage_is_read_whole(make_embedder: MakeEmbedder) -> None:
    """A passage of max_chars characters is embedded whole: its end changes its vector."""
    embedder = make_embedder()
    length = min(embedder.max_chars, LONGEST)

    def passage(ending: str) -> str:
        beginning = (TEXTS[2] * (length // len(TEXTS[2]) + 1))[: length * 3 // 4]
        return (beginning + (f" {ending}" * length))[:length]

    rows = _embed(embedder, [passage("bread oven dough"), passage("planets moons orbit")])
    _well_formed(rows, 2, embedder, f"vectors of passages of {length} characters")
    apart = _distance(rows[0], rows[1])
    expect(
        apart > LENGTH_TOLERANCE,
        f"vectors of two passages of {length} characters whose last quarters differ: "
        f"expected a difference, found {apart:.3g}.",
    )


@Check
def no_text_is_too_odd(make_embedder: MakeEmbedder) -> None:
    """Every text has a vector of length 1 and raises no error: an empty text, blanks, NUL, emoji,
    right-to-left scripts, one word ten thousand times.
    """
    embedder = make_embedder()
    longest = embedder.max_chars
    odd = (*ODD_TEXTS, "again " * 10_000, "x" * 10_000, "?", "\n" * 100)
    texts = [text[:longest] for text in odd]
    _well_formed(_embed(embedder, texts), len(texts), embedder, "vectors of odd passages")
    for text in texts:
        vector = embedder.embed_query(text).reshape(1, -1)
        _well_formed(vector, 1, embedder, f"vector of the query {text[:30]!r}")


@Check
def near_is_near(make_embedder: MakeEmbedder) -> None:
    """A query is nearer to the passage on its topic than to passages on other topics."""
    embedder = make_embedder()
    rows = _embed(embedder, TEXTS)
    for query, wanted in {
        "bake bread": 0,
        "tax report of a company": 2,
        "repeat a block of code": 3,
        "moons and planets": 4,
    }.items():
        best = int(np.argmax(rows @ embedder.embed_query(query)))
        same(TEXTS[best][:40], TEXTS[wanted][:40], f"passage nearest to {query!r}")


@Check
def coverage_is_a_share_of_each_text(make_embedder: MakeEmbedder) -> None:
    """`coverage` gives a number from 0 to 1 for each text, in their order, the same alone and
    together with others; 1 for a text without letters. Languages are ISO 639-1 codes.
    """
    embedder = make_embedder()
    if not isinstance(embedder, CoversTexts):
        skip("This embedder does not say how well it covers texts.")
    for language in embedder.languages:
        is_code = isinstance(language, str) and len(language) == 2 and language.islower()
        expect(is_code, f"languages: expected codes such as 'en', found {language!r}.")
    texts = [*TEXTS, *ODD_TEXTS]
    shares = [float(share) for share in embedder.coverage(texts)]
    same(len(shares), len(texts), "coverage: number of shares")
    for text, share in zip(texts, shares, strict=True):
        what = f"coverage of {text[:30]!r}"
        expect(0 <= share <= 1, f"{what}: expected a number from 0 to 1, found {share!r}.")
        same([float(alone) for alone in embedder.coverage([text])], [share], f"{what} alone")
        if not any(map(str.isalpha, text)):
            same(share, 1.0, f"{what}, which has no letters")
    same(list(embedder.coverage([])), [], "coverage of no texts")
