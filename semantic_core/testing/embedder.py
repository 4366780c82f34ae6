"""The contract of an embedder, as a list of checks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from semantic_core.protocols import Embedder
from semantic_core.testing.check import Check, checks_in, expect, same
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
"""Of very different length: what is padded, sorted or cut shows."""
LENGTH_TOLERANCE = 1e-4
"""How far the length of a row may be from 1, and one answer from another to the same text."""
LONGEST = 20_000
"""Characters a long passage is made of, at most, in these checks."""


def embedder_checks() -> list[Check]:
    """The rules every embedder keeps. Give each to pytest, with what makes an embedder::

    @pytest.mark.parametrize("check", embedder_checks(), ids=str)
    def test_embedder(check):
        check(lambda: MyEmbedder(model="small"))
    """
    return checks_in(sys.modules[__name__])


def _embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """All of them, in calls of the embedder's own size."""
    size = embedder.batch_size
    parts = [
        embedder.embed_documents(texts[start : start + size])
        for start in range(0, len(texts), size)
    ]
    return np.concatenate(parts)


def _close(got: Vectors, wanted: Vectors, what: str) -> None:
    same(got.shape, wanted.shape, f"{what}: shape")
    off = float(np.abs(got - wanted).max(initial=0.0))
    expect(
        off <= LENGTH_TOLERANCE,
        f"{what}: expected the same vectors up to {LENGTH_TOLERANCE}, they differ by {off:.3g}.",
    )


def _well_formed(vectors: Vectors, count: int, embedder: Embedder, what: str) -> None:
    same(type(vectors), np.ndarray, f"{what}: type")
    same(
        (vectors.dtype, vectors.shape),
        (np.dtype(np.float32), (count, embedder.space.dimensions)),
        f"{what}: dtype and shape",
    )
    expect(np.isfinite(vectors).all(), f"{what}: expected finite numbers, found NaN or infinity.")
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
    expect(
        (np.abs(lengths - 1) <= LENGTH_TOLERANCE).all(),
        f"{what}: expected rows of length 1, found {lengths}.",
    )


@Check
def it_says_what_it_is(make_embedder: MakeEmbedder) -> None:
    """It has the members of an `Embedder`: a Space,
    and whole numbers above 0 as batch_size and max_chars.
    """
    embedder = make_embedder()
    expect(
        isinstance(embedder, Embedder),
        f"{type(embedder).__name__} lacks a member of semantic_core.protocols.Embedder.",
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
    """The space is the same before and after embedding,
    and for another embedder made the same way.
    """
    embedder = make_embedder()
    before = embedder.space
    embedder.embed_query(TEXTS[0])
    embedder.embed_documents(TEXTS[:1])
    same(embedder.space, before, "space after embedding")
    same(make_embedder().space, before, "space of another one")


@Check
def rows_are_float32_of_length_one(make_embedder: MakeEmbedder) -> None:
    """One row per passage, float32 of shape (n, dimensions), finite, of length 1;
    any sequence of texts is taken.
    """
    embedder = make_embedder()
    for count in range(1, min(len(TEXTS), embedder.batch_size) + 1):
        _well_formed(
            embedder.embed_documents(list(TEXTS[:count])), count, embedder, f"{count} passages"
        )
        _well_formed(
            embedder.embed_documents(tuple(TEXTS[:count])),
            count,
            embedder,
            f"{count} passages in a tuple",
        )


@Check
def a_query_is_one_vector(make_embedder: MakeEmbedder) -> None:
    """`embed_query` gives float32 of shape (dimensions,), finite, of length 1."""
    embedder = make_embedder()
    for text in (*TEXTS, ""):
        vector: Vector = embedder.embed_query(text)
        same(getattr(vector, "ndim", None), 1, f"query {text[:30]!r}: number of axes")
        _well_formed(vector.reshape(1, -1), 1, embedder, f"query {text[:30]!r}")


@Check
def no_passages_give_no_rows(make_embedder: MakeEmbedder) -> None:
    """``[]`` gives shape (0, dimensions)."""
    embedder = make_embedder()
    _well_formed(embedder.embed_documents([]), 0, embedder, "no passages")


@Check
def rows_stand_in_the_order_of_passages(make_embedder: MakeEmbedder) -> None:
    """Passages in another order give the same rows in that order; equal passages equal rows."""
    embedder = make_embedder()
    texts = [*TEXTS, TEXTS[0]]
    rows = _embed(embedder, texts)
    _close(_embed(embedder, texts[::-1])[::-1], rows, "the other way round")
    _close(rows[-1:], rows[:1], "the same passage twice")
    apart = float(np.abs(rows[0] - rows[4]).max())
    expect(apart > LENGTH_TOLERANCE, "Two different passages have one and the same vector.")


@Check
def company_changes_nothing(make_embedder: MakeEmbedder) -> None:
    """A passage has the same vector alone and in a batch, beside shorter and longer ones."""
    embedder = make_embedder()
    together = _embed(embedder, TEXTS)
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    _close(alone, together, "passages alone and in a batch")


@Check
def the_same_text_has_the_same_vector(make_embedder: MakeEmbedder) -> None:
    """Again, and from another embedder made the same way: passages and queries."""
    first = make_embedder()
    second = make_embedder()
    rows = _embed(first, TEXTS)
    for embedder in (first, second):
        _close(_embed(embedder, TEXTS), rows, "passages again")
        _close(embedder.embed_query(TEXTS[0]), first.embed_query(TEXTS[0]), "a query again")


@Check
def answers_are_kept_apart(make_embedder: MakeEmbedder) -> None:
    """An answer stays as it is while the next ones are made,
    and whatever its receiver does with it.
    """
    embedder = make_embedder()
    first = embedder.embed_documents([TEXTS[0]])
    query = embedder.embed_query(TEXTS[0])
    kept = first.copy()
    kept_query = query.copy()
    embedder.embed_documents([TEXTS[4]])
    embedder.embed_query(TEXTS[4])
    _close(first, kept, "an answer after the next one")
    _close(query, kept_query, "a query's answer after the next one")
    for answer in (first, query):
        if answer.flags.writeable:
            answer[...] = 0.0
    _close(embedder.embed_documents([TEXTS[0]]), kept, "passages after an answer was overwritten")
    _close(embedder.embed_query(TEXTS[0]), kept_query, "a query after an answer was overwritten")


@Check
def a_full_batch_is_taken(make_embedder: MakeEmbedder) -> None:
    """batch_size passages in one call give that many rows, each its own."""
    embedder = make_embedder()
    texts = [f"passage number {number} of a full batch" for number in range(embedder.batch_size)]
    rows = embedder.embed_documents(texts)
    _well_formed(rows, len(texts), embedder, "a full batch")
    _close(embedder.embed_documents(texts[-1:]), rows[-1:], "the last of a full batch")


@Check
def a_long_passage_is_read_whole(make_embedder: MakeEmbedder) -> None:
    """A passage of max_chars characters is taken, and its end counts as much as its beginning."""
    embedder = make_embedder()
    length = min(embedder.max_chars, LONGEST)

    def passage(ending: str) -> str:
        beginning = (TEXTS[2] * (length // len(TEXTS[2]) + 1))[: length * 3 // 4]
        return (beginning + (f" {ending}" * length))[:length]

    rows = _embed(embedder, [passage("bread oven dough"), passage("planets moons orbit")])
    _well_formed(rows, 2, embedder, f"passages of {length} characters")
    apart = float(np.abs(rows[0] - rows[1]).max())
    expect(
        apart > LENGTH_TOLERANCE,
        f"The last quarter of a passage of {length} characters is not read.",
    )


@Check
def no_text_is_too_odd(make_embedder: MakeEmbedder) -> None:
    """Nothing, blanks, NUL, emoji, right to left, one word ten thousand times: each a vector of
    length 1, never an error.
    """
    embedder = make_embedder()
    texts = [
        text[: embedder.max_chars]
        for text in (*ODD_TEXTS, "again " * 10_000, "x" * 10_000, "?", "\n" * 100)
    ]
    _well_formed(_embed(embedder, texts), len(texts), embedder, "odd passages")
    for text in texts:
        _well_formed(embedder.embed_query(text).reshape(1, -1), 1, embedder, f"query {text[:30]!r}")


@Check
def near_is_near(make_embedder: MakeEmbedder) -> None:
    """A passage is nearer to a query about it than passages about something else are."""
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
