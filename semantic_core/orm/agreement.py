"""Whether an index and an outbox belong to one history, and what is done when they do not.

Each side remembers the other, in the transaction it speaks of:

- the index keeps a `Position` for each outbox: how many of its writes came from there, and the mark
  of the newest ticket they spoke of;
- the outbox keeps, for each index, the number and mark of the latest write it has heard of
  (`Consumer`).

A write goes: the ticket is in the outbox - the index writes, with the mark of that ticket - the
outbox hears of it, and the ticket goes. So the index is never behind what the outbox has heard of,
and what the outbox has not heard of yet, it still holds the ticket of. Where that does not hold,
one of the two was restored, copied, lost or made anew. Then nothing the index remembers of the
order of changes counts any more: a new epoch begins, in which every change is newer than all of the
one before, and every row is compared.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import sleep
from typing import Any, Literal

import attrs

from semantic_core.orm.consumers import Consumer, Consumers, new_mark
from semantic_core.protocols import Checkpoints, Store

NUMBER_BITS = 40
"""Bits of a stamp that hold the number of a ticket: a million million of them.
The epoch is above.
"""

MOST_LOOKS = 100
"""How often two sides that others are writing to are looked at, until they hold still."""
STARTING = 10
PAUSE = 0.02
"""How often, and seconds in between, an index the outbox does not know is looked for again."""
TURN = 5.0
"""Seconds a thread waits at most while another one of this process begins anew."""
FIRST_TIME = "first indexing"
"""Why rows are compared when they never were."""

_log = logging.getLogger("semantic_core.orm")


def stamp_of(epoch: int, number: int) -> int:
    """The order of a change, as stores keep it: of a later epoch,
    or of a larger number in the same one.
    """
    return (epoch << NUMBER_BITS) | (number & ((1 << NUMBER_BITS) - 1))


def number_of(stamp: int) -> int:
    """The number of the ticket in a stamp."""
    return stamp & ((1 << NUMBER_BITS) - 1)


@attrs.frozen
class Position:
    """How far an index has read one outbox.

    epoch: grows by one each time the two had to begin anew. writes: how many writes came from
    there. number, mark: of the newest ticket that one of them spoke of; number 0 for a comparison
    of rows. database: where the outbox was, as `Consumers.address` has it.
    """

    epoch: int
    writes: int
    number: int
    mark: int
    database: str = ""

    @property
    def text(self) -> str:
        """As a checkpoint."""
        return json.dumps(attrs.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str | None) -> Position | None:
        """What a checkpoint says; None if there is none."""
        return None if text is None else cls(**json.loads(text))


@attrs.frozen
class Comparison:
    """A comparison of all rows of a collection with the index, under way or done.

    declared: fingerprint of the declaration it is for. phase: "rows" while rows are brought in;
    "documents" while what has no row is taken out; "done". after: the last key that was looked at;
    None before the first. rows: looked at so far.
    total: rows of the table when it began; -1 if nobody has counted. why: what made it necessary.
    """

    declared: str
    phase: Literal["rows", "documents", "done"] = "rows"
    after: str | None = None
    rows: int = 0
    total: int = -1
    why: str = FIRST_TIME

    @property
    def text(self) -> str:
        """As a checkpoint."""
        return json.dumps(attrs.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str | None) -> Comparison | None:
        """What a checkpoint says; None if there is none."""
        return None if text is None else cls(**json.loads(text))

    @property
    def left(self) -> int:
        """How many rows wait, as far as is known."""
        return 0 if self.phase != "rows" else max(self.total - self.rows, 0)

    @property
    def reason(self) -> str:
        """For the reader of an answer: what is not in it yet, and why. "" once it is done."""
        if self.phase == "done":
            return ""
        if self.phase == "documents":
            return f"documents without a row are being taken out: {self.why}"
        counted = self.total >= 0 and self.left > 0
        rows = f"{self.left:,} of {self.total:,} rows" if counted else "the rows"
        if self.why == FIRST_TIME:
            return f"{rows} wait for their first indexing"
        return f"{rows} wait to be compared with the index: {self.why}"


class ProcessCheckpoints:
    """Checkpoints of a store that keeps none: they last as long as this object,
    so every start is a first one.
    """

    def __init__(self) -> None:
        self.identity = secrets.token_hex(16)
        self.location = ""
        self._kept: dict[str, str] = {}

    def renew_identity(self) -> str:
        """See `Checkpoints`."""
        self.identity = secrets.token_hex(16)
        return self.identity

    def checkpoints(self) -> Mapping[str, str]:
        """See `Checkpoints`."""
        return dict(self._kept)

    def checkpoint(self, source: str) -> str | None:
        """See `Checkpoints`."""
        return self._kept.get(source)

    def update_checkpoint(
        self, source: str, change: Callable[[str | None], str | None]
    ) -> str | None:
        """See `Checkpoints`."""
        new = change(self._kept.get(source))
        if new is None:
            self._kept.pop(source, None)
        else:
            self._kept[source] = new
        return new

    @contextmanager
    def advancing(self, source: str, change: Callable[[str | None], str]) -> Iterator[None]:
        """See `Checkpoints`.

        The store cannot tell of its writes, so the checkpoint is brought up beforehand.
        """
        self.update_checkpoint(source, change)
        yield


class Agreement:
    """One index and one outbox.

    `check` compares what each knows of the other; the rest keeps it so.

    As the latest `check` found it - reader: under which name the outbox keeps changes for this
    index. epoch: of what is written now. others: how many other indexes read this outbox.
    checkpoints: all of the index. And collections: what this one reads of the outbox.
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
        """Under which name the outbox keeps changes for this index,
        as the index itself has it now.
        """
        return str(self.index.identity)

    @property
    def outbox_id(self) -> str:
        """Identity of the outbox, as the latest `check` found it."""
        if not self._outbox_id:
            self._outbox_id = self.consumers.outbox_id()
        return self._outbox_id

    @property
    def position(self) -> Position:
        """How far the index has read this outbox; the very beginning if it never has."""
        return Position.of(self.index.checkpoint(self.outbox_id)) or Position(0, 0, 0, 0)

    def check(self) -> str:
        """Why the two had to begin anew just now; "" if they agree.

        After a disagreement the index is registered again, a new epoch has begun, and every
        collection it has of this outbox is to be compared.
        """
        known, text = self._look()
        if known is not None and not self._disagreement(known, Position.of(text)):
            self.consumers.seen(known, self.index.location)
            return ""
        # One thread of this process after the other; not for ever, as the other may wait for what
        # this one has locked.
        alone = self._beginning.acquire(timeout=TURN)
        try:
            return self._settle()
        finally:
            if alone:
                self._beginning.release()

    def _look(self) -> tuple[Consumer | None, str | None]:
        """What the outbox says of the index, and then the index of the outbox:
        see the top of this file.
        """
        self.reader = self.consumer
        self._outbox_id, known, self.others = self.consumers.look(self.reader)
        self.checkpoints = self.index.checkpoints()
        text = self.checkpoints.get(self._outbox_id)
        position = Position.of(text)
        self.epoch = 0 if position is None else position.epoch
        return known, text

    def _settle(self) -> str:
        """Look until nobody else is in the middle of something; then begin anew,
        if that is what it looks like.
        """
        seen_before: object = None
        for tries in range(MOST_LOOKS):
            known, text = self._look()
            position = Position.of(text)
            why = self._disagreement(known, position)
            if not why and known is not None:
                self.consumers.seen(known, self.index.location)
                return ""
            if known is None and position is not None and tries < STARTING:
                sleep(PAUSE)  # another process may be about to register this very index
                continue
            progress = (known and (known.acknowledged, known.mark), text)
            if progress == seen_before:
                break  # nobody is in the middle of a write, so it is what it looks like
            seen_before = progress
            sleep(PAUSE)
        else:
            return ""  # others write all the time; one of the next looks will tell
        behind = known is not None and position is not None and known.acknowledged > position.writes
        if behind and known is not None and known.location not in ("", self.index.location):
            self.reader = self.index.renew_identity()  # a copy of an index that lives on elsewhere
        self._begin_anew(known, text, why)
        return why

    def _disagreement(self, known: Consumer | None, position: Position | None) -> str:
        if position is None:
            return FIRST_TIME
        if known is None:
            return (
                "the application's database does not know this index, or does not know it any more"
            )
        if known.acknowledged > position.writes:
            return "the index is an older copy of itself, or was restored"
        # Two that process one ticket at the same time speak of it twice: the outbox has heard of it
        # by the faster one, and deleted it, before the slower one's write is acknowledged.
        same = known.mark == position.mark
        if not same and known.acknowledged < position.writes:
            same = self.consumers.holds(position.number, position.mark)
        return (
            "" if same else "the application's database was restored, or is an older copy of itself"
        )

    def _begin_anew(self, known: Consumer | None, seen: str | None, why: str) -> None:
        outbox_id = self.outbox_id
        address = self.consumers.address()
        every = self.index.checkpoints()
        epochs = [found.epoch for found in map(Position.of, _positions(every)) if found is not None]
        before = Position.of(seen) or Position(0, 0, 0, 0)
        writes = max(before.writes, known.acknowledged if known is not None else 0) + 1
        new = Position(max([*epochs, 0]) + 1, writes, 0, new_mark(), address)
        now = self.index.update_checkpoint(
            outbox_id, lambda there: new.text if there == seen else there
        )
        if now != new.text:  # another process was faster, and does what follows
            self.epoch = self.position.epoch
            return
        self.epoch = new.epoch
        for source in every:
            owner, _, collection = source.partition("/")
            if (
                owner == outbox_id and collection
            ):  # without a collection it says who compares rows, see `Lease`
                self.ask_for(collection, None, why)
        self.consumers.register(
            self.reader, self.index.location, new.writes, new.mark, self.collections
        )
        if why != FIRST_TIME:
            _log.warning("All rows are compared with the index again: %s.", why)

    def read(self, collection: str) -> None:
        """Have the outbox keep the changes of this collection for this index."""
        if collection not in self.collections:
            self.consumers.subscribe(self.reader or self.consumer, [collection])
            self.collections.add(collection)

    def begin_epoch(self) -> None:
        """Let everything that is written from now on be newer than all there is,
        whatever the stamps say.
        """
        every = self.index.checkpoints()
        epochs = [found.epoch for found in map(Position.of, _positions(every)) if found is not None]

        def change(there: str | None) -> str:
            before = Position.of(there) or Position(0, 0, 0, 0)
            epoch = max([*epochs, before.epoch]) + 1
            return attrs.evolve(before, epoch=epoch, number=0).text  # tickets may count anew, too

        now = Position.of(self.index.update_checkpoint(self.outbox_id, change))
        self.epoch = 0 if now is None else now.epoch

    @contextmanager
    def writing(self, evidence: Callable[[], tuple[int, int] | None]) -> Iterator[None]:
        """Within it, what this thread writes into the index comes from this outbox.

        evidence: number and mark of a ticket the outbox holds until it has heard of the write;
        asked when it is written.
        None: all that is written had been heard of before.
        """

        def change(there: str | None) -> str:
            before = Position.of(there) or Position(0, 0, 0, 0)
            found = evidence()
            if found is None:
                return before.text
            # A slower process may speak of a ticket that another one has processed and deleted
            # meanwhile: the newest one stays the one that counts.
            number, mark = max(found, (before.number, before.mark))
            return attrs.evolve(before, writes=before.writes + 1, number=number, mark=mark).text

        with self.index.advancing(self.outbox_id, change):
            yield

    def leave_copies_behind(self) -> None:
        """Something was asked of this index that the outbox does not keep for it: a copy made
        before has to notice that it has not heard of it."""

        def change(there: str | None) -> str:
            before = Position.of(there) or Position(0, 0, 0, 0)
            return attrs.evolve(before, writes=before.writes + 1, number=0, mark=new_mark()).text

        self.index.update_checkpoint(self.outbox_id, change)
        self.acknowledge()

    def acknowledge(self) -> None:
        """Let the outbox hear of all writes of the index so far."""
        position = self.position
        self.consumers.acknowledge(self.reader or self.consumer, position.writes, position.mark)

    # --- comparisons of all rows ------------------------------------------------------------------

    def comparison(self, collection: str) -> Comparison | None:
        """The latest comparison of this collection's rows; None if there never was one."""
        return Comparison.of(self.index.checkpoint(self._source(collection)))

    def is_for(self, collection: str, declared: str) -> bool:
        """Whether the rows were compared last, as the latest `check` found it, by this
        declaration; if they never were, too.
        """
        state = Comparison.of(self.checkpoints.get(self._source(collection)))
        return state is None or state.declared == declared

    def ask_for(self, collection: str, declared: str | None, why: str) -> Comparison | None:
        """Have all rows of a collection compared, from the first one on.
        declared: None keeps the declaration.
        """

        def change(there: str | None) -> str | None:
            before = Comparison.of(there)
            named = declared if declared is not None else (before.declared if before else None)
            return None if named is None else Comparison(named, why=why).text

        return Comparison.of(self.index.update_checkpoint(self._source(collection), change))

    def put(self, collection: str, before: Comparison, after: Comparison) -> bool:
        """Write down how far a comparison is; False if it was begun anew meanwhile,
        and then nothing is written.
        """

        def change(there: str | None) -> str | None:
            return after.text if there == before.text else there

        return bool(self.index.update_checkpoint(self._source(collection), change) == after.text)

    def forget(self, collection: str) -> None:
        """Forget that a collection was ever compared."""
        self.index.update_checkpoint(self._source(collection), lambda there: None)

    def stranger(self, collection: str) -> str:
        """The address of another database that feeds this collection and is still there:
        then this one must not.

        "" if it may. A database that was moved, or made anew in its place, takes over from the one
        that is gone.
        """
        self._outbox_id = self.consumers.outbox_id()
        here = self.consumers.address()
        position = Position.of(self.index.checkpoint(self._outbox_id))
        if position is not None and position.database != here:
            if self.consumers.is_another(position.database, here):
                return position.database  # this one is a copy
            moved = attrs.evolve(position, database=here).text
            self.index.update_checkpoint(
                self._outbox_id, lambda there: moved if there == position.text else there
            )
        feeder = self.feeder(collection)
        if feeder is not None:
            other, read = feeder
            if read is not None and self.consumers.is_another(read.database, here):
                return read.database
            self.take_over(other, collection)
        return ""

    def feeder(self, collection: str) -> tuple[str, Position | None] | None:
        """Another outbox this collection was read from, and how far; None if there is none."""
        every = self.index.checkpoints()
        for source in every:
            outbox_id, slash, name = source.partition("/")
            if slash and name == collection and outbox_id != self.outbox_id:
                return outbox_id, Position.of(every.get(outbox_id))
        return None

    def take_over(self, other: str, collection: str) -> None:
        """Forget that a collection was read from another outbox."""
        self.index.update_checkpoint(f"{other}/{collection}", lambda there: None)

    def _source(self, collection: str) -> str:
        return f"{self.outbox_id}/{collection}"


def unfinished_comparisons(store: Store) -> list[tuple[str, str]]:
    """(collection, reason) of every comparison of rows this store says is not done.

    [] for a store without checkpoints.
    """
    if not isinstance(store, Checkpoints):
        return []
    found = []
    for source, text in sorted(store.checkpoints().items()):
        collection = source.partition("/")[2]
        state = Comparison.of(text) if collection else None
        if state is not None and state.reason:
            found.append((collection, state.reason))
    return found


def _positions(every: Mapping[str, str]) -> list[str]:
    return [text for source, text in every.items() if "/" not in source]
