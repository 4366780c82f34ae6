"""Arguments are what the schema says, or the call is refused in one clear line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from semantic_core_mcp.arguments import (
    BadArguments,
    Conditions,
    Number,
    Text,
    checked,
    schema_of,
)

from semantic_core import Condition, Filter

PARAMETERS = (
    Text("query", "What.", 10, required=True),
    Text("mode", "How.", 9, default="a", choices=("a", "b")),
    Text("collection", "Where.", 10),
    Number("limit", "Most.", 1, 5, 3),
    Conditions("where", "Which.", ("year", "lang")),
)
SCHEMA = Draft202012Validator(schema_of(PARAMETERS))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
names = st.sampled_from(["query", "mode", "collection", "limit", "where", "tenant", ""])


@given(st.dictionaries(names, anything))
def test_whatever_is_given_is_taken_or_refused_in_one_line(given_: dict[str, Any]) -> None:
    try:
        taken = checked(PARAMETERS, given_)
    except BadArguments as error:
        line = str(error)
        assert line and "\n" not in line and len(line) < 300
        return
    told = {name: value for name, value in given_.items() if value is not None}
    assert SCHEMA.is_valid(told)
    assert taken["query"] == given_["query"]
    assert taken["mode"] in ("a", "b")
    assert 1 <= taken["limit"] <= 5


def test_defaults_fill_what_is_left_out() -> None:
    wanted = {"query": "x", "mode": "a", "collection": None, "limit": 3, "where": None}
    assert checked(PARAMETERS, {"query": "x"}) == wanted
    assert checked(PARAMETERS, {"query": "x", "limit": None}) == wanted
    assert checked(PARAMETERS, {"query": "x", "limit": 5.0})["limit"] == 5
    assert checked((), None) == {}


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (None, "query is missing."),
        ({"query": ""}, "query must not be empty."),
        ({"query": " \n"}, "query must not be empty."),
        ({"query": 7}, "query must be a text, got 7."),
        ({"query": ["a"]}, "query must be a text, got a list."),
        ({"query": "x" * 11}, "query must have at most 10 characters, got 11."),
        ({"query": "\ud800"}, "query must be valid Unicode, got half a pair."),
        ({"query": "x", "limit": 0}, "limit must be a whole number from 1 to 5, got 0."),
        ({"query": "x", "limit": True}, "limit must be a whole number from 1 to 5, got True."),
        ({"query": "x", "limit": "3"}, "limit must be a whole number from 1 to 5, got '3'."),
        ({"query": "x", "limit": 2.5}, "limit must be a whole number from 1 to 5, got 2.5."),
        ({"query": "x", "limit": 1e400}, "limit must be a whole number from 1 to 5, got inf."),
        ({"query": "x", "mode": "c"}, "mode must be one of a, b, got 'c'."),
        ({"query": "x", "tenant": "b"}, "There is no argument 'tenant'; there is: query, mode,"),
        ({"query": "x", "where": "year=1"}, "where must be an object, got 'year=1'."),
        ({"query": "x", "where": {"readers": "ann"}}, "where can name year, lang, got 'readers'."),
        ({"query": "x", "where": {"year": {"$gt": 1}}}, "where: "),
        ({"query": "x", "where": {"year": "x" * 5_000}}, "where must have at most 10 keys and"),
        (
            {"query": "x", "where": dict.fromkeys(map(str, range(11)), 1)},
            "where must have at most 10 keys and",
        ),
    ],
)
def test_a_wrong_argument_is_told(given_: dict[str, Any] | None, told: str) -> None:
    with pytest.raises(BadArguments) as caught:
        checked(PARAMETERS, given_)
    assert str(caught.value).startswith(told)


def test_conditions_become_a_filter() -> None:
    where = {"year": {"gte": 2020}, "lang": "en"}
    taken = checked(PARAMETERS, {"query": "x", "where": where})["where"]
    assert taken == Filter.parse(where)
    assert Condition("year", "gte", (2020,)) in taken.conditions


def test_a_long_or_strange_value_is_not_repeated_as_it_is() -> None:
    with pytest.raises(BadArguments) as caught:
        checked(PARAMETERS, {"query": "x", "mode": "\x1b[2J\u202e" + "y" * 1_000})
    assert len(str(caught.value)) < 120
    assert str(caught.value).isascii()
