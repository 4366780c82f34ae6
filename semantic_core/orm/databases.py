"""The databases that a core follows: those with indexes, and those where former indexes left an
outbox.

Tested by tests/orm/test_leftovers.py, tests/cli/test_models.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from semantic_core.orm.agreement import Agreement
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sql import Sql
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.types import IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.base import BaseORMAdapter


class OrphanedOutbox:
    """The outbox of a database that no index reads any more.

    It follows a core, so that the commands find what former indexes left.
    """

    adapters: Mapping[str, Any] = {}

    def __init__(self, core: SemanticCore, sql: Sql, *, database: Hashable) -> None:
        self.core = core
        self.database = database
        self.sql = sql
        self.outbox = SqlOutbox(sql)
        self.agreement = Agreement(core.store, Consumers(sql))
        self.closed = False

    def sync(
        self,
        limit: int | None = None,
        *,
        pending: bool = False,
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """Do nothing: no index of this process processes these changes."""
        return IngestReport()

    def close(self) -> None:
        """Store that the core is closed."""
        self.closed = True


Followed = SyncCoordinator | OrphanedOutbox
"""What a core has for each database that it follows."""


def databases_of(core: SemanticCore) -> list[Followed]:
    """The databases that a core follows, one entry for each."""
    coordinators = _own_coordinators(core)
    found: list[Followed] = [*coordinators]
    with_index = {coordinator.database for coordinator in coordinators}
    for follower in core.followers:
        if isinstance(follower, OrphanedOutbox) and follower.database not in with_index:
            found.append(follower)
    return found


def _own_coordinators(core: SemanticCore) -> list[SyncCoordinator]:
    return [each for each in core.followers if isinstance(each, SyncCoordinator)]


def coordinators_of(core: SemanticCore) -> list[SyncCoordinator]:
    """The coordinators of a core, and those of the cores in memory that stand in for it."""
    own = _own_coordinators(core)
    found = [*own]
    for coordinator in own:
        if coordinator.stand_in is not None:
            found += coordinators_of(coordinator.stand_in)
    return found


def adapters_in(core: SemanticCore) -> dict[str, BaseORMAdapter]:
    """The indexes that are bound in a core, by collection, those in memory included."""
    found: dict[str, Any] = {}
    for coordinator in coordinators_of(core):
        found.update(coordinator.adapters)
    return found


def moved_into_memory(core: SemanticCore) -> dict[str, str]:
    """Per collection, why its index is in memory and not in the core's store. Only the collections
    for which a core in memory stands in.
    """
    found: dict[str, str] = {}
    for coordinator in coordinators_of(core):
        if coordinator.stand_in is None:
            continue
        path = str(getattr(core.store, "path", coordinator.agreement.index.location))
        for name in adapters_in(coordinator.stand_in):
            owner = owner_of(coordinator, name)
            found[name] = f"the index at {path!r} is that of another database"
            if owner:
                found[name] += f", {owner!r}"
    return found


def owner_of(followed: Followed, collection: str) -> str:
    """The address of another database that owns the documents of a collection; "" if this database
    owns them. Changes nothing.
    """
    agreement = followed.agreement
    if getattr(followed.core.store, "database", None) is followed.database:
        return ""  # the index is stored in this database
    here = agreement.consumers.address()
    positions = [agreement.position]
    feeder = agreement.feeder(collection)
    if feeder is not None and feeder[1] is not None:
        positions.append(feeder[1])
    for position in positions:
        if agreement.consumers.is_another(position.database, here):
            return position.database
    return ""
