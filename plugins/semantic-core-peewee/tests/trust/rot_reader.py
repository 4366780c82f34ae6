"""Runs as a process of its own: reads damaged stores, which may crash it, and says what it saw.

Each line on standard input is the path of a file; the answer is a line of JSON: what every reading
method answered (a digest, or the class of its error), what `check` found, and the errors that are
none of ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import Any

from crash_history import EVERYWHERE, SPACE, vector
from semantic_core_peewee import SqliteStore

from semantic_core import Ref, Space
from semantic_core.errors import SemanticCoreError, StoreCorrupt, StoreForeign, StoreVersion
from semantic_core.filters import Filter
from semantic_core.types import Chunk, ChunkId, Document, Entry, Scope

DOCUMENTS, PASSAGES = 40, 27
"""Together more chunks than are compared without the codes of their vectors."""
DAMAGE = (StoreCorrupt, StoreForeign, StoreVersion)
_QUERY = vector("the query")


@cache
def documents() -> list[tuple[Document, list[Entry]]]:
    """What the store holds: every field of every record says something."""
    made = []
    for number in range(DOCUMENTS):
        ref = Ref(f"collection {number % 3}", f"key {number}")
        texts = [
            f"{EVERYWHERE} word{number}x{place} some more of it. " for place in range(PASSAGES)
        ]
        entries, start = [], 0
        for place, text in enumerate(texts):
            kind = ("text", "code", "table", "list")[place % 4]
            about = {"language": f"l{place}"} if kind == "code" else {}
            chunk = Chunk(
                ChunkId(ref, place),
                text,
                start,
                start + len(text),
                kind,
                (f"Part {place % 5}",),
                about,
            )
            waits = place == 13
            entries.append(Entry(chunk, text, _name(text), None if waits else vector(text)))
            start += len(text)
        metadata = {
            "number": number,
            "share": number / 7,
            "even": number % 2 == 0,
            "tags": (f"t{number % 5}", "all"),
        }
        language = ("en", "de", None)[number % 3]
        made.append(
            (
                Document(
                    ref, "".join(texts), f"Title {number}", "text/markdown", metadata, language
                ),
                entries,
            )
        )
    return made


def _name(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def sound() -> frozenset[str]:
    """A digest of every record the store was given, as a sound store gives it back."""
    given = documents()
    chunks = [
        repr((entry.chunk, document.title, document.metadata, entry.vector is None))
        for document, entries in given
        for entry in entries
    ]
    names = [
        repr((entry.fingerprint, entry.vector.tobytes()))
        for _, entries in given
        for entry in entries
        if entry.vector is not None
    ]
    return frozenset([*(repr(document) for document, _ in given), *chunks, *names])


def shown(store: SqliteStore) -> tuple[list[str], str]:
    """(the records the store gives back, one at a time: what a reader would get to see of damage;
    class of an error).
    """
    seen: list[str] = []
    told = ""

    def note(give: Callable[[], list[str]]) -> None:
        try:
            seen.extend(give())
        except DAMAGE as error:
            nonlocal told
            told = error.code

    for document, entries in documents():
        note(
            lambda ref=document.ref: [
                repr(found) for found in [store.get(ref)] if found is not None
            ]
        )
        ids, names = [entry.chunk.id for entry in entries], [entry.fingerprint for entry in entries]
        note(
            lambda ids=ids: [
                repr((one.chunk, one.title, one.metadata, one.pending)) for one in store.fetch(ids)
            ]
        )
        note(
            lambda names=names: [
                repr((name, found.tobytes())) for name, found in store.known(names).items()
            ]
        )
    return seen, told


@cache
def questions() -> dict[str, Callable[[SqliteStore], Any]]:
    """Every reading method but those that give records (see `shown`), asked for everything."""
    refs = [document.ref for document, _ in documents()]
    ids = [ChunkId(ref, place) for ref in refs for place in range(PASSAGES)]
    words = " ".join(f"word{number}x{number % PASSAGES}" for number in range(DOCUMENTS))
    filtered = Scope(filter=Filter.parse({"even": True, "tags": "t1"}))
    return {
        "documents": lambda store: [store.documents(Scope()), store.documents(filtered)],
        "nearest": lambda store: [
            store.nearest(_QUERY, 50, Scope()),
            store.nearest(_QUERY, 2_000, Scope()),
        ],
        "nearest, filtered": lambda store: store.nearest(_QUERY, 50, filtered),
        "similarity": lambda store: store.similarity(ids, _QUERY).tobytes(),
        "words": lambda store: [
            store.words(words, 100, Scope()),
            store.words(EVERYWHERE, 2_000, Scope()),
        ],
        "words, filtered": lambda store: store.words(EVERYWHERE, 50, filtered),
        "pending": lambda store: store.pending(1_000),
        "stats": lambda store: [
            store.stats().documents,
            store.stats().chunks,
            store.stats().pending,
        ],
    }


def look(path: str, space: Space = SPACE) -> dict[str, Any]:
    """What a store says of itself. said: per question a digest, "" if it raised. raised: per
    question, the error's class.

    strange: errors that are not of ours. problems: what `check` found. served: records given that
    were never stored.
    """
    said: dict[str, str] = {}
    raised: dict[str, str] = {}
    strange: list[str] = []

    def ask(name: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except DAMAGE as error:
            raised[name] = error.code
        except SemanticCoreError as error:
            raised[name] = error.code
            strange.append(f"{name}: {error!r}")
        except Exception as error:  # noqa: BLE001 - which ones come out is the question
            raised[name] = type(error).__name__
            strange.append(f"{name}: {error!r}")
        return None

    store = ask("open", lambda: SqliteStore(space, path))
    problems, served = None, 0
    if store is not None:
        for name, question in questions().items():
            answer = ask(name, lambda question=question: question(store))
            said[name] = "" if name in raised else _digest(answer)
        records, told = ask("records", lambda: shown(store)) or ([], "")
        said["records"], served = _digest(records), len(set(records) - sound())
        if told:
            raised["records"] = told
        problems = ask("check", store.check)
        store.close()
    return {
        "said": said,
        "raised": raised,
        "strange": strange,
        "problems": problems,
        "served": served,
    }


def _digest(answer: Any) -> str:
    return blake2b(repr(answer).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def main() -> None:
    """Serve paths until standard input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(look(line.rstrip("\n"))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
