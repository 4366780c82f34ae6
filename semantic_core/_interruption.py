"""What a signal handler raises ends what it cut off, also for whoever keeps the exception."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from traceback import clear_frames
from typing import ParamSpec, TypeVar

from semantic_core.errors import is_interruption

P = ParamSpec("P")
R = TypeVar("R")


def cut_cleanly(method: Callable[P, R]) -> Callable[P, R]:
    """A method after which nothing of its own is under way, even when a signal handler raised.

    A kept exception (a notebook keeps the last one) keeps the frames it went through, and they what
    they had in hand: a transaction that was just being ended, a half-read query. On SQLite each of
    these holds a connection on an old state. So those frames are emptied.
    """

    @wraps(method)
    def called(*args: P.args, **options: P.kwargs) -> R:
        try:
            return method(*args, **options)
        except BaseException as error:
            if is_interruption(error):
                clear_frames(error.__traceback__)
            raise

    return called
