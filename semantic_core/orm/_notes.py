"""What an index has to remember besides its tickets: where rows were put,
and a few words per collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from semantic_core.orm._dialects import OUTBOX, PLACES, STATE, upsert
from semantic_core.orm._pages import Pages
from semantic_core.orm._statements import chunks
from semantic_core.orm._tables import Table

TRIGGERS = "triggers"
"""The state that says which triggers there were after the last install; none after they were taken
away on purpose.
"""


class Notes(Pages):
    """Places and state, in tables beside the outbox. consumer: the index whose places they are."""

    consumer: str = ""

    def places(self, collection: str, keys: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Per key, the tenants its row was put at, each with the stamp of that;
        keys never put anywhere are left out.
        """
        found: dict[str, dict[str, int]] = {}
        for chunk in chunks(dict.fromkeys(keys)):
            rows = self._execute(
                f"SELECT row_key, tenant, stamp FROM {PLACES} "
                f"WHERE collection = {self._mark} AND owner IN ({self._marks(len(chunk))})",
                [collection, *(_address(self.consumer, collection, key) for key in chunk)],
            )
            for key, tenant, stamp in rows:
                found.setdefault(key, {})[tenant] = int(stamp)
        return found

    def put_place(self, collection: str, key: str, tenant: str, stamp: int) -> None:
        """Remember that a row was put at this tenant. The stamp of a place never gets smaller."""
        columns = ("address", "owner", "collection", "row_key", "tenant", "stamp")
        sql = upsert(self._dialect, PLACES, columns, ("stamp",), self._mark)
        owner = _address(self.consumer, collection, key)
        address = _address(self.consumer, collection, key, tenant)
        self._execute(sql, [address, owner, collection, key, tenant, stamp])

    def forget_places(self, collection: str, keys: Iterable[str]) -> None:
        """Forget where the rows with these keys were put."""
        for chunk in chunks(dict.fromkeys(keys)):
            self._execute(
                (
                    f"DELETE FROM {PLACES} WHERE collection = {self._mark} "
                    f"AND owner IN ({self._marks(len(chunk))})"
                ),
                [collection, *(_address(self.consumer, collection, key) for key in chunk)],
            )

    def tenants(self, collection: str, table: Table, tenant_column: str | None) -> list[str]:
        """The names of tenants, as text, that have a row, a place or a ticket;
        "" among them where there is none.
        """
        found = {
            row[0]
            for source in (OUTBOX, PLACES)
            for row in self._execute(
                f"SELECT DISTINCT tenant FROM {source} WHERE collection = {self._mark}",
                [collection],
            )
        }
        if tenant_column is not None:
            found |= {row[0] for row in self._execute(self._tenants_of(table, tenant_column), ())}
        return sorted(found)

    def collections(self) -> list[str]:
        """The collections something is remembered of: those with an index that is installed."""
        rows = self._execute(
            f"SELECT DISTINCT collection FROM {STATE} WHERE collection <> '' ORDER BY collection",
            (),
        )
        return [str(row[0]) for row in rows]

    def get_state(self, collection: str, name: str) -> str | None:
        """What was set under this name; None if nothing was."""
        sql = f"SELECT value FROM {STATE} WHERE collection = {self._mark} AND name = {self._mark}"
        value = self._value(sql, [collection, name])
        return None if value is None else str(value)

    def set_state(self, collection: str, name: str, value: str) -> None:
        """Remember a value under this name."""
        sql = upsert(self._dialect, STATE, ("collection", "name", "value"), ("value",), self._mark)
        self._execute(sql, [collection, name, value])

    def drop_state(self, name: str) -> None:
        """Forget what was set under this name, of every collection."""
        self._execute(f"DELETE FROM {STATE} WHERE name = {self._mark}", [name])


def _address(*names: str) -> str:
    """One short name for several, the same for no others."""
    return sha256("".join(f"{len(name)}:{name}" for name in names).encode()).hexdigest()
