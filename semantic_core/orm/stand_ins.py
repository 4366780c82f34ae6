"""Which core answers for a database that is exchanged while the process runs, as test runs do.

Some frameworks give a test run another database under the same name: Django's alias "default" leads
to "app" first, and to "test_app" during the tests. Rows of a test must not be written to the index
of the application. `CorePerDatabase` gives each other database a core of its own.

Tested by tests/orm/test_stand_ins.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore


class CorePerDatabase:
    """Remembers which database each core belongs to, and answers for other databases with another.

    make_stand_in: makes the core for another database from the core of the application; called once
    for each. Safe to share between threads.
    """

    def __init__(self, make_stand_in: Callable[[SemanticCore], SemanticCore]) -> None:
        self._make_stand_in = make_stand_in
        self._first_names: dict[str, str] = {}
        self._homes: WeakKeyDictionary[SemanticCore, dict[str, str]] = WeakKeyDictionary()
        self._stand_ins: WeakKeyDictionary[SemanticCore, dict[tuple[str, str], SemanticCore]]
        self._stand_ins = WeakKeyDictionary()
        self._lock = threading.RLock()

    def is_first(self, alias: str, name: str) -> bool:
        """Whether the alias leads to the database now that it led to at the first call.

        False means that somebody exchanged the database, for a test run.
        """
        with self._lock:
            return self._first_names.setdefault(alias, name) == name

    def add(self, core: SemanticCore, alias: str, name: str) -> None:
        """A core belongs to the database that its alias leads to at the first call."""
        with self._lock:
            self._first_names.setdefault(alias, name)
            self._homes.setdefault(core, {}).setdefault(alias, name)

    def core_for(self, core: SemanticCore, alias: str, name: str) -> SemanticCore:
        """The core itself in the database it belongs to, and its stand-in in any other one."""
        with self._lock:
            home = self._homes.setdefault(core, {}).setdefault(alias, name)
            if name == home:
                return core
            stand_ins = self._stand_ins.setdefault(core, {})
            database = (alias, name)
            if database not in stand_ins:
                stand_ins[database] = self._make_stand_in(core)
            return stand_ins[database]
