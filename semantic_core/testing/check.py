"""What a check is, and the functions checks are written with.

Checks raise AssertionError by themselves instead of using ``assert``. So they hold under
``python -O`` too, and they report what was expected and what was found without pytest's rewriting.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Never, TypeVar
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, settings

from semantic_core._validation import clip
from semantic_core.errors import SemanticCoreError

SOAK = "SEMANTIC_CORE_SOAK"
"""Environment variable: a number. Checks play so many times more random examples than usual, and
new ones in every run.
"""
T = TypeVar("T")

LONGEST_VALUE = 600
"""Characters of a value that a failure message shows at most."""


class Check:
    """One rule of a contract. Its docstring states the rule; ``str()`` of it is its name.

    Call it with what makes the object to check, such as the class of an embedder.

    It raises AssertionError if the rule is broken, with a note that states the rule, and lets
    through whatever the object itself raises. It raises ``unittest.SkipTest`` with the reason,
    which pytest reports as skipped, if the rule is about an ability that the object does not have.
    """

    def __init__(self, rule: Callable[..., None]) -> None:
        self._rule = rule
        self.__doc__ = rule.__doc__

    def __call__(self, *made_by: Any) -> None:
        try:
            self._rule(*made_by)
        except AssertionError as error:
            error.add_note(f"The rule {self}: {one_line(self.__doc__)}")
            raise

    def __str__(self) -> str:
        return self._rule.__name__

    def __repr__(self) -> str:
        return f"<check {self}>"


def one_line(text: str | None) -> str:
    """The text with every run of white space as one blank; "" for None."""
    return " ".join((text or "").split())


def limited(check: Check, reason: str) -> Check:
    """The same rule, which is skipped with this reason."""

    def rule(*made_by: Any) -> None:
        skip(reason)

    rule.__name__ = str(check)
    rule.__doc__ = check.__doc__
    return Check(rule)


def checks_of(rules: Iterable[Callable[..., None]]) -> list[Check]:
    """A check for each of these rules, in their order."""
    return [Check(rule) for rule in rules]


def checks_in(*modules: ModuleType) -> list[Check]:
    """Every check defined in these modules, in the order of definition."""
    found: list[Check] = []
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Check):
                found.append(value)
    return found


def fail(message: str) -> Never:
    """Report that the rule is broken."""
    raise AssertionError(message)


def expect(holds: object, message: str) -> None:
    """Fail with this message unless the condition holds."""
    if not holds:
        fail(message)


def same(found: object, expected: object, what: str) -> None:
    """Fail unless both values are equal. what: names the value in the message."""
    if found != expected:
        wanted = clip(expected, LONGEST_VALUE)
        fail(f"{what}: expected {wanted}, found {clip(found, LONGEST_VALUE)}.")


def same_fields(found: object, what: str, /, **expected: object) -> None:
    """Fail unless these attributes of the object have these values.

    what: names the object in the message; an object that is None fails too.
    """
    for name, value in expected.items():
        if found is None:
            fail(f"{what}: expected an object, found None.")
        same(getattr(found, name), value, f"{what}: {name}")


def only(found: Iterable[T], what: str) -> T:
    """The only element; fails if there is none or another one. what: names them in the message."""
    elements = list(found)
    same(len(elements), 1, f"{what}: number")
    return elements[0]


def skip(reason: str) -> Never:
    """Skip the rule, because the object does not have to follow it."""
    raise SkipTest(reason)


@contextmanager
def raises(error: type[SemanticCoreError], what: str) -> Iterator[None]:
    """Fail unless the block raises this error. what: names the call in the message."""
    try:
        yield
    except error:
        return
    except Exception as other:
        raise AssertionError(
            f"{what}: expected {error.__name__}, found {type(other).__name__}: {other}"
        ) from other
    fail(f"{what}: expected {error.__name__}, found no error.")


def examples(count: int) -> settings:
    """Hypothesis settings for `count` examples, the same ones in every run.

    With the environment variable SOAK there are so many times more, new ones in every run.
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
