"""Databases with tables and nothing in them, for harnesses that are opened hundreds of times."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Keep:
    """Databases with tables and nothing in them: of servers some that are emptied and lent again,
    of SQLite copies.
    """

    def __init__(
        self, kind: str, servers: Any, stack: Any, folder: Path, prepare: Callable[[Any, Any], None]
    ) -> None:
        self.kind, self.servers = kind, servers
        self._stack, self._folder, self._prepare = stack, folder, prepare
        self._free: list[Any] = []
        self._made = 0

    def borrow(self) -> Any:
        """One for a harness."""
        if self.kind != "sqlite3":
            return self._free.pop() if self._free else self._new()
        if not self._free:
            self._free.append(self._new())
        self._made += 1
        path = self._folder / f"copy{self._made}.db"
        shutil.copy(self._free[0].address, path)
        return self.servers.Database("sqlite3", str(path))

    def give_back(self, database: Any) -> None:
        """It is empty again, or was a copy."""
        if self.kind != "sqlite3":
            self._free.append(database)
        else:
            for path in self._folder.glob(f"{Path(database.address).name}*"):
                path.unlink()

    def _new(self) -> Any:
        database = self._stack.enter_context(self.servers.new_database(self.kind, self._folder))
        self._prepare(self, database)
        return database
