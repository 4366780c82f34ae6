"""The job ledger of a store: how the store passes calls of `BatchQueue` on to it, and what results
of a job cost whom.

Tested by tests/kernel/test_storage.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

L = TypeVar("L")
P = ParamSpec("P")
T = TypeVar("T")
Owner = TypeVar("Owner", bound=Hashable)


class HasLedger(Protocol[L]):
    """A store that has a job ledger."""

    _ledger: L


class OfLedger(Generic[L, P, T]):
    """A method of a store that is a method of its job ledger::

    class MyStore:
        open_job = OfLedger(MyJobLedger.open_job)

        def __init__(self):
            self._ledger = MyJobLedger()
    """

    def __init__(self, method: Callable[Concatenate[L, P], T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, store: None, owner: type) -> Callable[Concatenate[L, P], T]: ...

    @overload
    def __get__(self, store: HasLedger[L], owner: type) -> Callable[P, T]: ...

    def __get__(self, store: HasLedger[L] | None, owner: type) -> Any:
        if store is None:
            return self._method
        return MethodType(self._method, store._ledger)


def spent_by_owner(
    paid: Mapping[str, tuple[Owner, int]], tokens: Mapping[str, int], tokens_per_character: float
) -> dict[Owner, tuple[int, int]]:
    """(passages, tokens) that the results of a job cost each owner.

    paid: (owner, characters) of each passage that was paid for, by fingerprint. tokens: of those
    that the provider counted; the tokens of the others are estimated from their characters.
    """
    passages = Counter[Owner]()
    counted = Counter[Owner]()
    uncounted_characters = Counter[Owner]()
    for name, (owner, characters) in paid.items():
        passages[owner] += 1
        if name in tokens:
            counted[owner] += tokens[name]
        else:
            uncounted_characters[owner] += characters
    spent = {}
    for owner, count in passages.items():
        estimated = round(uncounted_characters[owner] * tokens_per_character)
        spent[owner] = (count, counted[owner] + estimated)
    return spent
