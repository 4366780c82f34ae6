"""The databases a core looks after: those with indexes, whose indexes may be in memory, and those
where only the outbox of former indexes is left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from semantic_core.orm.agreement import Agreement
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.outbox import SqlOutbox
from semantic_core.orm.sync import SyncCoordinator
from semantic_core.orm.tables import Dialect, Execute
from semantic_core.types import IngestReport

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm.base import BaseORMAdapter


class Deserted:
    """A database with an outbox of ours, and no index that reads it.

    It follows a core so that the commands find what is left there.
    """

    adapters: Mapping[str, Any] = {}

    def __init__(
        self,
        core: SemanticCore,
        execute: Execute,
        dialect: Dialect,
        *,
        database: Hashable,
        placeholder: str = "",
    ) -> None:
        self.core = core
        self.database = database
        self.execute = execute
        self.dialect = dialect
        self.placeholder = placeholder
        self.outbox = SqlOutbox(execute, dialect, placeholder=placeholder)
        self.agreement = Agreement(core.store, Consumers(execute, dialect, placeholder))
        self.closed = False

    def sync(
        self,
        limit: int | None = None,
        *,
        pending: bool = False,
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """Nobody works off what waits here."""
        return IngestReport()

    def close(self) -> None:
        """The core is closed."""
        self.closed = True


Followed = SyncCoordinator | Deserted


def databases_of(core: SemanticCore) -> list[Followed]:
    """What a core knows of each database it follows, once for each."""
    coordinators: list[Followed] = [
        each for each in core.followers if isinstance(each, SyncCoordinator)
    ]
    followed = {coordinator.database for coordinator in coordinators}
    return coordinators + [
        each
        for each in core.followers
        if isinstance(each, Deserted) and each.database not in followed
    ]


def coordinators_of(core: SemanticCore) -> list[SyncCoordinator]:
    """The coordinators of a core, and those of the cores in memory that stand in for it."""
    own = [each for each in core.followers if isinstance(each, SyncCoordinator)]
    stand_ins = [coordinator.stand_in for coordinator in own if coordinator.stand_in is not None]
    return own + [coordinator for each in stand_ins for coordinator in coordinators_of(each)]


def adapters_in(core: SemanticCore) -> dict[str, BaseORMAdapter]:
    """The indexes that are bound in a core, by collection; those kept in memory too."""
    found: dict[str, Any] = {}
    for coordinator in coordinators_of(core):
        found.update(coordinator.adapters)
    return found


def kept_in_memory(core: SemanticCore) -> dict[str, str]:
    """Why an index is in memory and not where the core has its own, by collection.

    Only of those for which a core in memory stands in.
    """
    found = {}
    for coordinator in coordinators_of(core):
        for name in adapters_in(coordinator.stand_in) if coordinator.stand_in is not None else ():
            other = owner_of(coordinator, name)
            place = str(getattr(core.store, "path", coordinator.agreement.index.location))
            found[name] = f"the index at {place!r} is that of another database"
            if other:
                found[name] += f", {other!r}"
    return found


def owner_of(followed: Followed, collection: str) -> str:
    """The address of another database whose documents a collection of the index has; "" if they
    are of this one. Changes nothing.
    """
    agreement = followed.agreement
    if getattr(followed.core.store, "database", None) is followed.database:
        return ""  # the index lies in the database itself
    here = agreement.consumers.address()
    feeder = agreement.feeder(collection)
    read = [agreement.position, None if feeder is None else feeder[1]]
    addresses = [position.database for position in read if position is not None]
    return next((each for each in addresses if agreement.consumers.is_another(each, here)), "")
