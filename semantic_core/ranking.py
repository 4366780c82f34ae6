"""How the candidates of a search are ranked: which steps run, which fields count for more, and
whether new documents come before old ones.

``core.search("loops", ranking={"boosts": {"title": 3}})`` sets it for one search, and
``SemanticCore(ranking=...)``, or the table ``[ranking]`` in the settings, for all of them.

Tested by tests/kernel/test_ranking.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any, Final

import attrs

from semantic_core._validation import clip, did_you_mean
from semantic_core.errors import InputError

STEPS: Final = ("documents", "feedback", "neighbours")
"""The steps that can be switched off, in the order in which they run: a passage shares the
full-text score of its document; the best candidates say what the query means; a candidate is
raised by its nearest neighbours."""
TITLE: Final = "title"
UPDATED_AT: Final = "updated_at"
MOST_BOOST: Final = 100.0
"""Largest weight of a field."""


def _steps(given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(
            f"ranking: steps must be a list of names, got {clip(given)}.",
            hint='Write steps=["feedback"], or [] for none.',
        )
    for name in given:
        if name not in STEPS:
            hint = did_you_mean(str(name), STEPS)
            raise InputError(
                f"ranking: there is no step {clip(name)}; there are {', '.join(STEPS)}.", hint=hint
            )
    return tuple(name for name in STEPS if name in given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def check_boost(what: str, weight: object) -> float:
    """The weight of a field, above 0 and at most `MOST_BOOST`; else InputError. what: names it."""
    if isinstance(weight, int | float) and _is_number(weight) and 0 < weight <= MOST_BOOST:
        return float(weight)
    raise InputError(
        f"{what}: a weight must be a number above 0 and at most {MOST_BOOST:g}, got {clip(weight)}."
    )


def _boosts(given: object) -> Mapping[str, float]:
    if not isinstance(given, Mapping):
        raise InputError(
            f"ranking: boosts must be a mapping, got {clip(given)}.",
            hint='Write boosts={"title": 3}.',
        )
    checked: dict[str, float] = {}
    for field, weight in given.items():
        if not isinstance(field, str) or not field:
            raise InputError(f"ranking: a boosted field has a name, got {clip(field)}.")
        checked[field] = check_boost(f"ranking: boosts[{field!r}]", weight)
    return checked


@attrs.frozen
class Recency:
    """The older a document, the lower its score: half of it for every `half_life`.

    half_life: in days, above 0. field: "updated_at", when the index last saw the document change,
    or a key of its metadata that holds a date or a time in ISO 8601, such as "2026-11-20"; a time
    without a zone is in UTC. A document without such a value keeps its score, and so does one from
    the future. Raises InputError.
    """

    half_life: float
    field: str = UPDATED_AT

    def __attrs_post_init__(self) -> None:
        if not _is_number(self.half_life) or self.half_life <= 0:
            raise InputError(
                f"ranking: half_life must be a number of days above 0, got {clip(self.half_life)}."
            )
        if not isinstance(self.field, str) or not self.field:
            raise InputError(
                f'ranking: the field of recency must be "{UPDATED_AT}" or a key of the metadata, '
                f"got {clip(self.field)}."
            )

    def factor(self, seconds: float) -> float:
        """What the score of a document of this age is multiplied with, from 0 to 1:
        0.5 ** (age / half_life).
        """
        days = min(max(0.0, seconds / 86_400), inf)
        return float(0.5 ** (days / self.half_life))


def _recency(given: object) -> Recency | None:
    if given is None or isinstance(given, Recency):
        return given
    return Recency(**_known("recency", given, ("half_life", "field"), needed=("half_life",)))


def _known(
    what: str, given: object, names: Sequence[str], needed: Sequence[str] = ()
) -> dict[str, Any]:
    """A mapping with these keys alone; else InputError."""
    example = '{"recency": {"half_life": 30}}'
    if not isinstance(given, Mapping):
        raise InputError(
            f"{what} must be a mapping, got {clip(given)}.", hint=f"Write ranking={example}."
        )
    for name in given:
        if name not in names:
            raise InputError(
                f"{what}: there is no {clip(name)}; there are {', '.join(names)}.",
                hint=did_you_mean(str(name), names),
            )
    for name in needed:
        if name not in given:
            raise InputError(f"{what}: {name} is missing.", hint=f"Write ranking={example}.")
    return dict(given)


@attrs.frozen
class RankingOptions:
    """How a search ranks its candidates. Raises InputError for a value that cannot be meant.

    steps: those of `STEPS` that run. boosts: by field, which is "title" or a key of the metadata,
    how often the full-text score of a passage counts if that field contains all of the query's
    words; less if it contains some of them. recency: None if age does not matter.
    """

    steps: tuple[str, ...] = attrs.field(default=STEPS, converter=_steps)
    boosts: Mapping[str, float] = attrs.field(factory=dict, converter=_boosts, hash=False)
    recency: Recency | None = attrs.field(default=None, converter=_recency)

    @classmethod
    def of(cls, given: object, usual: RankingOptions | None = None) -> RankingOptions:
        """The options that are meant: a `RankingOptions` as it is; a mapping changes those of
        `usual` that it names; None takes `usual` as it is. Raises InputError.
        """
        if isinstance(given, RankingOptions):
            return given
        start = usual if usual is not None else cls()
        if given is None:
            return start
        names = [field.name for field in attrs.fields(cls)]
        return attrs.evolve(start, **_known("ranking", given, names))


DEFAULT_RANKING: Final = RankingOptions()
