"""From documents to calls: packing, and the texts that a call fails for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.errors import EmbedderUnavailable
from semantic_core.remote import (
    AnswerInvalid,
    ModelUnknown,
    PassageBatches,
    PassageRefused,
    PassageTooLong,
    RequestRefused,
    cut_to_fit,
)
from semantic_core.types import Vector


class Service:
    """Embeds, and counts what it was paid for. most: characters of a text; call: of a call."""

    def __init__(self, most: int = 10**9, call: int = 10**9, *, tells: bool = True) -> None:
        self.most = most
        self.call = call
        self.tells = tells
        self.calls: list[list[str]] = []
        self.paid: list[str] = []
        self.refused: set[str] = set()
        self.invalid: set[str] = set()
        self.fails: Exception | None = None

    def embed(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        self.calls.append(texts)
        if self.fails is not None:
            raise self.fails
        longest = max(map(len, texts))
        if longest > self.most or sum(map(len, texts)) > self.call:
            most, given = (self.most, longest) if self.tells else (None, None)
            raise PassageTooLong("Too long.", most=most, given=given)
        if self.refused & set(texts):
            raise RequestRefused("Refused.")
        for place, text in enumerate(texts):
            self.paid.append(text)
            if text not in self.invalid:
                found[place] = np.full(1, float(len(text)), dtype=np.float32)
        if self.invalid & set(texts):
            raise AnswerInvalid("One is invalid.")


def batches(service: Service, texts: int = 4, tokens: int = 1_000) -> PassageBatches:
    return PassageBatches(service.embed, len, texts, tokens, lambda: 0.0)


def lengths(rows: list[Vector]) -> list[int]:
    return [int(row[0]) for row in rows]


@given(
    texts=st.lists(st.text("ab", max_size=6), max_size=20),
    refused=st.sets(st.text("ab", max_size=6), max_size=3),
)
def test_every_text_has_its_vector_or_its_place_is_named_and_none_is_paid_for_twice(
    texts: list[str], refused: set[str]
) -> None:
    service = Service()
    service.refused = refused
    made = batches(service)
    bad = [place for place, text in enumerate(texts) if text in refused]
    if bad:
        with pytest.raises(PassageRefused) as raised:
            made.run(texts)
        assert list(raised.value.places) == bad
        good = [text for text in texts if text not in refused]
        assert lengths(made.run(good)) == list(map(len, good))
    else:
        assert lengths(made.run(texts)) == list(map(len, texts))
    assert len(service.paid) == len(set(service.paid))
    assert all(len(call) <= 4 for call in service.calls)


def test_a_call_that_is_too_long_is_split_and_no_text_is_cut_for_it() -> None:
    service = Service(call=10)
    assert lengths(batches(service).run(["a" * 9, "b" * 8, "c" * 7])) == [9, 8, 7]


@pytest.mark.parametrize("tells", [True, False])
def test_a_text_that_is_too_long_is_cut_to_what_is_accepted(tells: bool) -> None:
    service = Service(most=100, tells=tells)
    rows = batches(service, tokens=10**6).run(["short", "x" * 1_000, "also short"])
    read = lengths(rows)
    assert (read[0], read[2]) == (5, 10)
    assert (95 <= read[1] <= 100) if tells else (60 <= read[1] <= 100)
    assert len(service.calls) <= (6 if tells else 13)


def test_a_text_that_is_always_too_long_is_refused_in_the_end() -> None:
    service = Service(most=0)
    with pytest.raises(PassageRefused):
        batches(service).run(["x" * 900, "y"])
    assert len(service.calls) < 40


@pytest.mark.parametrize(
    ("most", "counted", "kept"), [(50, 100, 48), (None, None, 75), (100, 50, 75), (1, 10**6, 1)]
)
def test_how_much_of_a_text_is_left(most: int | None, counted: int | None, kept: int) -> None:
    assert len(cut_to_fit("x" * 100, PassageTooLong("", most=most, given=counted))) == kept


def test_one_invalid_vector_costs_the_others_nothing() -> None:
    service = Service()
    service.invalid = {"bb"}
    made = batches(service)
    for _ in range(2):
        with pytest.raises(AnswerInvalid) as raised:
            made.run(["a", "bb", "ccc"])
        assert raised.value.places == (1,)
    assert service.paid == ["a", "bb", "ccc"], "it is not asked for again at once"


def test_what_came_before_a_failure_is_not_paid_for_again() -> None:
    service = Service()
    made = batches(service, texts=1)
    service.refused = {"b"}
    with pytest.raises(PassageRefused):
        made.run(["a", "b"])
    service.fails = EmbedderUnavailable("down")
    with pytest.raises(EmbedderUnavailable):
        made.run(["a", "c"])
    service.fails = None
    assert lengths(made.run(["a", "c"])) == [1, 1] and service.paid == ["a", "c"]


def test_what_concerns_the_service_and_no_text_is_raised_at_once() -> None:
    service = Service()
    service.fails = ModelUnknown("No such model.")
    with pytest.raises(ModelUnknown):
        batches(service).run([f"text {number}" for number in range(9)])
    assert len(service.calls) == 1
