"""`ClaimedChanges`: pending changes on their way from the outbox to the core.

The outbox holds keys and tenants as the database writes them. Here they become refs, in the form
that documents have.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from semantic_core._validation import STALE_REASON
from semantic_core.errors import SemanticCoreError
from semantic_core.orm.agreement import Agreement, number_of, stamp_of
from semantic_core.orm.contract import AdapterContract
from semantic_core.types import Ref

if TYPE_CHECKING:
    from semantic_core.orm.outbox import PendingChange, SqlOutbox

WHOLE_TABLE = ""
"""The key of a pending change of a whole table: all its rows are compared with the index."""


class ClaimedChanges:
    """One claim from an outbox. Implements `protocols.Outbox`, with stamps in place of numbers.

    count: how many changes were claimed. compare: called with the name of a collection whose rows
    have to be compared. lease: see `SqlOutbox.claim`. retry_stale: whether a change that the store
    refuses as stale is processed again at once; otherwise it has failed.
    """

    def __init__(
        self,
        outbox: SqlOutbox,
        agreement: Agreement,
        adapters: Mapping[str, AdapterContract],
        *,
        compare: Callable[[str], None],
        lease: bool,
        retry_stale: bool = True,
    ) -> None:
        self._outbox = outbox
        self._agreement = agreement
        self._adapters = adapters
        self._compare = compare
        self._lease = lease
        self._retry_stale = retry_stale
        self._epoch = agreement.epoch
        self._open: dict[int, PendingChange] = {}
        self._evidence = (0, 0)
        self.count = 0

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`.

        A change of a whole table is done here: the comparison of its rows is requested.
        """
        changes = self._outbox.claim(limit, collections=set(self._adapters), lease=self._lease)
        self.count += len(changes)
        by_collection: dict[str, list[PendingChange]] = defaultdict(list)
        for change in changes:
            self._open[change.number] = change
            by_collection[change.collection].append(change)
        if changes:
            self._evidence = (changes[-1].number, changes[-1].mark)
        found: list[tuple[int, Ref]] = []
        for name, group in by_collection.items():
            for number, ref in self._refs(self._adapters[name], group):
                found.append((stamp_of(self._epoch, number), ref))
        return found

    def writing(self) -> AbstractContextManager[None]:
        """A block in which the writes of this thread to the index come from these changes."""
        return self._agreement.writing(self._newest_claimed)

    def done(self, numbers: Collection[int]) -> None:
        """See `Outbox.done`. numbers: stamps."""
        self._done(list(map(number_of, numbers)))

    def failed(self, numbers: Collection[int], reason: str) -> None:
        """See `Outbox.failed`. numbers: stamps."""
        self._failed(list(map(number_of, numbers)), reason)

    def give_back(self) -> None:
        """Release the changes that were not processed."""
        if self._open and (self._lease or not self._outbox.reads_without_lease):
            self._outbox.give_back(self._open)
        self._open = {}

    def _newest_claimed(self) -> tuple[int, int]:
        return self._evidence

    def _done(self, numbers: Collection[int]) -> None:
        mine = self._open.keys() & set(numbers)
        if mine:
            with self._outbox.atomic():
                # First: whoever finds the change deleted must find the acknowledgement.
                self._agreement.acknowledge()
                self._outbox.done(mine)
            self._close(mine)

    def _failed(self, numbers: Collection[int], reason: str) -> None:
        mine = self._open.keys() & set(numbers)
        if mine and reason == STALE_REASON and self._retry_stale:
            self._add_again(mine)
        elif mine:
            newest = self._newest_of_each(mine)
            self._outbox.failed(newest, reason)
            self._outbox.done(mine - newest)  # one failed change is enough for each address
            self._close(mine)

    def _newest_of_each(self, numbers: Collection[int]) -> set[int]:
        """Of the changes of each address the one with the largest number."""
        newest: dict[tuple[str, str, str], int] = {}
        for number in sorted(numbers):
            change = self._open[number]
            newest[change.collection, change.key, change.tenant] = number
        return set(newest.values())

    def _add_again(self, numbers: Collection[int]) -> None:
        """Replace changes that the store refused as stale by new ones with larger numbers."""
        for number in sorted(numbers):
            change = self._open[number]
            self._outbox.add(
                change.collection, [change.key], change.tenant, consumer=self._outbox.consumer
            )
        self._done(numbers)

    def _close(self, numbers: Collection[int]) -> None:
        for number in numbers:
            del self._open[number]

    def _refs(
        self, adapter: AdapterContract, changes: Sequence[PendingChange]
    ) -> list[tuple[int, Ref]]:
        """(number, ref) of each change of one collection. Changes of the whole table, of unusable
        keys and of rows that are at no tenant are finished here.
        """
        name = adapter.declaration.collection
        whole = [change.number for change in changes if change.key == WHOLE_TABLE]
        if whole:
            self._compare(name)
            self._done(whole)
        keys: dict[int, str] = {}
        tenants: dict[int, str] = {}
        for change in changes:
            if change.key == WHOLE_TABLE:
                continue
            try:
                key = adapter.canonical(change.key)
                tenants[change.number] = adapter.tenant_name(change.tenant)
                Ref(name, key)
            except (ValueError, SemanticCoreError) as error:
                reason = f"The key {change.key!r} cannot be used: {error}"
                self._failed([change.number], reason)
            else:
                keys[change.number] = key
        if adapter.places_rows:
            return self._refs_at_places(adapter, keys)
        found: list[tuple[int, Ref]] = []
        without_tenant: list[int] = []
        for number, key in keys.items():
            if tenants[number] or adapter.declaration.tenant is None:
                found.append((number, Ref(name, key, tenants[number])))
            else:
                without_tenant.append(number)
        self._done(without_tenant)  # a row without a tenant is in no index
        return found

    def _refs_at_places(
        self, adapter: AdapterContract, keys: Mapping[int, str]
    ) -> list[tuple[int, Ref]]:
        stamps: dict[str, int] = {}
        for number, key in keys.items():
            stamps[key] = max(number, stamps.get(key, 0))
        tenants = placed(adapter, self._outbox, stamps)
        found: list[tuple[int, Ref]] = []
        left_to_others: list[int] = []
        for number, key in keys.items():
            if not tenants[key]:
                left_to_others.append(number)
            for tenant in tenants[key]:
                found.append((number, Ref(adapter.declaration.collection, key, tenant)))
        self._done(left_to_others)
        return found


def placed(
    adapter: AdapterContract, outbox: SqlOutbox, stamps: Mapping[str, int]
) -> Mapping[str, Sequence[str]]:
    """For rows whose tenant only the row itself shows: per key the tenants that it belongs to now
    or had documents at; () if a later change takes care of the row. stamps: per key the number of
    its change.

    Each place is stored before the document is written, with the number of the change. A later
    change sees the place and clears it; an earlier one that sees it leaves the row to the later
    one.
    """
    name = adapter.declaration.collection
    # All rows are read before a place is stored: `load` may hold the only connection meanwhile.
    owners = [(key, adapter.tenant_of(instance)) for key, instance in adapter.rows(stamps)]
    for key, tenant in owners:
        if tenant and key in stamps:
            outbox.put_place(name, key, tenant, stamps[key])
    places = outbox.places(name, stamps)
    found: dict[str, Sequence[str]] = {}
    for key, stamp in stamps.items():
        tenants = places.get(key, {})
        later = bool(tenants) and max(tenants.values()) > stamp
        found[key] = () if later else tuple(tenants)
    return found
