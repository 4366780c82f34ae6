"""Documents, vectors and places to keep them,
as the trust tests and the processes they start use them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from semantic_core import Chunk, ChunkId, Document, Entry, Ref, Scope, Space

SPACE = Space("trust", 16)
EVERYTHING = Scope()
MEMORY = "/dev/shm"  # noqa: S108 - used as the parent of folders with unguessable names

Vector = Any
Item = tuple[Document, list[Entry]]


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder of its own, in memory where there is such a thing: these tests are about logic,
    not about disks.
    """
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="semantic-core-", dir=parent) as folder:
        yield Path(folder)


def unit(numbers: Sequence[float]) -> Vector:
    """float32 of length 1."""
    given = np.asarray(numbers, dtype=np.float64)
    return (given / np.sqrt((given * given).sum())).astype(np.float32)


def axis(number: int, dimensions: int = SPACE.dimensions) -> Vector:
    """The vector along one axis."""
    return unit([float(place == number) for place in range(dimensions)])


def vector_of(text: str, dimensions: int = SPACE.dimensions) -> Vector:
    """The one vector of a text: any direction, always the same."""
    seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return unit(np.random.default_rng(seed).normal(size=dimensions))


def fingerprint_of(text: str) -> str:
    """The one fingerprint of a text."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def item(
    ref: Ref,
    *passages: str,
    vectors: Sequence[Vector | None] | None = None,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Item:
    """A document made of these passages, a chunk each. vectors: one per passage;
    unset means `vector_of` each.
    """
    entries: list[Entry] = []
    start = 0
    for position, passage in enumerate(passages):
        chunk = Chunk(ChunkId(ref, position), passage, start, start + len(passage))
        vector = vector_of(passage) if vectors is None else vectors[position]
        entries.append(Entry(chunk, passage, fingerprint_of(passage), vector))
        start += len(passage) + 2
    return Document(ref, "\n\n".join(passages), title=title, metadata=metadata or {}), entries
