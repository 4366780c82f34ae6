"""Checks the answers of plugins: each function returns what is wrong with an answer, in words, or
"" for an answer that keeps the contract of its hook.

What it returns about a search never has an id in it, because results show it, and the id may be of
a document that whoever asks must not know of. It has the place of the id instead, from 1.

Tested by tests/plugins/test_host.py and tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, get_args

from semantic_core._validation import check_unicode, clip, named
from semantic_core.errors import TextInvalid
from semantic_core.protocols import Analyser, Embedder, Store, TextFilter
from semantic_core.types import (
    PART,
    Chunk,
    ChunkId,
    Document,
    FileContent,
    Kind,
    Ranking,
    Ref,
    Scope,
    SearchHit,
    Space,
)

_KINDS: tuple[str, ...] = get_args(Kind)
_CONTRACTS = {"store": Store, "embedder": Embedder, "analyser": Analyser}
"""What a factory of each kind must return."""
_SUFFIX = re.compile(r"\.[^\s/\\]*[^\s/\\.]")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")


def offer_fault(offer: Any, made_by: str = "factory") -> str:
    """Check an offer of stores, embedders or analysers. made_by: what messages call the values."""
    if not isinstance(offer, Mapping):
        return f"wanted {{name: {made_by}}}, got {named(offer)}"
    for name, function in offer.items():
        if not isinstance(name, str) or not name.strip():
            return f"wanted a name as key, got {clip(name)}"
        if not callable(function):
            return f"wanted a {made_by} for {name!r}, got {named(function)}"
    return ""


def reader_offer_fault(offer: Any) -> str:
    """Check an offer of readers."""
    fault = offer_fault(offer, "reader")
    if fault:
        return fault
    for name in offer:
        valid = _SUFFIX.fullmatch(name) or _MEDIA_TYPE.fullmatch(name)
        if not valid or name != name.lower():
            return (
                'wanted a suffix such as ".html" or a media type such as "text/html", in lower '
                f"case, got {clip(name)}"
            )
    return ""


def documents_fault(file: FileContent, documents: Any) -> str:
    """Check the answer of a reader: a Document, or a list of them."""
    if isinstance(documents, Document):
        documents = [documents]
    if not isinstance(documents, list | tuple):
        return f"wanted a Document or a list of Documents, got {named(documents)}"
    if not documents:
        return "wanted at least the document of the file, got an empty list"
    for document in documents:
        if not isinstance(document, Document):
            return f"wanted Documents, got {named(document)}"
    if documents[0].ref != file.ref:
        return f"wanted {file.ref} as the ref of the first document, got {documents[0].ref}"
    begins = file.ref.key + PART
    seen = {file.ref}
    for part in documents[1:]:
        ref = part.ref
        of_file = (ref.collection, ref.tenant) == (file.ref.collection, file.ref.tenant)
        if not of_file or not ref.key.startswith(begins) or ref.key == begins:
            return f"wanted {file.ref}{PART}PART as the ref of another document, got {ref}"
        if ref in seen:
            return f"wanted each ref once, got {ref} twice"
        seen.add(ref)
    return ""


_COMMAND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""The name of a command, as it is typed."""
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""``module:attribute``, where a command is found."""


def commands_fault(offer: Any) -> str:
    """Check an offer of commands."""
    if not isinstance(offer, Mapping):
        return f'wanted {{name: ("module:attribute", help)}}, got {named(offer)}'
    for name, told in offer.items():
        if not isinstance(name, str) or not _COMMAND.fullmatch(name):
            return f"wanted a name of lower-case letters, digits and hyphens, got {clip(name)}"
        if not isinstance(told, tuple | list) or len(told) != 2:
            return f'wanted ("module:attribute", help) for {name!r}, got {clip(told)}'
        target, help_line = told
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            return f'wanted "module:attribute" for {name!r}, got {clip(target)}'
        if not isinstance(help_line, str) or not help_line.strip() or not help_line.isprintable():
            return f"wanted one line of help for {name!r}, got {clip(help_line)}"
    return ""


def contract_fault(kind: str, made: Any) -> str:
    """Check what a factory returned. kind: "store", "embedder" or "analyser"."""
    contract: Any = _CONTRACTS[kind]
    if not isinstance(made, contract):
        absent = []
        for name in vars(contract):
            if not name.startswith("_") and not hasattr(made, name):
                absent.append(name)
        return f"{named(made)} has no {', '.join(absent)}"
    if kind == "analyser":
        identity: object = made.identity
        is_line = isinstance(identity, str) and identity != "" and identity.isprintable()
        return "" if is_line else f"its identity must be a line of text, got {clip(identity)}"
    space: object = made.space
    return "" if isinstance(space, Space) else f"its space must be a Space, got {named(space)}"


def chunks_fault(document: Document, max_chars: int, chunks: Any) -> str:
    """Check the chunks of a document. max_chars: longest chunk, in characters."""
    if not isinstance(chunks, list | tuple):
        return f"wanted a list of Chunk, got {named(chunks)}"
    before = 0
    for position, chunk in enumerate(chunks):
        if not isinstance(chunk, Chunk):
            return f"chunk {position}: wanted a Chunk, got {named(chunk)}"
        fault = _chunk_fault(document, max_chars, chunk, position, before)
        if fault:
            return f"chunk {position}: {fault}"
        before = chunk.start
    return ""


def _chunk_fault(
    document: Document, max_chars: int, chunk: Chunk, position: int, before: int
) -> str:
    """Check one chunk. before: where the chunk before it starts."""
    ref = document.ref
    text = document.text
    id = chunk.id
    start = chunk.start
    end = chunk.end
    of_document = isinstance(id, ChunkId) and (id.ref is ref or id.ref == ref)
    if not of_document or id.position != position or not _is_place(id.position):
        return f"wanted id {ref}#{position}, got {clip(id)}"
    if not _is_place(start) or not _is_place(end) or not before <= start <= end <= len(text):
        return f"wanted {before} <= start <= end <= {len(text)}, got {(start, end)}"
    if chunk.text != text[start:end]:
        return f"wanted the document's characters {start} to {end}, got {clip(chunk.text)}"
    if end - start > max_chars:
        return f"wanted at most {max_chars} characters, got {end - start}"
    if chunk.kind not in _KINDS:
        return f"wanted one of the kinds {', '.join(_KINDS)}, got {clip(chunk.kind)}"
    if not _is_tuple_of_str(chunk.headings):
        return f"wanted a tuple of str as headings, got {clip(chunk.headings)}"
    return ""


def _is_tuple_of_str(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, str) for item in value)


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def passages_fault(count: int, passages: Any) -> str:
    """Check passages. count: of the chunks, which have one passage each."""
    if not isinstance(passages, list | tuple):
        return f"wanted a list of str, got {named(passages)}"
    if len(passages) != count:
        return f"wanted {count} passages, one per chunk, got {len(passages)}"
    try:
        for position, passage in enumerate(passages):
            check_unicode(f"passage {position}", passage)
    except TextInvalid as invalid:
        return invalid.message.removesuffix(".")
    return ""


def candidates_fault(ranking: Any, pool: int, taken: Mapping[str, Ranking]) -> str:
    """Check the ranking of a retriever.

    pool: how many candidates it may have. taken: the rankings of other plugins, by source.
    """
    fault = ranking_fault(ranking, None)
    if fault:
        return fault
    if not isinstance(ranking.source, str) or not ranking.source:
        return f"wanted a source that names it, got {clip(ranking.source)}"
    if ranking.source in taken:
        return f"another plugin gave a ranking of the source {ranking.source!r} already"
    if len(ranking) > pool:
        return f"wanted at most {pool} candidates, got {len(ranking)}"
    if list(ranking.scores) != sorted(ranking.scores, reverse=True):
        return (
            "wanted the best first and bigger scores for better ones, got a score that is bigger "
            "than the one before"
        )
    return ""


def outside(id: ChunkId, scope: Scope) -> str:
    """Why an id is not within tenant, collections and keys; "" if it is."""
    if id.ref.tenant != scope.tenant:
        return "of another tenant"
    if scope.collections is not None and id.ref.collection not in scope.collections:
        return "of another collection"
    return "" if scope.names(id.ref) else "with a key that was not asked for"


def without_its_words(refs: Collection[Ref], scope: Scope, store: Store) -> frozenset[Ref]:
    """Those of these documents that do not have the words which the scope demands."""
    if not scope.text or not refs:
        return frozenset()
    if not isinstance(store, TextFilter):
        return frozenset(refs)
    return frozenset(refs) - store.meeting(refs, scope.text)


def ranking_fault(ranking: Any, known: Set[ChunkId] | None) -> str:
    """Check any ranking. known: the ids it may have, None for all."""
    if not isinstance(ranking, Ranking):
        return f"wanted a Ranking, got {named(ranking)}"
    for id in ranking.ids:
        if not (isinstance(id, ChunkId) and isinstance(id.ref, Ref) and _is_place(id.position)):
            return f"wanted ChunkIds, got {named(id)}"
    ids = set(ranking.ids)
    if known is not None and not ids <= known:
        return f"wanted ids of the rankings it was given, got another{_at(ranking.ids, known)}"
    for place, score in enumerate(ranking.scores, 1):
        if not _is_finite(score):
            return f"wanted finite scores, got {clip(score)} at place {place}"
    if len(ids) != len(ranking.ids):
        return f"wanted each id once, got one twice, at place {_again(ranking.ids)}"
    return ""


def _is_finite(score: Any) -> bool:
    try:
        return math.isfinite(score)
    except TypeError:
        return False


def reranked_fault(hits: Any, given: Sequence[SearchHit], *, orders_only: bool) -> str:
    """Check the hits that a reranker returned for those it was given.

    orders_only: whether it may not remove any.
    """
    fault = _hits_fault(hits, {hit.id for hit in given})
    if not fault and orders_only and len(hits) < len(given):
        return (
            f"wanted all hits it was given, got {len(hits)} of {len(given)}; it says that it "
            "only orders"
        )
    return fault


def _hits_fault(hits: Any, known: set[ChunkId]) -> str:
    if not isinstance(hits, list | tuple):
        return f"wanted a list of SearchHit, got {named(hits)}"
    for hit in hits:
        if not isinstance(hit, SearchHit):
            return f"wanted SearchHits, got {named(hit)}"
        if not _is_finite(hit.score):
            return f"wanted finite scores, got {clip(hit.score)}"
    ids = [hit.id for hit in hits]
    if not known.issuperset(ids):
        return f"wanted hits it was given, got another{_at(ids, known)}"
    if len(set(ids)) != len(ids):
        return f"wanted each hit once, got one twice, at place {_again(ids)}"
    return ""


def _at(ids: Sequence[ChunkId], known: Set[ChunkId]) -> str:
    """Where the first id is that is not among the known ones."""
    place = next(place for place, id in enumerate(ids, 1) if id not in known)
    return f" at place {place}"


def _again(ids: Sequence[ChunkId]) -> int:
    """The place of the first id that was there before."""
    seen: set[ChunkId] = set()
    for place, id in enumerate(ids, 1):
        if id in seen:
            return place
        seen.add(id)
    return 0
