"""``--where``: how typed conditions are understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core import Filter
from semantic_core.cli._options import parse_where
from semantic_core.errors import FilterInvalid


def meets(condition: str, **metadata: object) -> bool:
    parsed = parse_where([condition])
    assert isinstance(parsed, Filter)
    return parsed.matches(metadata)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("condition", "metadata", "expected"),
    [
        ("lang=en", {"lang": "en"}, True),
        ("lang=en", {"lang": "de"}, False),
        ("lang = en", {"lang": "en"}, True),
        ("lang!=en", {"lang": "de"}, True),
        ("lang!=en", {"lang": "en"}, False),
        ("lang!=en", {}, True),
        ("year=2020", {"year": 2020}, True),
        ("year=2020", {"year": "2020"}, True),
        ("year!=2020", {"year": 2020}, False),
        ("year!=2020", {"year": "2020"}, False),
        ("year>=2020", {"year": 2020}, True),
        ("year>2020", {"year": 2020}, False),
        ("year>2020", {"year": 2020.5}, True),
        ("year<=2020", {"year": 2020}, True),
        ("year<2020", {"year": 2019}, True),
        ("rate<-1.5e1", {"rate": -16}, True),
        ("name<b", {"name": "a"}, True),
        ("year>2019", {"year": "2020"}, False),
        ("draft=true", {"draft": True}, True),
        ("draft=True", {"draft": True}, True),
        ("draft=false", {"draft": True}, False),
        ("draft=true", {"draft": "true"}, True),
        ("tags=a", {"tags": ("a", "b")}, True),
        ("title=a=b", {"title": "a=b"}, True),
        ("empty=", {"empty": ""}, True),
        ("big=9223372036854775808", {"big": "9223372036854775808"}, True),
        ("n=1_000", {"n": 1000}, False),
        ("n=nan", {"n": "nan"}, True),
        ("path=a/b c.md", {"path": "a/b c.md"}, True),
    ],
)
def test_a_condition_means_what_a_person_means(
    condition: str, metadata: dict[str, object], expected: bool
) -> None:
    assert meets(condition, **metadata) is expected


def test_all_conditions_must_hold_also_two_of_one_key() -> None:
    parsed = parse_where(["tag=a", "tag=b", "year>=2020", "year<2022"])
    assert parsed is not None
    assert parsed.matches({"tag": ("a", "b"), "year": 2021})
    assert not parsed.matches({"tag": ("a",), "year": 2021})
    assert not parsed.matches({"tag": ("a", "b"), "year": 2022})


def test_no_condition_is_no_filter() -> None:
    assert parse_where([]) is None


@pytest.mark.parametrize(
    "condition", ["", "lang", "=en", " = ", "<5", "!", "\x01=1", "half\udc80=1", "k=half\udc80"]
)
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(FilterInvalid):
        parse_where([condition])


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    try:
        assert isinstance(parse_where([text]), Filter)
    except FilterInvalid as error:
        assert error.message


@pytest.mark.parametrize("condition", ["year>", "year>= ", "year<", "year<="])
def test_an_ordering_without_a_value_is_refused(condition: str) -> None:
    with pytest.raises(FilterInvalid, match="needs a value"):
        parse_where([condition])
