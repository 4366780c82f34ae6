"""Checks of names, texts, numbers and metadata, once, where a value enters; and the words of
messages: values, errors and near misses on one line.

Tested by tests/kernel/test_types.py and tests/plugins/test_discovery.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from semantic_core.errors import InputError, SemanticCoreError, TextInvalid

MAX_NAME = 500
"""Longest key, collection or tenant, in characters."""
MAX_TEXT = 50_000_000
"""Longest document, in characters. Longer ones have to be split into several documents."""
MAX_METADATA_KEY = 128
"""Longest metadata key, in characters."""
INT64 = range(-(2**63), 2**63)
"""Integers that every store can store."""

Scalar = str | bool | int | float
"""One metadata value."""
Value = Scalar | tuple[str, ...]
"""The value of a metadata key: one value, or several strings."""


HIDDEN = "(hidden)"
"""What is shown in place of a secret."""
_SECRET_WORDS = ("key", "token", "secret", "password", "credential")
_USER_OF_URL = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
_PARAMETER = re.compile(r"(?<=[?&;])([^=?&;\s]+)=[^?&;#\s]+")


def masked(text: str) -> str:
    """The text with the user part of every URL hidden, and parameters that are named like a
    secret.
    """
    if "://" not in text and "=" not in text:  # nearly always
        return text
    return _PARAMETER.sub(_masked_parameter, _USER_OF_URL.sub(HIDDEN, text))


def _masked_parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={HIDDEN}" if sounds_secret(found[1]) else found[0]


def sounds_secret(name: str) -> bool:
    """Whether the value of a setting with this name is probably a secret."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def without_secrets(value: Any) -> Any:
    """The value of a setting with everything that looks like a secret replaced by HIDDEN."""
    if isinstance(value, Mapping):
        shown = {}
        for key, item in value.items():
            shown[key] = HIDDEN if sounds_secret(str(key)) else without_secrets(item)
        return shown
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def plain_name(name: str) -> str:
    """The name of a plugin as settings compare it: ``My-Decay`` is ``my_decay``, which a variable
    of the environment can have in its name.
    """
    return re.sub(r"[-_.]+", "_", name).lower()


def clip(value: object, limit: int = 60) -> str:
    """The repr of a value, short enough for a message, without the user part of a URL."""
    text = masked(repr(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def check_unicode(what: str, text: object) -> str:
    """The text itself, if it is a str that UTF-8 can encode; else TextInvalid with the place."""
    if not isinstance(text, str):
        raise TextInvalid(f"{what} must be a str, got {type(text).__name__}: {clip(text)}.")
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextInvalid(
            (
                f"{what} holds a lone surrogate (U+{ord(text[error.start]):04X}) at "
                f"character {error.start}."
            ),
            hint='Decode the source with errors="replace", or repair it.',
        ) from error
    return text


def check_text(what: str, text: object) -> str:
    """The text itself, if it can be stored; else TextInvalid."""
    checked = check_unicode(what, text)
    if len(checked) > MAX_TEXT:
        raise TextInvalid(
            f"{what} has {len(checked):,} characters, the most is {MAX_TEXT:,}.",
            hint="Split it into several documents.",
        )
    return checked


def check_name(what: str, name: object, *, empty: bool = False) -> str:
    """The name itself, if it is a str without control characters, of at most MAX_NAME characters;
    else InputError.

    empty: whether "" is allowed.
    """
    if not isinstance(name, str):
        raise InputError(
            f"{what} must be a str, got {type(name).__name__}: {clip(name)}.", hint="Use str(...)."
        )
    if (name or empty) and len(name) <= MAX_NAME and name.isascii() and name.isprintable():
        return name  # fast for most names: a search creates hundreds of refs
    if not name and not empty:
        raise InputError(f"{what} must not be empty.")
    if len(name) > MAX_NAME:
        raise InputError(
            f"{what} has {len(name)} characters, the most is {MAX_NAME}: {clip(name)}."
        )
    if not name.isprintable() and any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        raise InputError(f"{what} must not hold control characters: {clip(name)}.")
    return check_unicode(what, name)


LANGUAGES_EXAMPLE = '["en", "de"]'
_LANGUAGE = re.compile(r"[a-z]{2,3}")
"""An ISO 639 code: of two letters, or of three for a language that has no shorter one."""


def check_languages(languages: object) -> tuple[str, ...]:
    """These ISO 639 codes in lower case, each once, in their order; InputError for anything else.
    Regions are left out: "pt-BR" is "pt".
    """
    given = languages if isinstance(languages, list | tuple | set | frozenset) else None
    codes: dict[str, None] = {}
    for language in given or ():
        code = re.split("[-_]", language.lower())[0] if isinstance(language, str) else ""
        if not _LANGUAGE.fullmatch(code):
            given = None
            break
        codes[code] = None
    if given is None:
        raise InputError(
            f"languages must be a list of ISO codes, got {clip(languages)}.",
            hint=f"For example {LANGUAGES_EXAMPLE}.",
        )
    return tuple(codes)


def check_count(what: str, number: object, least: int = 0, most: int | None = None) -> int:
    """The number itself, if it is a whole number within these bounds; else InputError. True and
    False are no numbers.
    """
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    if is_whole and least <= number and (most is None or number <= most):  # type: ignore[operator]
        return number  # type: ignore[return-value]
    wanted = f"from {least:,}" if most is None else f"from {least:,} to {most:,}"
    raise InputError(f"{what} must be a whole number {wanted}, got {clip(number)}.")


def check_seconds(what: str, number: object) -> float:
    """The number itself, if it is a finite number of seconds from 0; else InputError."""
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if is_number and math.isfinite(number) and number >= 0:  # type: ignore[arg-type, operator]
        return number  # type: ignore[return-value]
    raise InputError(f"{what} must be a number of seconds from 0, got {clip(number)}.")


def check_score(what: str, number: object) -> float:
    """A score from 0 to 1; else InputError. what: names it in messages."""
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 1:
        return number
    raise InputError(f"{what} must be a number from 0 to 1, got {clip(number)}.")


def check_metadata_key(key: object) -> str:
    """The key itself, if metadata may have it."""
    valid = isinstance(key, str) and 0 < len(key) <= MAX_METADATA_KEY
    if not valid or any(ord(char) < 32 for char in str(key)):
        raise InputError(
            f"A metadata key is a str of 1 to {MAX_METADATA_KEY} characters without control "
            f"characters, got {clip(key)}."
        )
    return check_unicode("A metadata key", key)


def iso_text(moment: date) -> str:
    """A date or datetime as text in ISO 8601, such as "2026-01-31" or "2026-01-31T12:00:00+00:00".

    A datetime with a time zone is given in UTC, one without as it is. These texts are in
    chronological order as long as all have a zone or none has.
    """
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.isoformat()


def check_scalar(what: str, value: object) -> Scalar:
    """The value itself, if every store can store and compare it: str, bool, finite float, int
    within 64 bits; a date or datetime as `iso_text`.
    """
    if isinstance(value, str):
        return check_unicode(what, value)
    if isinstance(value, date):
        return iso_text(value)
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and value in INT64:
        return value
    wanted = "a str, a bool, a finite float, an int within 64 bits, a date, or a list of str"
    hint = "Leave the key out instead." if value is None else ""
    raise InputError(
        f"{what} must be {wanted}, got {type(value).__name__}: {clip(value)}.", hint=hint
    )


def check_metadata(metadata: object) -> Mapping[str, Value]:
    """A copy with lists as tuples, keys in order; InputError names the key at fault."""
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata must be a mapping, got {type(metadata).__name__}.")
    if not metadata:  # most chunks have none
        return {}
    checked = {}
    for key in sorted(metadata, key=str):
        checked[check_metadata_key(key)] = _value(str(key), metadata[key])
    return checked


def _value(key: str, value: Any) -> Value:
    if isinstance(value, list | tuple):
        if not all(isinstance(item, str | date) for item in value):
            raise InputError(f"metadata[{key!r}]: a list may only hold str, got {clip(value)}.")
        return tuple(str(check_scalar(f"metadata[{key!r}]", item)) for item in value)
    return check_scalar(f"metadata[{key!r}]", value)


LONGEST_CAUSE = 240
"""Most characters of an error's message that are shown."""
STALE = "stale"
"""Code of a failure: the store has a newer change of this document, by its stamp, and refused the
write.
"""
STALE_REASON = "The index has a newer change of this document already."


def one_line(error: BaseException) -> str:
    """``Type: message`` of any error, on one line."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own class
        message = "(its message cannot be read)"
    text = masked(" ".join(f"{named(error)}: {message}".split()).removesuffix(":"))
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"


def described(error: BaseException) -> str:
    """An error for a report: its message, with the type in front unless it is a
    SemanticCoreError.
    """
    if isinstance(error, SemanticCoreError):
        return str(error)
    return f"{named(error)}: {error}"


def short(value: object, limit: int = 60) -> str:
    """The repr of a plugin's value in at most `limit` characters; its type's name if the repr
    fails.
    """
    try:
        return clip(value, limit)
    except Exception:  # noqa: BLE001 - a plugin's own class
        return f"<{named(value)}>"


def named(value: object) -> str:
    """The name of the value's type."""
    return type(value).__name__


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of the names that was probably meant; "" if none is near."""
    near = get_close_matches(name, sorted(set(names)), n=1, cutoff=0.6)
    return near[0] if near else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the nearest of the names; "" if none is near."""
    near = nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""
