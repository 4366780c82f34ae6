"""`Agreement`: checks whether an index and an outbox have the same history, and what follows if
not.

Each side stores what it knows of the other:

- The index has a `Position` for each outbox: how many of its writes came from there, and the mark
  of the newest pending change that these writes processed.
- The outbox has a `Consumer` for each index: number and mark of the index's latest write that was
  acknowledged.

A write has three steps. The pending change is in the outbox. The index writes the document and, in
the same transaction, the mark of the change. The outbox stores the acknowledgement and deletes the
change. So the index is never behind what was acknowledged, and the outbox still has every change
that was not. If that does not hold, one of the two was restored, copied, lost or created again.
Then the stamps in the index mean nothing any more: a new epoch begins, in which every change is
newer than all changes before, and all rows are compared.

Tested by tests/orm/test_agreement.py, tests/orm/test_base.py.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from time import sleep
from typing import Any, Literal

import attrs

from semantic_core.orm.consumers import Consumer, Consumers, new_mark
from semantic_core.orm.log import log
from semantic_core.protocols import Checkpoints, Store

NUMBER_BITS = 40
"""The low bits of a stamp, which hold the number of a pending change. The epoch is above them."""

MOST_LOOKS = 100
"""How often two sides are read that other processes write to, until they stay the same."""
STARTING = 10
"""How often the outbox is read again if it does not know an index that knows it."""
PAUSE = 0.02
"""Seconds between two of these reads."""
TURN = 5.0
"""Seconds for which a thread waits at most while another thread begins a new epoch."""
FIRST_TIME = "first indexing"
"""The reason for a comparison of rows that were never compared."""


def stamp_of(epoch: int, number: int) -> int:
    """The stamp of a document: larger for a later epoch, and for a larger number of a pending
    change within one epoch.
    """
    return (epoch << NUMBER_BITS) | number_of(number)


def number_of(stamp: int) -> int:
    """The number of the pending change in a stamp."""
    return stamp & ((1 << NUMBER_BITS) - 1)


@attrs.frozen
class Position:
    """How far an index has read one outbox.

    epoch: grows by one with each new history. writes: how many writes came from the outbox. number,
    mark: of the newest pending change that one of them processed; number 0 for a comparison of
    rows. database: the address of the outbox, as `Consumers.address` gives it.
    """

    epoch: int
    writes: int
    number: int
    mark: int
    database: str = ""

    @property
    def text(self) -> str:
        """The text of the checkpoint."""
        return json.dumps(attrs.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str | None) -> Position | None:
        """The position in the text of a checkpoint; None if there is none."""
        return None if text is None else cls(**json.loads(text))


NOTHING_READ = Position(0, 0, 0, 0)
"""The position of an index that has never read the outbox."""


@attrs.frozen
class Comparison:
    """The progress of a comparison of all rows of a collection with the index.

    declared: fingerprint of the declaration that it is for. phase: "rows" while rows are indexed;
    "documents" while documents without a row are removed; "done". after: the last compared key;
    None before the first. rows: compared so far. total: rows of the table at the beginning; -1 if
    they were not counted. why: the reason for the comparison.
    """

    declared: str
    phase: Literal["rows", "documents", "done"] = "rows"
    after: str | None = None
    rows: int = 0
    total: int = -1
    why: str = FIRST_TIME

    @property
    def text(self) -> str:
        """The text of the checkpoint."""
        return json.dumps(attrs.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str | None) -> Comparison | None:
        """The comparison in the text of a checkpoint; None if there is none."""
        return None if text is None else cls(**json.loads(text))

    @property
    def left(self) -> int:
        """The number of rows that wait, as far as it is known."""
        return 0 if self.phase != "rows" else max(self.total - self.rows, 0)

    @property
    def reason(self) -> str:
        """What answers lack, and why, as a text for users; "" once the comparison is done."""
        if self.phase == "done":
            return ""
        if self.phase == "documents":
            return f"documents without a row are being removed: {self.why}"
        counted = self.total >= 0 and self.left > 0
        rows = f"{self.left:,} of {self.total:,} rows" if counted else "the rows"
        if self.why == FIRST_TIME:
            return f"{rows} wait for their first indexing"
        return f"{rows} wait to be compared with the index: {self.why}"


class ProcessCheckpoints:
    """Checkpoints in memory, for a store without any. They last as long as this object: each
    process indexes all rows for the first time.
    """

    def __init__(self) -> None:
        self.identity = secrets.token_hex(16)
        self.location = ""
        self._checkpoints: dict[str, str] = {}

    def renew_identity(self) -> str:
        """See `Checkpoints`."""
        self.identity = secrets.token_hex(16)
        return self.identity

    def checkpoints(self) -> Mapping[str, str]:
        """See `Checkpoints`."""
        return dict(self._checkpoints)

    def checkpoint(self, source: str) -> str | None:
        """See `Checkpoints`."""
        return self._checkpoints.get(source)

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """See `Checkpoints`."""
        new = change(self._checkpoints.get(source))
        if new is None:
            self._checkpoints.pop(source, None)
        else:
            self._checkpoints[source] = new
        return new

    @contextmanager
    def advancing(self, source: str, change: Callable[[str | None], str]) -> Iterator[None]:
        """See `Checkpoints`.

        The store reports no writes, so the checkpoint is updated before them.
        """
        self.update_checkpoint(source, change)
        yield


class Agreement:
    """What one index and one outbox know of each other.

    `check` compares both sides; the other methods update them. collections: those that this index
    reads of the outbox. As the latest `check` found them: reader, the name under which the outbox
    stores changes for this index; epoch, of what is written now; others, the number of other
    indexes that read this outbox; checkpoints, all of the index.
    """

    def __init__(self, store: Store, consumers: Consumers) -> None:
        self.index: Any = store if isinstance(store, Checkpoints) else ProcessCheckpoints()
        self.consumers = consumers
        self._outbox_id = ""
        self.reader = ""
        self.epoch = 0
        self.others = 0
        self.checkpoints: Mapping[str, str] = {}
        self.collections: set[str] = set()
        self._beginning = threading.Lock()

    @property
    def consumer(self) -> str:
        """The identity of the index, under which the outbox stores its changes."""
        return str(self.index.identity)

    @property
    def outbox_id(self) -> str:
        """The identity of the outbox, as the latest `check` found it."""
        if not self._outbox_id:
            self._outbox_id = self.consumers.outbox_id()
        return self._outbox_id

    @property
    def position(self) -> Position:
        """How far the index has read this outbox."""
        return Position.of(self.index.checkpoint(self.outbox_id)) or NOTHING_READ

    def check(self) -> str:
        """Compare both sides; if they disagree, begin a new epoch. Returns the reason for that; ""
        if they agree.

        After a disagreement the index is registered again, and the rows of all its collections of
        this outbox wait to be compared.
        """
        known, text = self._look()
        if known is not None and not self._disagreement(known, Position.of(text)):
            self.consumers.seen(known, self.index.location)
            return ""
        # One thread at a time. The wait is limited, since the other thread may wait for a lock that
        # this one holds.
        acquired = self._beginning.acquire(timeout=TURN)
        try:
            return self._settle()
        finally:
            if acquired:
                self._beginning.release()

    def _look(self) -> tuple[Consumer | None, str | None]:
        """What the outbox knows of the index, read first, and the text of the index's position."""
        self.reader = self.consumer
        self._outbox_id, known, self.others = self.consumers.lookup(self.reader)
        self.checkpoints = self.index.checkpoints()
        text = self.checkpoints.get(self._outbox_id)
        position = Position.of(text)
        self.epoch = 0 if position is None else position.epoch
        return known, text

    def _settle(self) -> str:
        """Read both sides until no other process is writing; then begin a new epoch if they still
        disagree.
        """
        seen_before: object = None
        for tries in range(MOST_LOOKS):
            known, text = self._look()
            position = Position.of(text)
            why = self._disagreement(known, position)
            if not why and known is not None:
                self.consumers.seen(known, self.index.location)
                return ""
            if known is None and position is None:
                if self._begin_history(None, text, why):  # they have never met
                    return why
                continue  # another process was faster
            if known is None and position is not None and tries < STARTING:
                sleep(PAUSE)  # another process may be registering this index
                continue
            progress = (known and (known.acknowledged, known.mark), text)
            if progress == seen_before:
                break  # no process is in the middle of a write
            seen_before = progress
            sleep(PAUSE)
        else:
            return ""  # other processes write all the time; one of the next checks will succeed
        if known is not None and self._is_copy(known, position):
            self.reader = self.index.renew_identity()
        self._begin_history(known, text, why)
        return why

    def _is_copy(self, known: Consumer, position: Position | None) -> bool:
        """Whether the index is an older copy, at another location, of one that is still in use."""
        older = position is not None and known.acknowledged > position.writes
        return older and known.location not in ("", self.index.location)

    def _disagreement(self, known: Consumer | None, position: Position | None) -> str:
        """Why the two sides cannot have the same history; "" if they have."""
        if position is None:
            return FIRST_TIME
        if known is None:
            return (
                "the application's database does not know this index, or does not know it any more"
            )
        if known.acknowledged > position.writes:
            return "the index is an older copy of itself, or was restored"
        # Two workers may process one change at the same time. Then the outbox deletes it after the
        # acknowledgement of the faster one, before the write of the slower one is acknowledged.
        if known.mark == position.mark:
            return ""
        unacknowledged = known.acknowledged < position.writes
        if unacknowledged and self.consumers.holds(position.number, position.mark):
            return ""
        return "the application's database was restored, or is an older copy of itself"

    def _begin_history(self, known: Consumer | None, seen: str | None, why: str) -> bool:
        """Begin a new epoch, and request the comparison of all rows. seen: the text of the position
        when it was read: if it has changed, another process has begun a new epoch, and nothing
        happens here. Returns whether it was begun here.
        """
        outbox_id = self.outbox_id
        address = self.consumers.address()
        checkpoints = self.index.checkpoints()
        before = Position.of(seen) or NOTHING_READ
        acknowledged = 0 if known is None else known.acknowledged
        new = Position(
            epoch=_latest_epoch(checkpoints) + 1,
            writes=max(before.writes, acknowledged) + 1,
            number=0,
            mark=new_mark(),
            database=address,
        )
        if not self._replace_position(seen, new):
            self.epoch = self.position.epoch
            return False
        self.epoch = new.epoch
        for source in checkpoints:
            owner, _, collection = source.partition("/")
            if owner == outbox_id and collection:  # without a collection it is a `Lease`
                self.ask_for(collection, None, why)
        self.consumers.register(
            self.reader, self.index.location, new.writes, new.mark, self.collections
        )
        if why != FIRST_TIME:
            log.warning("All rows are compared with the index again: %s.", why)
        return True

    def _replace_position(self, seen: str | None, new: Position) -> bool:
        """Store a new position unless another process has changed the old one. Whether it did."""

        def change(stored: str | None) -> str | None:
            return new.text if stored == seen else stored

        return bool(self.index.update_checkpoint(self.outbox_id, change) == new.text)

    def read(self, collection: str) -> None:
        """Let the outbox store the changes of this collection for this index."""
        if collection not in self.collections:
            self.consumers.subscribe(self.reader or self.consumer, [collection])
            self.collections.add(collection)

    def begin_epoch(self) -> None:
        """Begin a new epoch: everything written from now on has larger stamps than all there is."""
        latest = _latest_epoch(self.index.checkpoints())

        def change(stored: str | None) -> str:
            before = Position.of(stored) or NOTHING_READ
            epoch = max(latest, before.epoch) + 1
            return attrs.evolve(before, epoch=epoch, number=0).text  # numbers may begin again, too

        now = Position.of(self.index.update_checkpoint(self.outbox_id, change))
        self.epoch = 0 if now is None else now.epoch

    def writing(
        self, evidence: Callable[[], tuple[int, int] | None]
    ) -> AbstractContextManager[None]:
        """A block in which the writes of this thread to the index come from this outbox.

        evidence: called with each write; returns number and mark of a pending change that the
        outbox holds until the write is acknowledged, or None if everything written was acknowledged
        before.
        """

        def change(stored: str | None) -> str:
            before = Position.of(stored) or NOTHING_READ
            found = evidence()
            if found is None:
                return before.text
            # A slower process may name a change that another one has processed and deleted
            # meanwhile: the newest change counts.
            number, mark = max(found, (before.number, before.mark))
            return attrs.evolve(before, writes=before.writes + 1, number=number, mark=mark).text

        advancing: AbstractContextManager[None] = self.index.advancing(self.outbox_id, change)
        return advancing

    def leave_copies_behind(self) -> None:
        """Count a request that is stored in the index alone as a write. So an older copy of the
        index, which lacks the request, is recognised as one.
        """

        def change(stored: str | None) -> str:
            before = Position.of(stored) or NOTHING_READ
            return attrs.evolve(before, writes=before.writes + 1, number=0, mark=new_mark()).text

        self.index.update_checkpoint(self.outbox_id, change)
        self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge all writes of the index so far to the outbox."""
        position = self.position
        self.consumers.acknowledge(self.reader or self.consumer, position.writes, position.mark)

    # --- comparisons of all rows ------------------------------------------------------------------

    def comparison(self, collection: str) -> Comparison | None:
        """The latest comparison of the rows of a collection; None if there never was one."""
        return Comparison.of(self.index.checkpoint(self._source(collection)))

    def is_for(self, collection: str, declared: str) -> bool:
        """Whether the rows were compared last for this declaration, or never. As the latest `check`
        found it. declared: fingerprint of the declaration.
        """
        state = Comparison.of(self.checkpoints.get(self._source(collection)))
        return state is None or state.declared == declared

    def ask_for(self, collection: str, declared: str | None, why: str) -> Comparison | None:
        """Request a comparison of all rows of a collection.

        declared: fingerprint of the declaration; None keeps the one of the last comparison.
        """

        def change(stored: str | None) -> str | None:
            before = Comparison.of(stored)
            if declared is not None:
                return Comparison(declared, why=why).text
            return None if before is None else Comparison(before.declared, why=why).text

        return Comparison.of(self.index.update_checkpoint(self._source(collection), change))

    def put(self, collection: str, before: Comparison, after: Comparison) -> bool:
        """Store the progress of a comparison. False if the comparison began again meanwhile; then
        nothing is stored.
        """

        def change(stored: str | None) -> str | None:
            return after.text if stored == before.text else stored

        return bool(self.index.update_checkpoint(self._source(collection), change) == after.text)

    def forget(self, collection: str) -> None:
        """Delete the comparison of a collection."""
        self.index.update_checkpoint(self._source(collection), _deleted)

    def foreign_owner(self, collection: str) -> str:
        """The address of another database that exists and owns the documents of this collection:
        this database must not write them. "" if it may.

        A database that was moved, or created again in its place, takes over from the one that does
        not exist any more.
        """
        self._outbox_id = self.consumers.outbox_id()
        here = self.consumers.address()
        text = self.index.checkpoint(self._outbox_id)
        position = Position.of(text)
        if position is not None and position.database != here:
            if self.consumers.is_another(position.database, here):
                return position.database  # this database is a copy of that one
            self._replace_position(position.text, attrs.evolve(position, database=here))
        feeder = self.feeder(collection)
        if feeder is not None:
            other, read = feeder
            if read is not None and self.consumers.is_another(read.database, here):
                return read.database
            self.take_over(other, collection)
        return ""

    def feeder(self, collection: str) -> tuple[str, Position | None] | None:
        """Another outbox that this collection was read from, and how far it was read; None if there
        is none.
        """
        checkpoints = self.index.checkpoints()
        for source in checkpoints:
            outbox_id, slash, name = source.partition("/")
            if slash and name == collection and outbox_id != self.outbox_id:
                return outbox_id, Position.of(checkpoints.get(outbox_id))
        return None

    def take_over(self, other: str, collection: str) -> None:
        """Delete the record that a collection was read from another outbox."""
        self.index.update_checkpoint(f"{other}/{collection}", _deleted)

    def _source(self, collection: str) -> str:
        return f"{self.outbox_id}/{collection}"


def unfinished_comparisons(store: Store) -> list[tuple[str, str]]:
    """(collection, reason) of each unfinished comparison of rows in a store; [] for a store without
    checkpoints.
    """
    if not isinstance(store, Checkpoints):
        return []
    found: list[tuple[str, str]] = []
    for source, text in sorted(store.checkpoints().items()):
        collection = source.partition("/")[2]
        state = Comparison.of(text) if collection else None
        if state is not None and state.reason:
            found.append((collection, state.reason))
    return found


def _latest_epoch(checkpoints: Mapping[str, str]) -> int:
    """The largest epoch of all positions of an index; 0 if it has none."""
    latest = 0
    for source, text in checkpoints.items():
        position = None if "/" in source else Position.of(text)
        if position is not None:
            latest = max(latest, position.epoch)
    return latest


def _deleted(stored: str | None) -> None:
    """The change of a checkpoint that deletes it."""
