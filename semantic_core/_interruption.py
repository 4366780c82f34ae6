"""Telling what a signal handler of the application raised from what failed: a time limit, say, is
meant for whoever set it, and no failure of the plugin or provider that was at work just then.
"""

from __future__ import annotations

import signal
from types import CodeType


def is_interruption(error: BaseException) -> bool:
    """Whether a signal handler of this process raised it; KeyboardInterrupt always counts."""
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = _handlers()
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _handlers() -> set[CodeType]:
    """The code of every handler that is written in Python."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        called = handler if hasattr(handler, "__code__") else getattr(handler, "__call__", None)  # noqa: B004
        code = getattr(getattr(called, "__func__", called), "__code__", None)
        if isinstance(code, CodeType):
            found.add(code)
    return found
