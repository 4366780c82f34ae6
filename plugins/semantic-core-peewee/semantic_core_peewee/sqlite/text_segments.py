"""The full-text index in the file: which chunks contain a term, and how often, written in the
transaction of the chunks.

New chunks are rows of a small table, the tail. When there are `Tuning.tail` of them, or a batch
brings as many, they become a segment: per term the rows of the segment that contain it, 3 bytes
each, in blocks of some kilobytes that are found by the first term they hold. A segment never
changes. A chunk that goes is noted as dead, and `text_merging` leaves it out when it makes one
segment of several. All of this is derived data: `rebuild` makes it from the table of chunks.

A term is stored as a hash of 64 bits. The words themselves are in a table of their own, with how
many chunks contain each, so the word of a removed document leaves the file with it.

Tested by tests/sqlite/test_text_segments.py and tests/sqlite/test_text_search.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from semantic_core.analysis import analyse, analyser_mismatch
from semantic_core_peewee.sqlite.errors import altered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.protocols import Analyser
    from semantic_core.types import Word
    from semantic_core_peewee.sqlite.pool import View

    Keys = NDArray[np.uint64]
    """Hashes of terms."""

INDEX = "The full-text index"
SEALED = "sealed"
"""Under this name a transaction keeps whether it has written a segment."""
MOST_ROWS = 65_536
"""Rows of a segment: a row is a number of 16 bits."""
BLOCK = 4_000
"""Bytes of a block, about, so that a page of the file holds four; a term that takes more has a
block of its own.
"""
_BLOCKS = 1 << 20
"""Numbers of blocks per segment."""
_MANY = 255
"""In a block, this often or more: the number follows behind."""
_AT_ONCE = 16_384
"""Chunks that `rebuild` analyses at once."""
_ROW = np.int64(32)
"""Bits of a row number in a sort key."""
_KEY = np.dtype("<u8")
_END = np.dtype("<u4")
_PLACE = np.dtype("<u2")
_COUNT = np.dtype("<u4")
_HEAD = struct.Struct("<II")
_NUMBER = struct.Struct("<I")

COLUMNS = np.dtype([("chunk", "<i8"), ("document", "<i8"), ("home", "<i4"), ("length", "<i4")])
"""A row of a segment: its chunk, that chunk's document and home, and how many terms it has."""

_STATE = """select changes, layout, sealed, chunks, terms, dead, analyser
    from semantic_index_text_state
    where generation = ?"""
_KEEP_STATE = """insert into semantic_index_text_state
    (generation, changes, layout, sealed, chunks, terms, dead, analyser)
    values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict do update
    set changes = excluded.changes, layout = excluded.layout, sealed = excluded.sealed,
    chunks = excluded.chunks, terms = excluded.terms, dead = excluded.dead,
    analyser = excluded.analyser"""
_ADD_TAIL = """insert into semantic_index_text_tail
    (chunk, generation, document, home, length, crc, terms)
    values (?, ?, ?, ?, ?, ?, ?)"""
TAIL = """select chunk, document, home, length, crc, terms
    from semantic_index_text_tail
    where generation = ? and chunk > ?
    order by chunk"""
_ADD_SEGMENT = """insert into semantic_index_text_segment
    (id, generation, first, last, count, blocks, building)
    values (?, ?, ?, ?, ?, ?, ?)"""
_ADD_COLUMNS = """insert into semantic_index_text_columns (segment, crc, rows, directory)
    values (?, ?, ?, ?)"""
_ADD_BLOCK = "insert into semantic_index_text_block (id, crc, data) values (?, ?, ?)"
_ADD_DEAD = "insert into semantic_index_text_dead (generation, chunk) values (?, ?)"
SEGMENTS = """select id, count, blocks
    from semantic_index_text_segment
    where generation = ? and building = 0
    order by first"""
_COUNT_WORDS = """insert into semantic_index_text_word (generation, word, term, chunks)
    values (?, ?, ?, ?)
    on conflict do update
    set chunks = chunks + excluded.chunks"""
_DROP_WORDS = """delete from semantic_index_text_word
    where generation = ? and word = ? and term = ? and chunks <= 0"""
CHUNKS = """select c.id, c.document, h.id, d.language, c.passage
    from semantic_index_chunk as c
    cross join semantic_index_document as d
    cross join semantic_index_home as h
    where c.generation = ? and d.id = c.document and h.generation = d.generation
    and h.tenant = d.tenant and h.collection = d.collection
    order by c.id"""
"""Everything that is indexed, in the order of the chunks."""
_ADD_HOMES = """insert into semantic_index_home (generation, tenant, collection)
    select distinct generation, tenant, collection
    from semantic_index_document as d
    where d.generation = ? and not exists (select 1
        from semantic_index_home as h
        where h.generation = d.generation and h.tenant = d.tenant
        and h.collection = d.collection)"""
"""In files of earlier releases, documents without a vector had none."""


class TextState(NamedTuple):
    """How far the index is. changes: transactions that changed it. layout: times segments were
    replaced by others; between two of them segments are only added.

    sealed: the last chunk that is in a segment; later ones are in the tail. chunks: living ones.
    terms: all that these have. dead: chunks noted as dead. analyser: the identity of the one that
    made the index; "" if there is no index yet.
    """

    changes: int = 0
    layout: int = 0
    sealed: int = 0
    chunks: int = 0
    terms: int = 0
    dead: int = 0
    analyser: str = ""


class ChunkText(NamedTuple):
    """A chunk as it is indexed. home: see `segments.home_of`."""

    chunk: int
    document: int
    home: int
    language: str | None
    passage: str


class Postings(NamedTuple):
    """Which rows contain which terms. keys: of the terms, ascending. ends: of each term, where its
    rows end. rows: of each term, ascending. counts: how often the row contains the term.
    """

    keys: Keys
    ends: NDArray[Any]
    rows: NDArray[Any]
    counts: NDArray[Any]


NOTHING = Postings(*(np.zeros(0, dtype=kind) for kind in (_KEY, np.int64, _PLACE, np.uint8)))
"""Of rows without any term."""


class Analysed(NamedTuple):
    """Chunks and what was found in them. lengths: terms of each. words: with their keys and the
    number of chunks that contain each.
    """

    columns: NDArray[Any]
    postings: Postings
    words: list[tuple[str, int, int]]


@lru_cache(maxsize=1 << 20)
def key_of(term: str) -> int:
    """The hash that stands for a term: 64 bits of BLAKE2b."""
    hashed = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(hashed.digest(), "little")


def state_of(view: View) -> TextState:
    """The state this transaction sees; one row of a small table."""
    row = view.raw.execute(_STATE, (view.generation,)).fetchone()
    return TextState(*row) if row else TextState()


def keep_state(view: View, state: TextState) -> None:
    """Write the state."""
    view.raw.execute(_KEEP_STATE, (view.generation, *state))


def write(
    view: View, analyser: Analyser, added: Sequence[ChunkText], dropped: Sequence[ChunkText]
) -> None:
    """Write what one transaction changes, after the chunks themselves: `dropped` ones, as they
    were, go; `added` ones come, in the order of their numbers, which are higher than all before.

    Raises AnalyserMismatch.
    """
    if not added and not dropped:
        return
    state = state_of(view)
    if not state.analyser:
        rebuild(view, analyser)
        return
    check_analyser(state, analyser)
    state = state._replace(changes=state.changes + 1)
    if dropped:
        state = _drop(view, analyser, state, dropped)
    if added:
        state = _add(view, analyser, state, added)
    keep_state(view, state)


def rebuild(view: View, analyser: Analyser) -> None:
    """Rebuild everything from the chunks, whatever is there now."""
    state = state_of(view)
    _clear(view)
    view.raw.execute(_ADD_HOMES, (view.generation,))
    state = TextState(state.changes + 1, state.layout + 1, analyser=analyser.identity)
    for batch in batches(ChunkText(*row) for row in view.raw.execute(CHUNKS, (view.generation,))):
        state = _add(view, analyser, state, batch)
    keep_state(view, state)


def check_analyser(state: TextState, analyser: Analyser) -> None:
    """Raise AnalyserMismatch unless the index was made with this analyser, or is yet to be."""
    if state.analyser and state.analyser != analyser.identity:
        raise analyser_mismatch(state.analyser, analyser.identity)


def batches(rows: Iterable[ChunkText]) -> Iterator[list[ChunkText]]:
    """The rows, some at a time."""
    remaining = iter(rows)
    batch = list(islice(remaining, _AT_ONCE))
    while batch:
        yield batch
        batch = list(islice(remaining, _AT_ONCE))


def _clear(view: View) -> None:
    segments = "select id from semantic_index_text_segment where generation = ?"
    drop_segments(view, [id for (id,) in view.raw.execute(segments, (view.generation,)).fetchall()])
    for table in ("tail", "dead", "word", "state"):
        view.raw.execute(
            f"delete from semantic_index_text_{table} where generation = ?", (view.generation,)
        )


def _with(state: TextState, found: Analysed) -> TextState:
    return state._replace(
        chunks=state.chunks + len(found.columns),
        terms=state.terms + int(found.columns["length"].sum()),
    )


def _add(view: View, analyser: Analyser, state: TextState, added: Sequence[ChunkText]) -> TextState:
    for start in range(0, len(added), MOST_ROWS):
        found = analysed(analyser, added[start : start + MOST_ROWS])
        _count_words(view, found.words, 1)
        state = _with(state, found)
        size = view.tuning.tail
        waiting = "select count(*) from semantic_index_text_tail where generation = ?"
        if len(found.columns) >= size:
            state = _seal_tail(view, state)
            state = _sealed(view, state, found.columns, found.postings)
            continue
        _add_to_tail(view, found)
        if int(view.raw.execute(waiting, (view.generation,)).get) >= size:
            state = _seal_tail(view, state)
    return state


def _drop(
    view: View, analyser: Analyser, state: TextState, dropped: Sequence[ChunkText]
) -> TextState:
    found = analysed(analyser, sorted(dropped))
    _count_words(view, found.words, -1)
    chunks = found.columns["chunk"].tolist()
    view.raw.executemany(
        "delete from semantic_index_text_tail where chunk = ?", [(chunk,) for chunk in chunks]
    )
    view.raw.executemany(_ADD_DEAD, [(view.generation, chunk) for chunk in chunks])
    return state._replace(
        chunks=state.chunks - len(chunks),
        terms=state.terms - int(found.columns["length"].sum()),
        dead=state.dead + len(chunks),
    )


def _count_words(view: View, words: Sequence[tuple[str, int, int]], sign: int) -> None:
    """So many chunks more contain each of these words, or fewer."""
    rows = [(view.generation, word, signed(key), sign * chunks) for word, key, chunks in words]
    view.raw.executemany(_COUNT_WORDS, rows)
    if sign < 0:
        view.raw.executemany(_DROP_WORDS, [row[:3] for row in rows])


def signed(key: int) -> int:
    """The key as a number that SQLite can hold."""
    return key - (1 << 64) if key >= 1 << 63 else key


def unsigned(key: int) -> int:
    """The key that SQLite holds as this number."""
    return key + (1 << 64) if key < 0 else key


def analysed(analyser: Analyser, texts: Sequence[ChunkText]) -> Analysed:
    """What these chunks contain; row 0 is the first of them."""
    found = analyse(analyser, [one.passage for one in texts], [one.language for one in texts])
    columns = np.zeros(len(texts), dtype=COLUMNS)
    columns["chunk"] = [one.chunk for one in texts]
    columns["document"] = [one.document for one in texts]
    columns["home"] = [one.home for one in texts]
    columns["length"] = found.counts
    keys = np.array([key_of(word.term) for word in found.vocabulary], dtype=np.uint64)
    row_of = np.repeat(np.arange(len(texts), dtype=np.int64), found.counts)
    words = _words(found.terms, row_of, found.vocabulary, keys)
    return Analysed(columns, _postings(found.terms, row_of, keys), words)


def _words(
    terms: NDArray[np.int32], row_of: NDArray[np.int64], vocabulary: Sequence[Word], keys: Keys
) -> list[tuple[str, int, int]]:
    pairs = np.sort(terms.astype(np.int64) << _ROW | row_of)
    distinct = pairs[is_first(pairs)] >> _ROW
    counts = np.bincount(distinct, minlength=len(vocabulary))
    surfaces = [word.surface.encode("utf-8", "replace").decode() for word in vocabulary]
    return list(zip(surfaces, keys.tolist(), counts.tolist(), strict=True))


def _postings(terms: NDArray[np.int32], row_of: NDArray[np.int64], keys: Keys) -> Postings:
    order = np.argsort(keys)
    begins = is_first(keys[order])
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = np.cumsum(begins) - 1
    pairs = np.sort(ranks[terms] << _ROW | row_of)
    first = np.flatnonzero(is_first(pairs))
    counts = np.diff(first, append=len(pairs))
    pairs = pairs[first]
    distinct = keys[order][begins]
    ends = np.cumsum(np.bincount(pairs >> _ROW, minlength=len(distinct)))
    return Postings(distinct, ends, pairs & np.int64(0xFFFFFFFF), counts)


def is_first(ascending: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each number is another than the one before it."""
    begins = np.ones(len(ascending), dtype=bool)
    np.not_equal(ascending[1:], ascending[:-1], out=begins[1:])
    return begins


# The tail: new chunks, a row each.


def _add_to_tail(view: View, found: Analysed) -> None:
    keys, ends, rows, counts = found.postings
    every = np.repeat(keys, np.diff(ends, prepend=0))
    order = np.argsort(rows, kind="stable")
    stops = np.cumsum(np.bincount(rows, minlength=len(found.columns))).tolist()
    every = every[order].astype(_KEY)
    counts = counts[order].astype(_COUNT)
    added = []
    start = 0
    for (chunk, document, home, length), stop in zip(found.columns.tolist(), stops, strict=True):
        terms = every[start:stop].tobytes() + counts[start:stop].tobytes()
        crc = crc32(terms, chunk & 0xFFFFFFFF)
        added.append((chunk, view.generation, document, home, length, crc, terms))
        start = stop
    view.raw.executemany(_ADD_TAIL, added)


def read_tail(view: View, after: int) -> tuple[NDArray[Any], Postings]:
    """The chunks of the tail behind this one, and what they contain.

    Raises StoreCorrupt for a row that is not what was written.
    """
    columns = []
    keys = [np.zeros(0, dtype=_KEY)]
    counts = [np.zeros(0, dtype=_COUNT)]
    sizes = []
    size = _KEY.itemsize + _COUNT.itemsize
    for chunk, document, home, length, crc, terms in view.raw.execute(
        TAIL, (view.generation, after)
    ):
        if crc32(terms, chunk & 0xFFFFFFFF) != crc or len(terms) % size:
            raise altered(INDEX)
        held = len(terms) // size
        columns.append((chunk, document, home, length))
        sizes.append(held)
        keys.append(np.frombuffer(terms, dtype=_KEY, count=held))
        counts.append(np.frombuffer(terms, dtype=_COUNT, offset=held * _KEY.itemsize))
    every = np.concatenate(keys)
    order = np.argsort(every, kind="stable")
    rows = np.repeat(np.arange(len(sizes)), sizes)[order]
    grouped = every[order]
    begins = is_first(grouped)
    ends = np.append(np.flatnonzero(begins)[1:], len(grouped)) if len(grouped) else np.zeros(0, int)
    postings = Postings(grouped[begins], ends, rows, np.concatenate(counts)[order])
    return np.array(columns, dtype=COLUMNS), postings


def _seal_tail(view: View, state: TextState) -> TextState:
    """Make a segment of the tail, if there is one."""
    columns, postings = read_tail(view, state.sealed)
    if not len(columns):
        return state
    generation = (view.generation,)
    view.raw.execute("delete from semantic_index_text_tail where generation = ?", generation)
    view.raw.execute(
        "delete from semantic_index_text_dead where generation = ? and chunk > ?",
        (view.generation, state.sealed),
    )
    state = state._replace(dead=state.dead - view.raw.changes())
    return _sealed(view, state, columns, postings)


# Segments.


def _sealed(view: View, state: TextState, columns: NDArray[Any], postings: Postings) -> TextState:
    """Write a segment behind all others."""
    id = new_segment(view)
    add_segment(view, id, columns, list(blocks_of(postings)))
    view.kept[SEALED] = True
    return state._replace(sealed=max(state.sealed, int(columns["chunk"][-1])))


def new_segment(view: View) -> int:
    """A number that no segment had."""
    last = "select coalesce(max(seq), 0) from sqlite_sequence where name = ?"
    return int(view.raw.execute(last, ("semantic_index_text_segment",)).get) + 1


class PostingBlock(NamedTuple):
    """A part of a segment as it is stored. first: the key of its first term."""

    first: int
    data: bytes


def add_segment(view: View, id: int, columns: NDArray[Any], blocks: Sequence[PostingBlock]) -> None:
    """Write a whole segment."""
    begin_segment(view, id, columns, blocks, building=False)
    add_blocks(view, id, 0, blocks)


def begin_segment(
    view: View, id: int, columns: NDArray[Any], blocks: Sequence[PostingBlock], *, building: bool
) -> None:
    """Write a segment but for its blocks. building: nobody reads it yet."""
    first = int(columns["chunk"][0])
    last = int(columns["chunk"][-1])
    about = (id, view.generation, first, last, len(columns), len(blocks), int(building))
    view.raw.execute(_ADD_SEGMENT, about)
    rows = columns.tobytes()
    directory = np.array([block.first for block in blocks], dtype=_KEY).tobytes()
    crc = crc32(directory, crc32(rows))
    view.raw.execute(_ADD_COLUMNS, (id, crc, rows, directory))


def add_blocks(view: View, segment: int, number: int, blocks: Sequence[PostingBlock]) -> None:
    """Write these blocks of a segment, from this number on."""
    first = segment * _BLOCKS + number
    rows = [(first + place, crc32(block.data), block.data) for place, block in enumerate(blocks)]
    view.raw.executemany(_ADD_BLOCK, rows)


def block_numbers(segment: int) -> tuple[int, int]:
    """The lowest and the highest number a block of this segment may have."""
    return segment * _BLOCKS, (segment + 1) * _BLOCKS - 1


def drop_segments(view: View, ids: Sequence[int]) -> None:
    """Remove these segments."""
    for id in ids:
        view.raw.execute(
            "delete from semantic_index_text_block where id between ? and ?", block_numbers(id)
        )
        view.raw.execute("delete from semantic_index_text_columns where segment = ?", (id,))
        view.raw.execute("delete from semantic_index_text_segment where id = ?", (id,))


def blocks_of(postings: Postings) -> Iterator[PostingBlock]:
    """The postings of a segment as its blocks."""
    keys, ends, rows, counts = postings
    starts = np.concatenate([[0], ends[:-1]])
    sizes = np.cumsum((_KEY.itemsize + _END.itemsize) + (_PLACE.itemsize + 1) * (ends - starts))
    first = 0
    while first < len(keys):
        written = int(sizes[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(sizes, written + BLOCK, side="right")))
        part = slice(int(starts[first]), int(ends[last - 1]))
        block = Postings(keys[first:last], ends[first:last] - part.start, rows[part], counts[part])
        yield PostingBlock(int(keys[first]), _packed(block))
        first = last


def _packed(block: Postings) -> bytes:
    """How many terms; their keys; where their rows end; the rows; how often each; and the places
    and numbers of those that are there more often than a byte can say.
    """
    often = np.flatnonzero(block.counts >= _MANY)
    parts = (
        np.array([len(block.keys), len(often)], dtype=_END),
        block.keys.astype(_KEY),
        block.ends.astype(_END),
        block.rows.astype(_PLACE),
        np.minimum(block.counts, _MANY).astype(np.uint8),
        often.astype(_END),
        block.counts[often].astype(_COUNT),
    )
    return b"".join(part.tobytes() for part in parts)


def unpacked(data: bytes) -> Postings:
    """What `_packed` has made. counts: bytes, or of 32 bits if a byte cannot say them all."""
    terms, often = _HEAD.unpack_from(data)
    place = _HEAD.size
    keys = np.frombuffer(data, dtype=_KEY, count=terms, offset=place)
    place += keys.nbytes
    ends = np.frombuffer(data, dtype=_END, count=terms, offset=place)
    place += ends.nbytes
    held = int(ends[-1]) if terms else 0
    rows = np.frombuffer(data, dtype=_PLACE, count=held, offset=place)
    place += rows.nbytes
    counts: NDArray[Any] = np.frombuffer(data, dtype=np.uint8, count=held, offset=place)
    if often:
        place += held
        places = np.frombuffer(data, dtype=_END, count=often, offset=place)
        place += places.nbytes
        counts = counts.astype(_COUNT)
        counts[places] = np.frombuffer(data, dtype=_COUNT, count=often, offset=place)
    return Postings(keys, ends, rows, counts)


def unpacked_term(data: bytes, key: np.uint64) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(rows, counts) of one term of what `_packed` has made; None if it is not in there."""
    terms, often = _HEAD.unpack_from(data)
    keys = np.frombuffer(data, dtype=_KEY, count=terms, offset=_HEAD.size)
    place = int(keys.searchsorted(key))
    if place == terms or keys[place] != key:
        return None
    if often:
        _, ends, rows, counts = unpacked(data)
        part = slice(int(ends[place - 1]) if place else 0, int(ends[place]))
        return rows[part], counts[part]
    ends_at = _HEAD.size + keys.nbytes
    rows_at = ends_at + terms * _END.itemsize
    counts_at = rows_at + _at(data, ends_at, terms - 1) * _PLACE.itemsize
    first = _at(data, ends_at, place - 1) if place else 0
    held = _at(data, ends_at, place) - first
    return (
        np.frombuffer(data, dtype=_PLACE, count=held, offset=rows_at + first * _PLACE.itemsize),
        np.frombuffer(data, dtype=np.uint8, count=held, offset=counts_at + first),
    )


def _at(data: bytes, start: int, place: int) -> int:
    """A number of those that begin there."""
    number: int = _NUMBER.unpack_from(data, start + place * _NUMBER.size)[0]
    return number


class Segment(NamedTuple):
    """A segment to look terms up in. start: rows of all segments before it. rows: its own.
    directory: the first key of each block.
    """

    id: int
    start: int
    rows: int
    directory: Keys

    def postings(self, view: View, key: np.uint64) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """(rows, counts) of a term; None if no row contains it."""
        number = int(self.directory.searchsorted(key, side="right")) - 1
        return unpacked_term(_block(view, self.id, number), key) if number >= 0 else None


def read_block(view: View, segment: int, number: int) -> Postings:
    """A block of a segment. Raises StoreCorrupt if it is not what was written."""
    return unpacked(_block(view, segment, number))


def _block(view: View, segment: int, number: int) -> bytes:
    row = view.raw.execute(
        "select crc, data from semantic_index_text_block where id = ?",
        (segment * _BLOCKS + number,),
    ).fetchone()
    if row is None or crc32(row[1]) != row[0]:
        raise altered(INDEX)
    data: bytes = row[1]
    return data


def read_columns(view: View, segment: int) -> tuple[NDArray[Any], Keys]:
    """The rows of a segment, and the directory of its blocks. Raises StoreCorrupt."""
    row = view.raw.execute(
        "select crc, rows, directory from semantic_index_text_columns where segment = ?",
        (segment,),
    ).fetchone()
    if row is None or crc32(row[2], crc32(row[1])) != row[0]:
        raise altered(INDEX)
    return np.frombuffer(row[1], dtype=COLUMNS), np.frombuffer(row[2], dtype=_KEY)


def whole(view: View, segment: int, blocks: int) -> Postings:
    """All postings of a segment. Raises StoreCorrupt."""
    read = [read_block(view, segment, number) for number in range(blocks)]
    if not read:
        return NOTHING
    sizes = [0, *(int(block.ends[-1]) for block in read)]
    starts = np.cumsum(sizes)
    ends = [block.ends.astype(np.int64) + start for block, start in zip(read, starts, strict=False)]
    return Postings(
        np.concatenate([block.keys for block in read]),
        np.concatenate(ends),
        np.concatenate([block.rows for block in read]),
        np.concatenate([block.counts for block in read]),
    )
