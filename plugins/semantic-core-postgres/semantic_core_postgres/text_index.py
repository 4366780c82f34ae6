"""The full-text index: a row for each term of each chunk, written in the transaction of the chunks.

It is plain rows, so it survives crashes, is replicated, and obeys row-level security, like every
other table. All of it is derived data: `rebuild` makes it from the table of chunks.

Tested by tests/test_contract.py and tests/test_searching.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_core.analysis import analyse, analyser_mismatch
from semantic_core_postgres import totals
from semantic_core_postgres.texts import LONGEST_SURFACE, decoded, encoded, legal, term_of
from semantic_core_postgres.totals import Change

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser
    from semantic_core_postgres.pool import View

_AT_ONCE = 5_000
"""Chunks that `rebuild` analyses at once."""
_ADD = """insert into {s}.posting (tenant, term, chunk, document, position, count, length)
    select %s, * from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[],
        %s::int[])"""
_ADD_WORDS = """insert into {s}.word (tenant, surface, term, whole)
    select %s, w.surface, w.term, w.whole
    from unnest(%s::text[], %s::text[], %s::boolean[]) as w (surface, term, whole)
    where not exists (select 1 from {s}.word as k
        where k.tenant = %s and k.surface = w.surface and k.term = w.term)
    order by w.surface, w.term
    on conflict do nothing"""
_DROP = """with gone as (
        delete from {s}.posting where tenant = %s and chunk = any(%s::bigint[])
        returning chunk, length)
    select coalesce(sum(length), 0) from (select distinct chunk, length from gone) as each"""
_EVERY = """select c.tenant, c.id, c.document, c.position, d.language, c.passage
    from {s}.chunk as c join {s}.document as d on d.tenant = c.tenant and d.id = c.document
    where c.id > %s order by c.id limit %s"""
_LENGTHS = """select tenant, sum(length) from
    (select distinct tenant, chunk, length from {s}.posting) as each group by tenant"""


class IndexedText(NamedTuple):
    """A chunk as the index sees it. tenant: as the columns spell it; passage: as it was given."""

    tenant: str
    chunk: int
    document: int
    position: int
    language: str | None
    passage: str


def analyser_of(view: View) -> str | None:
    """The identity of the analyser that the index was made with; None if nothing was written."""
    found: str | None = view.value("select value from {s}.meta where name = 'analyser'")
    return None if found is None else decoded(found)


def check_analyser(view: View, analyser: Analyser) -> None:
    """Raise AnalyserMismatch if the index was made with another one."""
    made_with = analyser_of(view)
    if made_with is not None and made_with != analyser.identity:
        raise analyser_mismatch(made_with, analyser.identity)


def claim_analyser(view: View, analyser: Analyser) -> None:
    """Before a write: have the index be made with this analyser, until the end of the transaction.

    Raises AnalyserMismatch.
    """
    _lock(view, shared=True)
    if analyser_of(view) is None:
        view.run(
            "insert into {s}.meta (name, value) values ('analyser', %s) on conflict do nothing",
            (encoded(analyser.identity),),
        )
    check_analyser(view, analyser)


def _lock(view: View, *, shared: bool) -> None:
    """Many write the index at a time, but nobody while it is made anew."""
    name = f"semantic-core {view.statements.schema} full-text index"
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    view.run(f"select {function}(hashtextextended(%s, 0))", (name,))


def add(view: View, analyser: Analyser, texts: Sequence[IndexedText]) -> dict[str, int]:
    """Index these chunks; how many terms they have, by tenant."""
    by_tenant: defaultdict[str, list[IndexedText]] = defaultdict(list)
    for text in texts:
        by_tenant[text.tenant].append(text)
    lengths = {}
    for tenant, mine in sorted(by_tenant.items()):
        lengths[tenant] = _add(view, analyser, tenant, mine)
    return lengths


def _add(view: View, analyser: Analyser, tenant: str, texts: Sequence[IndexedText]) -> int:
    analysed = analyse(
        analyser, [text.passage for text in texts], [text.language or None for text in texts]
    )
    vocabulary = analysed.vocabulary
    if not vocabulary:
        return 0
    # Words of one term, and terms that are too long for the index, become one number.
    spelled = [term_of(word.term) for word in vocabulary]
    numbers: dict[str, int] = {}
    for term in spelled:
        numbers.setdefault(term, len(numbers))
    number_of = np.array([numbers[term] for term in spelled], dtype=np.int64)
    counts = analysed.counts.astype(np.int64)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), counts)
    keys = rows * len(numbers) + number_of[analysed.terms]
    each, times = np.unique(keys, return_counts=True)
    row = each // len(numbers)
    terms = list(numbers)
    chunks = np.array([text.chunk for text in texts], dtype=np.int64)
    documents = np.array([text.document for text in texts], dtype=np.int64)
    positions = np.array([text.position for text in texts], dtype=np.int64)
    view.run(
        _ADD,
        (
            tenant,
            [terms[number] for number in (each % len(numbers)).tolist()],
            chunks[row].tolist(),
            documents[row].tolist(),
            positions[row].tolist(),
            times.tolist(),
            counts[row].tolist(),
        ),
    )
    words = set()
    for word, term in zip(vocabulary, spelled, strict=True):
        if word.surface:
            is_whole = len(word.surface) <= LONGEST_SURFACE
            words.add((legal(word.surface[:LONGEST_SURFACE]), term, is_whole))
    listed = sorted(words)
    columns = [list(column) for column in zip(*listed, strict=True)] or [[], [], []]
    view.run(_ADD_WORDS, (tenant, *columns, tenant))
    return int(counts.sum())


def drop(view: View, tenant: str, chunks: Sequence[int]) -> int:
    """Remove these chunks of a tenant from the index; how many terms they had."""
    if not chunks:
        return 0
    return int(view.value(_DROP, (tenant, list(chunks))))


def rebuild(view: View, analyser: Analyser) -> None:
    """Make the index of all passages anew with this analyser."""
    _lock(view, shared=False)
    before = dict(view.rows(_LENGTHS))
    view.run("delete from {s}.posting")
    view.run("delete from {s}.word")
    view.run(
        """insert into {s}.meta (name, value) values ('analyser', %s)
            on conflict (name) do update set value = excluded.value""",
        (encoded(analyser.identity),),
    )
    after: defaultdict[str, int] = defaultdict(int)
    last = -1
    while page := view.rows(_EVERY, (last, _AT_ONCE)):
        last = page[-1][1]
        for tenant, length in add(view, analyser, _texts(page)).items():
            after[tenant] += length
    changes = {}
    for tenant in before.keys() | after.keys():
        changes[tenant] = Change(length=int(after[tenant]) - int(before.get(tenant, 0)))
    totals.add(view, changes)


def _texts(page: Iterable[Sequence[object]]) -> list[IndexedText]:
    texts = []
    for tenant, chunk, document, position, language, passage in page:
        language = None if language is None else decoded(str(language))
        texts.append(
            IndexedText(
                str(tenant),
                int(chunk),  # type: ignore[call-overload]
                int(document),  # type: ignore[call-overload]
                int(position),  # type: ignore[call-overload]
                language,
                decoded(str(passage)),
            )
        )
    return texts
