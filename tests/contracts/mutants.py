"""What the lists of mutants share: plugins broken on purpose, each with a check that must fail."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import Phase, settings

from semantic_core._memory.store import MemoryStore
from semantic_core.testing.check import examples

NUMBERS = count()


class CaughtBy(dict[Any, str]):
    """Mutants, each with the name of a check that must fail on it. Called, it registers one."""

    def __call__(self, check: str) -> Callable[[Any], Any]:
        def register(mutant: Any) -> Any:
            self[mutant] = check
            return mutant

        return register


def opener(store: type[MemoryStore]) -> Callable[..., MemoryStore]:
    """How one check opens a store: what it names is its own.

    A store that stays when it is closed has a ``shelf``, and is told its name.
    """
    if not hasattr(store, "shelf"):
        return lambda space, name="index", **options: store(space, **options)
    number = next(NUMBERS)
    return lambda space, name="index", **options: store(space, f"{number}-{name}", **options)


def unshrunk(count: int) -> settings:
    """Settings of random histories where it matters that they fail, not how shortly it is told."""
    return settings(examples(count), phases=[Phase.generate])
