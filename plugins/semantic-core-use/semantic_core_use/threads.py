"""`leaving_threads`: calls of several threads leave the number of threads of numpy's matrix library
as it was.

The model sets that number, which is one for the whole process, at the beginning of a call and
restores at its end what it found. Of two calls at once, the second finds what the first has set,
and would leave it behind. So what there was is noted before the first call of several that overlap,
and restored after the last.

Tested by tests/test_embedder.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any


class _Calls:
    """The calls that overlap now, in one process. before: what there was before the first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = Lock()
        self.count = 0
        self.before: Any = None


_calls = _Calls()


@contextmanager
def leaving_threads() -> Iterator[None]:
    """Within the block, the model may set the number of threads."""
    global _calls
    if _calls.process != os.getpid():
        _calls = _Calls()  # the calls of the parent, and their lock, are not ours
    calls = _calls
    with calls.lock:
        if not calls.count:
            from threadpoolctl import ThreadpoolController

            # Of that library alone: other numbers differ from thread to thread.
            calls.before = ThreadpoolController().select(user_api="blas").limit(limits=None)
        calls.count += 1
    try:
        yield
    finally:
        with calls.lock:
            calls.count -= 1
            if not calls.count:
                calls.before.restore_original_limits()
