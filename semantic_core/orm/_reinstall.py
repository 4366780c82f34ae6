"""Indexes that are to be installed as soon as that can be done: their table is not there yet,
or a migration is at work.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from semantic_core.orm._dialects import placeholder_of, table_there

if TYPE_CHECKING:
    from semantic_core.orm._contract import AdapterContract

_log = logging.getLogger("semantic_core.orm")

NO_TABLE = "the table is not there yet"
"""What the status of an index says until it is."""


class Reinstall:
    """The indexes of one hub that wait for it.

    Safe to share between threads; costs nothing while none waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, AdapterContract] = {}
        self._lock = threading.Lock()

    def __contains__(self, adapter: AdapterContract) -> bool:
        return self._waiting.get(adapter.declaration.collection) is adapter

    def later(self, adapter: AdapterContract) -> None:
        """Install this one at the next `settle`."""
        with self._lock:
            self._waiting[adapter.declaration.collection] = adapter

    def done(self, adapter: AdapterContract) -> None:
        """It is installed."""
        with self._lock:
            self._waiting.pop(adapter.declaration.collection, None)

    def settle(self) -> None:
        """Install those whose table is there.

        Never raises: an index that cannot be installed yet goes on waiting.
        """
        for adapter in list(self._waiting.values()):
            try:
                if is_there(adapter):
                    adapter.install()
            except Exception as error:  # noqa: BLE001
                # Whatever is half migrated; the next commit tries again.
                reason = str(error).partition("\n")[0]
                _log.info("%s is not installed yet: %s", adapter, reason)


def is_there(adapter: AdapterContract) -> bool:
    """Whether the table of an index is there."""
    mark = adapter.placeholder or placeholder_of(adapter.dialect)
    sql, params = table_there(adapter.dialect, adapter.table.name, mark)
    return bool(adapter.execute(sql, params)[0][0])
