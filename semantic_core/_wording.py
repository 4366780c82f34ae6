"""How errors, values and near misses are told in a message: on one line, and short."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from semantic_core._checks import clip

LONGEST_CAUSE = 240
"""Characters of an error's own words that are shown."""
STALE = "stale"
"""Code of a failure: the store has something newer of this document, by its stamp,
and refused the write.
"""
STALE_REASON = "The index has a newer change of this document already."


def one_line(error: BaseException) -> str:
    """``Type: message`` of an error, however it was written."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001
        # The error is a plugin's own class, and must not hide what happened.
        said = "(its message cannot be read)"
    text = " ".join(f"{named(error)}: {said}".split()).removesuffix(":")
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"


def short(value: object, limit: int = 60) -> str:
    """The repr of a plugin's own value in at most `limit` characters;
    its type's name where the repr fails.
    """
    try:
        return clip(value, limit)
    except Exception:  # noqa: BLE001
        # A value's own repr failed; telling of it must not change what happens.
        return f"<{named(value)}>"


def named(value: object) -> str:
    """The name of the value's type."""
    return type(value).__name__


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of the names that was probably meant; "" if none is near."""
    return next(iter(get_close_matches(name, sorted(set(names)), n=1, cutoff=0.6)), "")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest of the names; "" if none is near."""
    near = nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""
