"""What is measured on: real Markdown found on this machine, passages made of it,
and vectors with the shape of real ones.

Markdown comes from `SEMANTIC_CORE_CORPUS=folder`, else from the documentation that ships inside
installed packages. A machine with too little of it gets reStructuredText as well, and after that
numbered variations; the result says so.
"""

from __future__ import annotations

import os
import random
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core import Document, Ref

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Vectors

FOLDER_VARIABLE = "SEMANTIC_CORE_CORPUS"
PLACES = ("/usr/share", "/usr/lib", "/usr/local/share", "/usr/local/lib")
"""Where systems keep the documentation of what is installed."""
MARKDOWN = (".md", ".markdown")
RESTRUCTURED = (".rst",)
LEAST_BYTES, ORDINARY_BYTES, MOST_BYTES = 500, 256_000, 4_000_000
"""Shorter files say nothing; files up to the second are taken first,
so that a few giants do not stand for everything.
"""
LATENT = 64
"""Directions in which synthetic vectors really differ."""


@attrs.frozen
class Corpus:
    """Real text. documents: each with its size in bytes known; origin: what it is made of,
    in one sentence.
    """

    documents: tuple[Document, ...]
    bytes: int
    markdown_bytes: int
    files: int
    variations: int
    origin: str

    def facts(self) -> dict[str, Any]:
        """Size and origin, for a report."""
        return {
            "corpus_bytes": self.bytes,
            "corpus_files": self.files,
            "markdown_bytes": self.markdown_bytes,
            "variations": self.variations,
            "corpus_origin": self.origin,
        }

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of it; () for real Markdown of full size."""
        notes = []
        if self.markdown_bytes < self.bytes and not self.variations:
            notes.append(
                f"Only {self.markdown_bytes:,} bytes of Markdown were found; the rest is "
                "reStructuredText."
            )
        if self.variations:
            notes.append(
                "Too little text was found: it is repeated in "
                f"{self.variations} numbered variations."
            )
        return tuple(notes)


def find_corpus(wanted: int, folder: str | None = None) -> Corpus:
    """At least `wanted` bytes of real text, none twice,
    in an order that depends on the content alone.

    folder: only what is below it; None takes SEMANTIC_CORE_CORPUS, else what is installed on this
    machine.
    """
    folder = folder or os.environ.get(FOLDER_VARIABLE)
    roots = [Path(folder)] if folder else _installed()
    texts = _first(_read(roots, MARKDOWN), wanted)
    markdown = sum(len(text) for text, _ in texts)
    if markdown < wanted:
        texts += _first(_read(roots, RESTRUCTURED), wanted - markdown)
    if not texts:
        raise FileNotFoundError(
            f"No Markdown below {', '.join(map(str, roots))}. Set {FOLDER_VARIABLE}=folder."
        )
    documents: list[Document] = []
    size = variations = 0
    while not documents or size < wanted:
        for number, (content, suffix) in enumerate(texts):
            text = _varied(content.decode(), variations)
            media_type = "text/markdown" if suffix in MARKDOWN else "text/plain"
            metadata = {"suffix": suffix, "variation": variations}
            ref = Ref("corpus", f"{variations}-{number}")
            documents.append(Document(ref, text, media_type=media_type, metadata=metadata))
            size += len(text.encode())
            if variations and size >= wanted:
                break
        variations += 1
    origin = (
        f"the folder {FOLDER_VARIABLE} names" if folder else "documentation of installed packages"
    )
    return Corpus(tuple(documents), size, min(markdown, size), len(texts), variations - 1, origin)


def _installed() -> list[Path]:
    named = [
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        *PLACES,
    ]
    roots: list[Path] = []
    for root in (Path(name).resolve() for name in named):
        if (
            root.is_dir()
            and root != Path("/usr")
            and not any(root.is_relative_to(held) for held in roots)
        ):
            roots.append(root)
    return roots


def _read(roots: Sequence[Path], suffixes: tuple[str, ...]) -> dict[str, tuple[bytes, str]]:
    """Digest -> (content, suffix): what is alike is here once."""
    found: dict[str, tuple[bytes, str]] = {}
    for path in _paths(roots, suffixes):
        try:
            if not LEAST_BYTES <= path.stat().st_size <= MOST_BYTES:
                continue
            content = path.read_bytes()
            content.decode()
        except (OSError, UnicodeDecodeError):
            continue
        if b"\0" not in content:
            found.setdefault(blake2b(content).hexdigest(), (content, path.suffix.lower()))
    return found


def _paths(roots: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for root in roots:
        for parent, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                if name.lower().endswith(suffixes):
                    yield Path(parent, name)


def _first(found: dict[str, tuple[bytes, str]], wanted: int) -> list[tuple[bytes, str]]:
    """Enough of them, ordinary files before giants,
    otherwise in the order of their digests: a fair mix.
    """
    order = sorted(found, key=lambda digest: (len(found[digest][0]) > ORDINARY_BYTES, digest))
    taken: list[tuple[bytes, str]] = []
    size = 0
    for digest in order:
        if size >= wanted:
            break
        taken.append(found[digest])
        size += len(found[digest][0])
    return taken


def _varied(text: str, variation: int) -> str:
    """The text with a number at the end of every line of words,
    so that no passage equals one of another variation.
    """
    return re.sub(r"(?m)([A-Za-z.,])$", rf"\1 {variation}", text) if variation else text


@attrs.frozen
class Passage:
    """A piece of real text: what a chunk of an index is made of."""

    title: str
    headings: tuple[str, ...]
    text: str

    @property
    def full(self) -> str:
        """With its context: what is embedded and found by."""
        return "\n".join(
            [line for line in (self.title, " > ".join(self.headings)) if line] + [self.text]
        )


def passages_of(
    documents: Sequence[tuple[Document, Sequence[Chunk]]], count: int, seed: int = 1
) -> list[Passage]:
    """Exactly `count` different passages: the real ones,
    then splices of the first half of one with the second of another.

    Splices keep the vocabulary, the lengths and how often words occur, which is what a word index
    lives on.
    """
    pairs = ((document, chunk) for document, chunks in documents for chunk in chunks)
    real = list(
        dict.fromkeys(
            Passage(document.title, chunk.headings, chunk.text) for document, chunk in pairs
        )
    )
    if not real:
        raise ValueError("There is no passage to make others of.")
    chosen = random.Random(seed)
    chosen.shuffle(real)
    if len(real) >= count:
        return real[:count]
    made = dict.fromkeys(real)
    misses = 0
    while len(made) < count:
        before, after = chosen.choice(real), chosen.choice(real)
        text = f"{_half(before.text, first=True)} {_half(after.text, first=False)}".strip()
        if misses > count:  # a handful of passages has few splices; numbers make more
            text = f"{text} {len(made)}"
        size = len(made)
        made.setdefault(Passage(before.title, before.headings, text))
        misses += len(made) == size
    return list(made)


def _half(text: str, *, first: bool) -> str:
    middle = text.find(" ", len(text) // 2)
    if middle < 0:
        return text
    return text[:middle] if first else text[middle + 1 :]


def queries_of(
    documents: Sequence[tuple[Document, Sequence[Chunk]]], count: int, seed: int = 2
) -> list[str]:
    """`count` different headings of 2 to 12 words, as people would type them;
    fewer if there are not so many.
    """
    headings = dict.fromkeys(
        re.sub(r"[`*_#\[\]]", "", heading).strip()
        for _, chunks in documents
        for chunk in chunks
        for heading in (chunk.headings[-1:] or (chunk.text.splitlines()[0][:80],))
    )
    fit = [heading for heading in headings if 2 <= len(re.findall(r"\w+", heading)) <= 12]
    random.Random(seed).shuffle(fit)
    return fit[:count]


def clustered(count: int, dimensions: int, seed: int = 3) -> Vectors:
    """Vectors of length 1, float32 of shape (count, dimensions), from a mixture of Gaussians.

    As many clusters as the root of the count, in LATENT directions, turned into all dimensions,
    with a little noise of full rank. The last rows serve as queries nobody has stored. Same seed,
    same vectors.
    """
    import numpy as np

    chosen = np.random.default_rng(seed)
    clusters = max(2, round(count**0.5))
    centres = chosen.standard_normal((clusters, LATENT), dtype=np.float32)
    spread = chosen.standard_normal((LATENT, dimensions), dtype=np.float32) / LATENT**0.5
    vectors = np.empty((count, dimensions), dtype=np.float32)
    for start in range(0, count, 65_536):
        size = min(65_536, count - start)
        latent = centres[chosen.integers(0, clusters, size)] + 0.6 * chosen.standard_normal(
            (size, LATENT), dtype=np.float32
        )
        block = latent @ spread + 0.05 * chosen.standard_normal(
            (size, dimensions), dtype=np.float32
        )
        vectors[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors
