"""Dates of all formats as ISO 8601 text.

Tested by tests/test_dates.py.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

_PDF = re.compile(
    r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?'?|(Z).*)?$"
)
_ISO_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?$")


def iso_date(value: str) -> str:
    """A date, or date and time, as ISO 8601 text; "" if it is none.

    Reads ISO 8601 in any precision, and the dates of e-mail.
    """
    text = value.strip()
    if _ISO_DATE.match(text):
        return text
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def pdf_date(value: str) -> str:
    """A date of a PDF, such as "D:20240131093000+01'00'", as ISO 8601; "" if it is none."""
    found = _PDF.match(value.strip())
    if not found:
        return iso_date(value)
    year, month, day, hour, minute, second, sign, zone_hours, zone_minutes, utc = found.groups()
    text = f"{year}-{month or '01'}-{day or '01'}"
    if hour:
        text += f"T{hour}:{minute or '00'}:{second or '00'}"
        if sign:
            text += f"{sign}{zone_hours}:{zone_minutes or '00'}"
        elif utc:
            text += "+00:00"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text
