"""What a signal handler raises ends what it cut off, also for whoever keeps the exception."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from traceback import clear_frames
from typing import ParamSpec, TypeVar

from semantic_core.errors import is_interruption

P = ParamSpec("P")
R = TypeVar("R")


def let_go(error: BaseException) -> None:
    """If a signal handler raised it, end what it cut off.

    An exception keeps the frames it went through, and they what they had in hand: a transaction
    that was just being ended, a half-read query. On SQLite each of these holds a connection on an
    old state, or keeps others from writing. So those frames are emptied.
    """
    if is_interruption(error):
        clear_frames(error.__traceback__)


def cut_cleanly(method: Callable[P, R]) -> Callable[P, R]:
    """A method after which nothing of its own is under way, even when a signal handler raised and
    somebody keeps the exception: a notebook keeps the last one.
    """

    @wraps(method)
    def called(*args: P.args, **options: P.kwargs) -> R:
        try:
            return method(*args, **options)
        except BaseException as error:
            let_go(error)
            raise

    return called
