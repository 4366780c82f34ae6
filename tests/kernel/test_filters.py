"""``where``: what it means, which mistakes it names,
and that what it means follows from each operator alone.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core._validation import check_metadata
from semantic_core.errors import FilterInvalid, InputError
from semantic_core.filters import MAX_CONDITIONS, MAX_VALUES, Condition, Filter, kind
from semantic_core.testing import metadata, wheres

PROPERTY = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def matches(where: dict[str, Any], **held: Any) -> bool:
    return Filter.parse(where).matches(check_metadata(held))


@pytest.mark.parametrize(
    ("where", "held", "wanted"),
    [
        ({"lang": "en"}, {"lang": "en"}, True),
        ({"lang": "en"}, {"lang": "EN"}, False),
        ({"lang": "en"}, {}, False),
        ({"lang": {"eq": "en"}}, {"lang": "en"}, True),
        ({"lang": ["en", "de"]}, {"lang": "de"}, True),
        ({"lang": ("en", "de")}, {"lang": "fr"}, False),
        ({"lang": {"in": {"en", "de"}}}, {"lang": "de"}, True),
        ({"lang": {"in": []}}, {"lang": "de"}, False),
        ({"lang": []}, {}, False),
        ({"lang": {"ne": "en"}}, {"lang": "de"}, True),
        ({"lang": {"ne": "en"}}, {"lang": "en"}, False),
        ({"lang": {"ne": "en"}}, {}, True),
        ({"lang": {"not_in": ["en", "de"]}}, {"lang": "de"}, False),
        ({"lang": {"not_in": ["en", "de"]}}, {}, True),
        ({"lang": {"not_in": []}}, {"lang": "en"}, True),
        ({"year": {"gte": 2020, "lt": 2024}}, {"year": 2020}, True),
        ({"year": {"gte": 2020, "lt": 2024}}, {"year": 2024}, False),
        ({"year": {"gt": 2020}}, {"year": 2020}, False),
        ({"year": {"lte": 2020}}, {"year": 2020.0}, True),
        ({"year": {"gt": 2020}}, {}, False),
        ({"year": {"gt": 2020}}, {"year": "2021"}, False),
        ({"year": {"gt": 0}}, {"year": True}, False),
        ({"name": {"lt": "b"}}, {"name": "a"}, True),
        ({"name": {"lt": "b"}}, {"name": 1}, False),
        ({"name": {"gt": "\uffee"}}, {"name": "😀"}, True),
        ({"draft": {"exists": True}}, {"draft": False}, True),
        ({"draft": {"exists": True}}, {}, False),
        ({"draft": {"exists": False}}, {}, True),
        ({"tags": {"exists": True}}, {"tags": []}, True),
        ({"tags": "a"}, {"tags": ["b", "a"]}, True),
        ({"tags": "a"}, {"tags": []}, False),
        ({"tags": {"ne": "a"}}, {"tags": ["b", "a"]}, False),
        ({"tags": {"ne": "a"}}, {"tags": []}, True),
        ({"tags": {"gt": "b"}}, {"tags": ["a", "c"]}, True),
        ({"tags": {"gt": "b", "lt": "b"}}, {"tags": ["a", "c"]}, True),
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": True}, False),
        ({"n": True}, {"n": 1}, False),
        ({"n": True}, {"n": True}, True),
        ({"n": "1"}, {"n": 1}, False),
        ({"n": 2**53 + 1}, {"n": float(2**53)}, False),
        ({"n": {"gt": float(2**53)}}, {"n": 2**53 + 1}, True),
        ({"n": [1, "1"]}, {"n": True}, False),
        ({"lang": "en", "year": 2024}, {"lang": "en", "year": 2023}, False),
        ({"lang": "en", "year": 2024}, {"lang": "en", "year": 2024}, True),
        ({}, {}, True),
    ],
)
def test_a_where_means_what_its_page_says(where, held, wanted):
    assert matches(where, **held) is wanted


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("lang=en", 'where must be a mapping such as {"lang": "en"}, got str.'),
        ([("lang", "en")], 'where must be a mapping such as {"lang": "en"}, got list.'),
        (
            {"k": {}},
            (
                "where['k'] is empty; wanted a value, a list, or one of eq, ne, in, not_in, gt, "
                "gte, lt, lte, exists."
            ),
        ),
        (
            {"k": {"$gt": 1}},
            (
                "where['k']: unknown operator '$gt'; there are eq, ne, in, not_in, "
                "gt, gte, lt, lte, exists."
            ),
        ),
        (
            {"k": {1: 1}},
            (
                "where['k']: unknown operator 1; there are eq, ne, in, not_in, "
                "gt, gte, lt, lte, exists."
            ),
        ),
        ({"k": {"exists": 1}}, "where['k']: exists takes True or False, got 1."),
        ({"k": {"in": "en"}}, "where['k']: in takes a list, got 'en'."),
        ({"k": {"not_in": None}}, "where['k']: not_in takes a list, got None."),
        ({"k": {"gt": True}}, "where['k']: gt orders text or numbers, got True."),
        (
            {"": 1},
            "A metadata key is a str of 1 to 128 characters without control characters, got ''.",
        ),
        (
            {5: 1},
            "A metadata key is a str of 1 to 128 characters without control characters, got 5.",
        ),
        ({"k": {"in": [0] * 1_001}}, "where['k']: 1001 values, the most is 1000."),
        (
            {"k": None},
            "where['k'] must be a str, a bool, a finite float, an int within 64 bits, a date, "
            "or a list of str, got NoneType: None. Leave the key out instead.",
        ),
        (
            {"k": {"lt": float("nan")}},
            (
                "where['k'] must be a str, a bool, a finite float, an int within 64 bits, a "
                "date, or a list of str, got float: nan."
            ),
        ),
        (
            {"k": {"gt": [1]}},
            (
                "where['k'] must be a str, a bool, a finite float, an int within 64 bits, a "
                "date, or a list of str, got list: [1]."
            ),
        ),
        ({"k": ["a", "\ud800"]}, "where['k'] holds a lone surrogate (U+D800) at character 0."),
    ],
)
def test_a_mistake_is_named_with_its_key(where, message):
    with pytest.raises(FilterInvalid) as refusal:
        Filter.parse(where)
    assert str(refusal.value).startswith(message)
    assert isinstance(refusal.value, InputError)


def test_limits_are_told_and_reached():
    assert (
        len(Filter.parse({f"k{number}": 1 for number in range(MAX_CONDITIONS)}).conditions)
        == MAX_CONDITIONS
    )
    with pytest.raises(FilterInvalid, match="where holds 33 conditions, the most is 32"):
        Filter.parse({f"k{number}": 1 for number in range(MAX_CONDITIONS + 1)})
    assert len(Filter.parse({"k": list(range(MAX_VALUES))}).conditions[0].values) == MAX_VALUES


def test_nothing_asked_lets_everything_through():
    for where in (None, {}, Filter()):
        filter = Filter.parse(where)
        assert (filter, bool(filter), filter.matches({}), filter.matches({"k": "v"})) == (
            Filter(),
            False,
            True,
            True,
        )


def test_a_parsed_filter_is_taken_as_it_is():
    filter = Filter.parse({"lang": "en"})
    assert Filter.parse(filter) is filter
    assert bool(filter)


def test_a_filter_is_a_small_tree_stores_can_read():
    years, draft = {"gte": 2020, "lt": 2024}, {"ne": True}
    filter = Filter.parse(
        {"lang": ["en", "de"], "year": years, "draft": draft, "x": {"exists": False}}
    )
    assert filter.conditions == (
        Condition("lang", "in", ("en", "de")),
        Condition("year", "gte", (2020,)),
        Condition("year", "lt", (2024,)),
        Condition("draft", "not_in", (True,)),
        Condition("x", "exists", (False,)),
    )


def test_kinds_are_three():
    assert [kind(value) for value in ("", "1", True, False, 0, 1.5)] == [
        "text",
        "text",
        "bool",
        "bool",
        "number",
        "number",
    ]


@PROPERTY
@given(wheres(), metadata())
def test_each_condition_holds_by_itself(where, held):
    filter, given_one = Filter.parse(where), check_metadata(held)
    assert filter.matches(given_one) is all(
        Filter((condition,)).matches(given_one) for condition in filter.conditions
    )


@PROPERTY
@given(wheres(), metadata())
def test_negations_are_opposites_and_bounds_are_less_or_equal(where, held):
    given_one = check_metadata(held)
    opposite = {"in": "not_in", "not_in": "in"}
    for condition in Filter.parse(where).conditions:
        if condition.operator in opposite:
            other = attrs.evolve(condition, operator=opposite[condition.operator])
            assert condition.matches(given_one) is not other.matches(given_one)
        if condition.operator in ("gte", "lte"):
            strict = attrs.evolve(condition, operator=condition.operator[:2])
            equal = attrs.evolve(condition, operator="in")
            assert condition.matches(given_one) is (
                strict.matches(given_one) or equal.matches(given_one)
            )


@PROPERTY
@given(wheres())
def test_filters_are_values(where):
    filter = Filter.parse(where)
    travelled = pickle.loads(pickle.dumps(filter))  # noqa: S301 - our own bytes
    for twin in (Filter.parse(copy.deepcopy(where)), travelled, copy.deepcopy(filter)):
        assert (twin == filter, hash(twin) == hash(filter)) == (True, True)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        filter.conditions = ()


@given(st.text(max_size=5))
@PROPERTY
def test_any_text_is_a_value(text):
    assert matches({"k": text}, k=text)
    assert not matches({"k": {"ne": text}}, k=text)
