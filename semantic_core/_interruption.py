"""Interrupted calls leave nothing unfinished: an exception of a signal handler does not hold open
transactions.

Tested by tests/cli/test_ingest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from traceback import clear_frames
from typing import ParamSpec, TypeVar

from semantic_core.errors import is_interruption

P = ParamSpec("P")
R = TypeVar("R")


def let_go(error: BaseException) -> None:
    """If a signal handler raised the error, clear the frames that it interrupted.

    An exception refers to its frames, and they refer to a transaction that was just being ended, or
    a query that was read in part. In SQLite each of these keeps a connection at an old state, or
    prevents other writes.
    """
    if is_interruption(error):
        clear_frames(error.__traceback__)


def cut_cleanly(method: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method so that it leaves nothing unfinished if a signal handler raises, even if
    the exception is stored, as a notebook does with the last one.
    """

    @wraps(method)
    def called(*args: P.args, **options: P.kwargs) -> R:
        try:
            return method(*args, **options)
        except BaseException as error:
            let_go(error)
            raise

    return called
