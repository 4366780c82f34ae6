"""Rows that were found, in the order of the ranking, each with the passage that was found in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload

import attrs

from semantic_core.types import Mode, SearchHit

T = TypeVar("T")

HIT = "search_hit"
"""The attribute of a found instance that holds its `SearchHit`."""


@attrs.frozen
class ModelResults(Sequence[T], Generic[T]):
    """Instances, best first; each has its `SearchHit` as ``search_hit``,
    and ``hits`` has them in the same order.

    mode, degraded, reason, timings: of the search, as `SearchResults` has them; timings holds
    "rows" as well, the milliseconds spent reading rows. waiting: changes of these rows that the
    index had not processed when the search began (0 after ``fresh=True`` that succeeded).
    """

    query: str
    rows: tuple[T, ...]
    hits: tuple[SearchHit, ...]
    mode: Mode
    degraded: bool = False
    reason: str = ""
    waiting: int | None = None
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


def with_hit(instance: Any, hit: SearchHit) -> Any:
    """The instance, with its hit.

    One that has no room for attributes stays as it is: `ModelResults.hits` has it.
    """
    try:
        setattr(instance, HIT, hit)
    except Exception:  # noqa: BLE001
        # A model that is frozen, or takes its own fields only, says so as it likes.
        with suppress(AttributeError, TypeError):  # slots
            object.__setattr__(instance, HIT, hit)
    return instance
