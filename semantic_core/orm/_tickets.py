"""Tickets on their way from the outbox to the core: addresses as the database writes them become refs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from semantic_core.errors import SemanticCoreError
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._survey import note_ghosts
from semantic_core.orm._values import canonical_tenant
from semantic_core.types import Ref

if TYPE_CHECKING:
    from semantic_core.orm.outbox import SqlOutbox, Ticket


class Tickets:
    """One taking from an outbox; keeps `protocols.Outbox`. taken: how many tickets it took."""

    def __init__(self, outbox: SqlOutbox, adapters: Mapping[str, AdapterContract], backfill: bool) -> None:
        self._outbox, self._adapters, self._backfill = outbox, adapters, backfill
        self._open: set[int] = set()
        self.taken = 0

    def take(self, limit: int) -> Sequence[tuple[int, Ref]]:
        """See `Outbox.take`. Tickets of whole tables are worked off here: their rows get tickets of their own."""
        tickets = self._outbox.claim(limit, collections=set(self._adapters), backfill=self._backfill)
        self.taken += len(tickets)
        self._open |= {ticket.number for ticket in tickets}
        by_collection: dict[str, list[Ticket]] = defaultdict(list)
        for ticket in tickets:
            by_collection[ticket.collection].append(ticket)
        return [found for name, group in by_collection.items() for found in self._refs(self._adapters[name], group)]

    def done(self, tickets: Collection[int]) -> None:
        """See `Outbox.done`."""
        mine = self._open & set(tickets)
        if mine:
            self._outbox.done(mine)
            self._open -= mine

    def failed(self, tickets: Collection[int], reason: str) -> None:
        """See `Outbox.failed`."""
        mine = self._open & set(tickets)
        if mine:
            self._outbox.failed(mine, reason)
            self._open -= mine

    def give_back(self) -> None:
        """Let others take what was not worked off."""
        if self._open:
            self._outbox.give_back(self._open)
            self._open = set()

    def _refs(self, adapter: AdapterContract, tickets: Sequence[Ticket]) -> list[tuple[int, Ref]]:
        name = adapter.declaration.collection
        whole = [ticket.number for ticket in tickets if not ticket.key]
        if whole:
            note_ghosts(adapter, self._outbox)
            self.done(whole)
        keys: dict[int, str] = {}
        tenants: dict[int, str] = {}
        for ticket in tickets:
            if not ticket.key:
                continue
            try:
                keys[ticket.number] = adapter.canonical(ticket.key)
                tenants[ticket.number] = canonical_tenant(ticket.tenant)
                Ref(name, keys[ticket.number])
            except (ValueError, SemanticCoreError) as error:
                keys.pop(ticket.number, None)
                self.failed([ticket.number], f"The key {ticket.key!r} cannot be used: {error}")
        if adapter.places_rows:
            return self._placed(adapter, keys)
        if adapter.declaration.tenant is not None:  # a row that is nobody's is in no index
            self.done([number for number in keys if not tenants[number]])
            keys = {number: key for number, key in keys.items() if tenants[number]}
        return [(number, Ref(name, key, tenants[number])) for number, key in keys.items()]

    def _placed(self, adapter: AdapterContract, keys: Mapping[int, str]) -> list[tuple[int, Ref]]:
        """Refs of rows whose tenant only the row itself tells: where it belongs now, and where it was put before.

        Each place is written down before the document goes there, with the ticket as its stamp; whoever comes later sees
        it and clears it, and who sees a later one leaves the row to that one.
        """
        name = adapter.declaration.collection
        stamps: dict[str, int] = {}
        for number, key in keys.items():
            stamps[key] = max(number, stamps.get(key, 0))
        # All are read before any is written down: `load` may keep a connection, perhaps the only one, while it runs.
        owners = [(key, adapter.declaration.tenant_of(instance)) for key, instance in adapter.rows(stamps)]
        for key, tenant in owners:
            if tenant and key in stamps:
                self._outbox.put_place(name, key, tenant, stamps[key])
        places = self._outbox.places(name, stamps)
        found: list[tuple[int, Ref]] = []
        idle: list[int] = []
        for number, key in keys.items():
            there = places.get(key, {})
            if not there or max(there.values()) > stamps[key]:
                idle.append(number)
            else:
                found += [(number, Ref(name, key, tenant)) for tenant in there]
        self.done(idle)
        return found
