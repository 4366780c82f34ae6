"""Dates and datetimes in metadata and in ``where``: what is stored, and that order means time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import Document, Ref, SemanticCore
from semantic_core._validation import check_metadata
from semantic_core.errors import FilterInvalid
from semantic_core.filters import Filter
from semantic_core.testing import HashEmbedder

PROPERTY = settings(max_examples=400, deadline=None, derandomize=True, database=None)
DAY = timedelta(days=1)
NEW_YORK = timezone(timedelta(hours=-5))


def matches(where: dict[str, Any], held: object) -> bool:
    return Filter.parse({"at": where}).matches(check_metadata({"at": held}))


@pytest.mark.parametrize(
    ("held", "stored"),
    [
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00"),
        (datetime(2026, 1, 31, 12, 0, 0, 500), "2026-01-31T12:00:00.000500"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"),
        (datetime(2026, 1, 31, 22, tzinfo=NEW_YORK), "2026-02-01T03:00:00+00:00"),
        ([date(2026, 1, 31), "x"], ("2026-01-31", "x")),
    ],
)
def test_what_is_stored_is_iso_8601_and_utc_where_there_is_a_zone(held: Any, stored: Any) -> None:
    assert check_metadata({"at": held}) == {"at": stored}
    assert Document(Ref("notes", "1"), "text", metadata={"at": held}).metadata == {"at": stored}


@pytest.mark.parametrize(
    ("where", "held", "wanted"),
    [
        ({"gte": date(2026, 1, 1)}, datetime(2026, 1, 1), True),
        ({"lte": date(2026, 1, 31)}, datetime(2026, 1, 31, 23, 59, 59, 999_999), True),
        ({"lte": date(2026, 1, 31)}, datetime(2026, 2, 1), False),
        ({"lt": date(2026, 1, 31)}, datetime(2026, 1, 31), False),
        ({"gt": date(2026, 1, 31)}, datetime(2026, 1, 31, 23), False),
        ({"gt": date(2026, 1, 31)}, date(2026, 2, 1), True),
        ({"gte": datetime(2026, 1, 31)}, date(2026, 1, 31), True),
        ({"gte": datetime(2026, 1, 31, 0, 0, 1)}, date(2026, 1, 31), False),
        ({"eq": date(2026, 1, 31)}, date(2026, 1, 31), True),
        ({"eq": date(2026, 1, 31)}, datetime(2026, 1, 31), False),
        ({"in": [date(2026, 1, 31)]}, "2026-01-31", True),
        (
            {"gt": datetime(2026, 1, 31, 21, tzinfo=NEW_YORK)},
            datetime(2026, 2, 1, 3, tzinfo=UTC),
            True,
        ),
        (
            {"eq": datetime(2026, 1, 31, 22, tzinfo=NEW_YORK)},
            datetime(2026, 2, 1, 3, tzinfo=UTC),
            True,
        ),
        ({"lte": date.max}, datetime.max, True),
        ({"gt": date.max}, datetime.max, False),
        ({"gte": date.min}, date.min, True),
        ({"gte": date(2026, 1, 1)}, 5, False),
    ],
)
def test_a_date_is_the_whole_day_and_a_datetime_a_moment(
    where: dict[str, Any], held: object, wanted: bool
) -> None:
    assert matches(where, held) is wanted


moments = st.one_of(
    st.dates(date(1990, 1, 1), date(1990, 1, 5)),
    st.datetimes(datetime(1990, 1, 1), datetime(1990, 1, 5)),
    st.datetimes(datetime(1990, 1, 1), datetime(1990, 1, 5)).map(
        lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0)
    ),
)
OPERATORS: dict[str, Callable[[datetime, datetime, datetime], bool]] = {
    "gte": lambda held, start, end: held >= start,
    "lt": lambda held, start, end: held < start,
    "gt": lambda held, start, end: held >= end,
    "lte": lambda held, start, end: held < end,
}
"""What each operator means, given what is stored and the start and end of what is asked for."""
INSTANT = timedelta(microseconds=1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


@PROPERTY
@given(moments, moments, st.sampled_from(sorted(OPERATORS)))
def test_order_means_time(held: date, asked: date, operator: str) -> None:
    at = held if isinstance(held, datetime) else midnight(held)
    if isinstance(asked, datetime):
        start, end = asked, asked + INSTANT
    else:
        start, end = midnight(asked), midnight(asked + DAY)
    assert matches({operator: asked}, held) is OPERATORS[operator](at, start, end)


@pytest.fixture(params=["memory", "sqlite"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SemanticCore]:
    path = {"path": tmp_path / "index.db"} if request.param == "sqlite" else {}
    with SemanticCore(
        store=request.param, embedder=HashEmbedder(), plugins=["sqlite"], **path
    ) as core:
        yield core


def test_a_search_filters_and_sorts_by_dates(core: SemanticCore) -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), datetime(2026, 1, 31, 18), date(2026, 2, 1)]
    for number, day in enumerate(days):
        core.ingest(Document(Ref("notes", str(number)), "a loop", metadata={"created": day}))
    january = {"created": {"gte": date(2026, 1, 1), "lte": date(2026, 1, 31)}}
    found = core.search("loop", where=january, order_by="-created")
    assert [hit.ref.key for hit in found] == ["2", "1"]
    assert found[0].metadata == {"created": "2026-01-31T18:00:00"}


def test_a_date_takes_no_operator_that_dates_have_not() -> None:
    with pytest.raises(FilterInvalid, match="exists takes True or False"):
        Filter.parse({"at": {"exists": date(2026, 1, 1)}})
