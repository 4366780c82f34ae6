"""The estimated cost of an import differs by at most a twentieth from what is billed in the end."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from fake_gemini import FakeGemini, tokens_of
from hypothesis import given
from hypothesis import strategies as st
from semantic_core_gemini import GeminiEmbedder, GoogleKeyring, Price
from semantic_core_gemini.pricing import PRICES
from semantic_core_gemini.tokens import RULE

from semantic_core.errors import ConfigError
from semantic_core.remote import packed, price_of
from semantic_core.testing import TurningClock

KEY = "key-of-every-day"
ENGLISH = (
    "The boundary layer of a flat plate becomes turbulent when the disturbances of "
    "the flow are amplified. "
)
KINDS = {
    "english": ENGLISH,
    "code": (
        "def embed(self, texts: list[str]) -> None:\n"
        "    return {key: self._values[key] for key in texts}\n"
    ),
    "russian": "Пограничный слой пластины становится турбулентным, когда возмущения нарастают. ",
    "chinese": "当扰动被放大时，平板的边界层变为湍流。",
    "numbers": "3.14159, 2.71828; 1,000,000 -- [42] ",
}


def texts(kind: str, count: int) -> list[str]:
    chance = random.Random(kind)
    names = list(KINDS) if kind == "mixed" else [kind]
    made = []
    for number in range(count):
        words = "".join(KINDS[chance.choice(names)] for _ in range(chance.randint(1, 18)))
        made.append(f"{number} {words[chance.randint(0, 40) :]}")
    return made


def embedder(gemini: FakeGemini, **options: Any) -> GeminiEmbedder:
    return GeminiEmbedder(
        GoogleKeyring(KEY, "batch-key"),
        base_url=gemini.url,
        dimensions=128,
        clock=TurningClock().clock,
        **options,
    )


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_an_estimate_lies_within_a_twentieth_of_the_bill(
    kind: str, model: str, gemini: FakeGemini
) -> None:
    gemini.state.cheap_vectors = True
    made, many = embedder(gemini, model=model), texts(kind, 240)
    estimate = made.estimate(many)
    assert gemini.bill(KEY).tokens == 0 and gemini.bill(KEY).counted == 1
    made.embed_documents(many)
    billed = gemini.bill(KEY).tokens
    assert abs(estimate.tokens - billed) <= 0.05 * billed
    assert (estimate.texts, estimate.counted) == (240, 100)
    assert made.usage.tokens == billed


def test_an_estimate_without_the_service_asks_nobody(gemini: FakeGemini) -> None:
    estimate = embedder(gemini).estimate(texts("english", 300), ask=False)
    billed = sum(map(tokens_of, texts("english", 300)))
    assert gemini.requests == [] and estimate.counted == 0
    assert abs(estimate.tokens - billed) <= 0.25 * billed


def test_equal_passages_and_none_are_estimated_as_they_are_paid(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    assert made.estimate(["same"] * 50) == made.estimate(["same"])
    nothing = made.estimate([])
    assert (nothing.texts, nothing.tokens, nothing.counted, nothing.cost()) == (0, 0, 0, 0)


def test_an_estimate_has_a_price_for_both_tiers_and_a_time(gemini: FakeGemini) -> None:
    made = embedder(gemini, texts_per_minute=600)
    estimate = made.estimate(texts("english", 1_000), ask=False)
    assert estimate.cost() == Decimal("0.15") * estimate.tokens / 1_000_000
    assert estimate.cost("batch") * 2 == estimate.cost()
    assert estimate.seconds == pytest.approx((1_000 - 100) / (500 / 60))
    assert estimate.price is PRICES["gemini-embedding-001"]


def test_what_was_used_has_a_cost(gemini: FakeGemini) -> None:
    made = embedder(gemini, price={"interactive": 1000, "batch": "500"})
    made.embed_documents(["one two three"])
    job = made.submit({"k": "one two three"}, "a job")
    gemini.finish(job)
    list(made.results(job))
    assert made.usage.cost(made.prices) == {"interactive": "0.003000", "batch": "0.001500"}


def test_the_kernel_can_ask_what_it_costs(gemini: FakeGemini) -> None:
    made = embedder(gemini)
    assert (made.currency, made.price("interactive"), made.price("batch")) == (
        "USD",
        Decimal("0.15"),
        Decimal("0.075"),
    )
    assert made.tokens(["one two three", "four"]) == 4
    assert made.seconds(100, 400) == 0.0 and made.seconds(3_500, 0) == pytest.approx(72.0)
    assert gemini.requests == []


def test_every_price_has_a_day_and_a_source_and_a_batch_is_half() -> None:
    for price in PRICES.values():
        assert price.as_of > date(2026, 1, 1) and price.source.startswith("https://")
        assert price.batch * 2 == price.interactive > 0


@pytest.mark.parametrize(
    "given",
    [
        {
            "interactive": "0.3",
            "batch": 0.1,
            "currency": "EUR",
            "as_of": "2027-01-31",
            "source": "a contract",
        },
        Price("0.3", "0.1", currency="EUR", as_of=date(2027, 1, 31), source="a contract"),
    ],
)
def test_a_price_can_be_given(given: Any) -> None:
    price = price_of("gemini", PRICES, "gemini-embedding-001", given)
    assert (price.interactive, price.batch, price.currency, price.as_of) == (
        Decimal("0.3"),
        Decimal("0.1"),
        "EUR",
        date(2027, 1, 31),
    )


@pytest.mark.parametrize(
    "given",
    [
        {"interactive": "much", "batch": 1},
        {"interactive": -1, "batch": 1},
        {"interactive": True, "batch": 1},
        {"interactive": "NaN", "batch": 1},
        {"interactive": None, "batch": 1},
        {"interactive": 1},
        {"interactive": 1, "batch": 1, "tax": 1},
        {"interactive": 1, "batch": 1, "as_of": "yesterday"},
    ],
)
def test_a_price_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        price_of("gemini", PRICES, "gemini-embedding-001", given)


def test_a_model_without_a_known_price_is_told() -> None:
    with pytest.raises(ConfigError, match="the price of .* is not known"):
        price_of("gemini", PRICES, "gemini-embedding-9")


@given(st.text(max_size=400), st.integers(1, 300))
def test_a_shortened_text_is_a_beginning_and_short_enough(text: str, most: int) -> None:
    cut = RULE.shortened(text, most)
    assert text.startswith(cut)
    assert cut == text or RULE.tokens(cut) <= most or len(cut) == 1
    assert cut or not text


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 10), st.integers(1, 60))
def test_runs_hold_everything_in_order_and_no_more_than_they_may(
    costs: list[int], items: int, tokens: int
) -> None:
    runs = list(packed(costs, items, tokens))
    assert [place for run in runs for place in run] == list(range(len(costs)))
    for run in runs:
        assert len(run) <= items
        assert sum(costs[place] for place in run) <= tokens or len(run) == 1
