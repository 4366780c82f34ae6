"""Dates of all formats become ISO 8601."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_files.dates import iso_date, pdf_date


@pytest.mark.parametrize(
    ("given_date", "wanted"),
    [
        ("2024", "2024"),
        ("2024-05", "2024-05"),
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00"),
        ("Fri, 31 May 2024 09:30:00 +0200", "2024-05-31T09:30:00+02:00"),
        ("Fri, 31 May 2024 09:30:00", "2024-05-31T09:30:00"),
        ("yesterday", ""),
        ("", ""),
        ("Fri, 99 May 2024 09:30:00 +0200", ""),
    ],
)
def test_dates_become_iso(given_date: str, wanted: str) -> None:
    assert iso_date(given_date) == wanted


@pytest.mark.parametrize(
    ("given_date", "wanted"),
    [
        ("D:20240131093000+01'00'", "2024-01-31T09:30:00+01:00"),
        ("D:20240131093000Z", "2024-01-31T09:30:00+00:00"),
        ("D:2024", "2024-01-01"),
        ("20240131", "2024-01-31"),
        ("D:20241331", ""),
        ("2024-01-31", "2024-01-31"),
        ("", ""),
    ],
)
def test_dates_of_pdf_become_iso(given_date: str, wanted: str) -> None:
    assert pdf_date(given_date) == wanted


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_breaks_a_date(text: str) -> None:
    assert isinstance(iso_date(text) + pdf_date(text), str)
