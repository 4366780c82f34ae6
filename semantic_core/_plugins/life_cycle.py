"""The life cycle of plugin objects: ``open(core)`` when the client is ready, ``close()`` when it is
closed.

Tested by tests/plugins/test_life_cycle.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from semantic_core._validation import one_line
from semantic_core.errors import is_interruption

if TYPE_CHECKING:
    from semantic_core._plugins.records import PluginRecord

logger = logging.getLogger("semantic_core.plugins")


class OpenFailed(NamedTuple):
    """A plugin whose ``open`` raised."""

    plugin: str
    error: BaseException

    @property
    def cause(self) -> str:
        """What it raised, on one line, without a full stop."""
        return f"it raised in open: {one_line(self.error)}".removesuffix(".")


class LifeCycle:
    """The plugin objects of one client, which are opened and closed once.

    A module has no life cycle: what it calls ``open`` is probably Python's.
    """

    def __init__(self, records: Sequence[PluginRecord]) -> None:
        """records: those that take part, in the order in which they are opened."""
        self._records = [record for record in records if record.plugin is not None]
        self._to_close: list[PluginRecord] = []
        self._lock = Lock()

    def open(self, core: object) -> list[OpenFailed]:
        """Open all of them, and return those that failed. An interruption closes those that are
        open, and is raised.
        """
        failed = []
        for record in self._records:
            try:
                method = getattr(record.plugin, "open", None)
                if callable(method):
                    method(core)
            except BaseException as error:
                if is_interruption(error):
                    self.close()
                    raise
                failed.append(OpenFailed(record.info.name, error))
                continue
            self._to_close.append(record)
        return failed

    def close(self) -> None:
        """Close those that are open, the last one first. May be called again.

        What they raise is logged; an interruption is raised when all are closed.
        """
        with self._lock:
            records = self._to_close
            self._to_close = []
        interruption = None
        for record in reversed(records):
            try:
                method = getattr(record.plugin, "close", None)
                if callable(method):
                    method()
            except BaseException as error:  # noqa: BLE001 - one that fails must stop nobody
                if is_interruption(error):
                    interruption = error
                else:
                    what = one_line(error)
                    logger.warning("Plugin %r raised in close: %s", record.info.name, what)
        if interruption is not None:
            raise interruption
