"""What a check is, and the few words checks are written with.

Checks raise AssertionError by themselves instead of using ``assert``: they hold under ``python -O``
too, and say what was wanted and what came without pytest's rewriting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Never
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, settings

from semantic_core._validation import clip
from semantic_core.errors import SemanticCoreError

SOAK = "SEMANTIC_CORE_SOAK"
"""Environment variable: how many times more random examples to play than usual,
and other ones every time.
"""


class Check:
    """One rule of a contract, the docstring says which; ``str()`` is its name.

    Call it with what makes the thing to check.

    Raises AssertionError where the rule is broken, and whatever the thing itself raises. Skips,
    with its reason, what the thing is allowed not to do (``unittest.SkipTest``, which pytest
    reports as skipped).
    """

    def __init__(self, rule: Callable[..., None]) -> None:
        self._rule = rule
        self.__doc__ = rule.__doc__

    def __call__(self, *made_by: Any) -> None:
        self._rule(*made_by)

    def __str__(self) -> str:
        return self._rule.__name__

    def __repr__(self) -> str:
        return f"<check {self}>"


def checks_in(*modules: ModuleType) -> list[Check]:
    """Every check written in these modules, in the order they stand there."""
    return [
        value for module in modules for value in vars(module).values() if isinstance(value, Check)
    ]


def fail(message: str) -> Never:
    """The rule is broken."""
    raise AssertionError(message)


def expect(holds: object, message: str) -> None:
    """Fail unless it holds."""
    if not holds:
        fail(message)


def same(got: object, wanted: object, what: str) -> None:
    """Fail unless both are equal."""
    if got != wanted:
        fail(f"{what}: wanted {clip(wanted, 600)}, got {clip(got, 600)}.")


def skip(reason: str) -> Never:
    """Leave the rule out, because this thing need not keep it."""
    raise SkipTest(reason)


@contextmanager
def raises(error: type[SemanticCoreError], what: str) -> Iterator[None]:
    """Fail unless the block raises this error of ours."""
    try:
        yield
    except error:
        return
    except Exception as other:
        raise AssertionError(
            f"{what}: wanted {error.__name__}, got {type(other).__name__}: {other}"
        ) from other
    fail(f"{what}: wanted {error.__name__}, got no error.")


def examples(count: int) -> settings:
    """Settings of a property: `count` examples, the same ones in every run;
    with SOAK so many times more, always new.
    """
    soak = max(1, int(os.environ.get(SOAK, "1")))
    return settings(
        max_examples=count * soak,
        derandomize=soak == 1,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
