"""What the index asks the application's database stays out of the log of Peewee's statements.

An application that counts its queries (``playhouse.test_utils.count_queries``, a debug page) counts
its own. Those of the index are told to the logger "semantic_core.sql" instead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ours = logging.getLogger("semantic_core.sql")
_mine = threading.local()


@contextmanager
def unlogged() -> Iterator[None]:
    """Within it, what this thread executes is not the application's."""
    before = getattr(_mine, "unlogged", False)
    _mine.unlogged = True
    try:
        yield
    finally:
        _mine.unlogged = before


def _is_the_applications(record: logging.LogRecord) -> bool:
    if not getattr(_mine, "unlogged", False):
        return True
    _ours.log(record.levelno, record.msg, *(record.args or ()))
    return False


logging.getLogger("peewee").addFilter(_is_the_applications)
