"""Tickets on their way from the outbox to the core:
addresses as the database writes them become refs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from semantic_core._validation import STALE_REASON
from semantic_core.errors import SemanticCoreError
from semantic_core.orm.agreement import Agreement, number_of, stamp_of
from semantic_core.orm.contract import AdapterContract
from semantic_core.types import Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from semantic_core.orm.outbox import PendingChange, SqlOutbox

WHOLE = ""
"""The key of a ticket for a whole collection:
its documents are compared with the rows there are.
"""


class Tickets:
    """One taking from an outbox; keeps `protocols.Outbox`, with stamps for numbers.

    taken: how many tickets it took. compare: called with a collection whose rows are all to be
    compared. lease: see `SqlOutbox.claim`. again: whether what the store refuses is looked at anew
    at once; else it has failed.
    """

    def __init__(
        self,
        outbox: SqlOutbox,
        agreement: Agreement,
        adapters: Mapping[str, AdapterContract],
        *,
        compare: Callable[[str], None],
        lease: bool,
        again: bool = True,
    ) -> None:
        self._outbox = outbox
        self._agreement = agreement
        self._adapters = adapters
        self._compare = compare
        self._lease = lease
        self._looks_again = again
        self._epoch = agreement.epoch
        self._open: dict[int, PendingChange] = {}
        self._evidence = (0, 0)
        self.taken = 0

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`.

        Tickets of whole tables are worked off here: all rows of the collection are compared.
        """
        tickets = self._outbox.claim(limit, collections=set(self._adapters), lease=self._lease)
        self.taken += len(tickets)
        self._open |= {ticket.number: ticket for ticket in tickets}
        if tickets:
            self._evidence = (tickets[-1].number, tickets[-1].mark)
        by_collection: dict[str, list[PendingChange]] = defaultdict(list)
        for ticket in tickets:
            by_collection[ticket.collection].append(ticket)
        found = [
            address
            for name, group in by_collection.items()
            for address in self._refs(self._adapters[name], group)
        ]
        return [(stamp_of(self._epoch, number), ref) for number, ref in found]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within it, what this thread writes into the index comes from these tickets."""
        with self._agreement.writing(lambda: self._evidence):
            yield

    def done(self, tickets: Collection[int]) -> None:
        """See `Outbox.done`."""
        self._done([number_of(stamp) for stamp in tickets])

    def failed(self, tickets: Collection[int], reason: str) -> None:
        """See `Outbox.failed`."""
        self._failed([number_of(stamp) for stamp in tickets], reason)

    def give_back(self) -> None:
        """Let others take what was not worked off."""
        if self._open and (self._lease or not self._outbox.looks_only):
            self._outbox.give_back(self._open)
        self._open = {}

    def _done(self, numbers: Collection[int]) -> None:
        mine = self._open.keys() & set(numbers)
        if mine:
            with self._outbox.atomic():
                self._agreement.acknowledge()  # first: whoever finds the ticket gone must find this
                self._outbox.done(mine)
            self._close(mine)

    def _failed(self, numbers: Collection[int], reason: str) -> None:
        mine = self._open.keys() & set(numbers)
        if mine and reason == STALE_REASON and self._looks_again:
            self._again(mine)
        elif mine:
            newest = self._newest(mine)
            self._outbox.failed(newest, reason)
            self._outbox.done(mine - newest)  # the same address again: one of them says it
            self._close(mine)

    def _newest(self, numbers: Collection[int]) -> set[int]:
        """Of several tickets of one address the one with the largest number."""
        found: dict[tuple[str, str, str], int] = {}
        for number in sorted(numbers):
            ticket = self._open[number]
            found[ticket.collection, ticket.key, ticket.tenant] = number
        return set(found.values())

    def _again(self, numbers: Collection[int]) -> None:
        """Something newer was in the way: have these looked at anew, under larger numbers."""
        for number in sorted(numbers):
            ticket = self._open[number]
            self._outbox.add(
                ticket.collection, [ticket.key], ticket.tenant, consumer=self._outbox.consumer
            )
        self._done(numbers)

    def _close(self, numbers: Collection[int]) -> None:
        for number in numbers:
            del self._open[number]

    def _refs(
        self, adapter: AdapterContract, tickets: Sequence[PendingChange]
    ) -> list[tuple[int, Ref]]:
        whole = [ticket.number for ticket in tickets if ticket.key == WHOLE]
        if whole:
            self._compare(adapter.declaration.collection)
            self._done(whole)
        name = adapter.declaration.collection
        keys: dict[int, str] = {}
        tenants: dict[int, str] = {}
        for ticket in tickets:
            if ticket.key == WHOLE:
                continue
            try:
                keys[ticket.number] = adapter.canonical(ticket.key)
                tenants[ticket.number] = adapter.tenant_name(ticket.tenant)
                Ref(name, keys[ticket.number])
            except (ValueError, SemanticCoreError) as error:
                keys.pop(ticket.number, None)
                self._failed([ticket.number], f"The key {ticket.key!r} cannot be used: {error}")
        if adapter.places_rows:
            return self._placed(adapter, keys)
        if adapter.declaration.tenant is not None:  # a row that is nobody's is in no index
            self._done([number for number in keys if not tenants[number]])
            keys = {number: key for number, key in keys.items() if tenants[number]}
        return [(number, Ref(name, key, tenants[number])) for number, key in keys.items()]

    def _placed(self, adapter: AdapterContract, keys: Mapping[int, str]) -> list[tuple[int, Ref]]:
        stamps: dict[str, int] = {}
        for number, key in keys.items():
            stamps[key] = max(number, stamps.get(key, 0))
        tenants = placed(adapter, self._outbox, stamps)
        self._done([number for number, key in keys.items() if not tenants[key]])
        name = adapter.declaration.collection
        return [
            (number, Ref(name, key, tenant))
            for number, key in keys.items()
            for tenant in tenants[key]
        ]


def placed(
    adapter: AdapterContract, outbox: SqlOutbox, stamps: Mapping[str, int]
) -> Mapping[str, Sequence[str]]:
    """For rows whose tenant only the row itself tells: per key the tenants it belongs to now and
    was put at before; none where a later change has the row.

    Each place is written down before the document goes there, with the number of its ticket;
    whoever comes later sees it and clears it, and who sees a later one leaves the row to that one.
    """
    name = adapter.declaration.collection
    # All are read before any is written down: `load` may keep a connection, perhaps the only one,
    # while it runs.
    owners = [(key, adapter.tenant_of(instance)) for key, instance in adapter.rows(stamps)]
    for key, tenant in owners:
        if tenant and key in stamps:
            outbox.put_place(name, key, tenant, stamps[key])
    places = outbox.places(name, stamps)
    found: dict[str, Sequence[str]] = {}
    for key, stamp in stamps.items():
        there = places.get(key, {})
        newer = bool(there) and max(there.values()) > stamp
        found[key] = () if newer else tuple(there)
    return found
