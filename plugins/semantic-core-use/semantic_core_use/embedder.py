"""`UseEmbedder`: the Universal Sentence Encoder (multilingual, version 3), computed with numpy.

Tested by tests/test_embedder.py, tests/test_languages.py and tests/test_contract.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from semantic_core import Space
from semantic_core.coverage import coverage_of, words_of
from semantic_core.errors import InputError, TextInvalid
from semantic_core_use.threads import leaving_threads
from semantic_core_use.wheel import VOCABULARY, WEIGHTS, load_model, load_tokenizer

if TYPE_CHECKING:
    from semantic_core.types import Vector, Vectors

DIMENSIONS: Final = 512
LANGUAGES: Final = frozenset(
    ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
)
"""ISO 639-1 codes of the languages the model was trained on; "zh" stands for Chinese in simplified
and in traditional characters.
"""
SCRIPTS: Final = ("Latin", "Cyrillic", "Arabic", "Hangul", "Han", "Kana", "Thai")
"""Scripts of these languages, as `semantic_core.coverage.SCRIPTS` names them."""
WINDOW: Final = 2_048
"""Characters that are read at once, to bound memory: about 10 MB of numbers between the layers."""
MOST_WORDS: Final = 50_000
"""Words whose number of tokens is remembered. A full memory is emptied."""


def windows(text: str) -> Iterator[str]:
    """The text in parts of at most `WINDOW` characters, cut at a space where there is one."""
    start = 0
    while len(text) - start > WINDOW:
        end = start + WINDOW
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


class UseEmbedder:
    """Turns text of 16 languages into vectors of one space, on this computer, with a model from an
    installed wheel. A text and its translation have similar vectors.

    A vector has 512 numbers and length 1. Documents and queries are embedded in the same way, in
    lower case: the model takes a text in capitals for another one. A text longer than `WINDOW` has
    the mean of the vectors of its parts, weighted by their length. The same text has the same
    vector, alone or in a batch, up to the rounding of float32.

    Vocabulary and weights are read when they are first needed: about a second, and 120 MB. Safe to
    use from several threads and in a process that was forked.

    max_chars: longest passage a splitter should make, in characters. batch_size: passages per call.
    threads: processors that one call uses. `open_use` checks these options.
    """

    is_local = True
    """True: it runs in this process, so changes can be processed in the application's thread."""

    def __init__(self, *, max_chars: int, batch_size: int, threads: int) -> None:
        self._space = Space(
            model="use_multilingual_3",
            dimensions=DIMENSIONS,
            revision=f"{WEIGHTS.digest[:12]}-{VOCABULARY.digest[:12]}",
            settings={"case": "lower"},
        )
        self._max_chars = max_chars
        self._batch_size = batch_size
        self._threads = threads
        self._tokenizer: Any = None
        self._model: Any = None
        self._counts: dict[str, int] = {}
        self._process = os.getpid()
        self._lock = Lock()

    @property
    def space(self) -> Space:
        """Identity of the vectors. Its revision contains digests of weights and vocabulary.

        No file is read.
        """
        return self._space

    @property
    def batch_size(self) -> int:
        """Number of passages that a call should contain; more are allowed."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage a splitter should make, in characters; longer ones are not cut."""
        return self._max_chars

    @property
    def languages(self) -> frozenset[str]:
        """The languages the model was trained on."""
        return LANGUAGES

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """Vectors as float32 of shape (len(passages), 512), rows of length 1.

        [] gives shape (0, 512). Raises EmbedderError if the wheel is missing or another version,
        TextInvalid for what is not valid text.
        """
        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Pass a list of str."
            )
        return self._embed(passages)

    def embed_query(self, text: str) -> Vector:
        """The vector as float32 of shape (512,), the same as that of the text as a document.

        Raises the same errors as `embed_documents`.
        """
        vector: Vector = self._embed([text])[0]
        return vector

    def coverage(self, texts: Sequence[str]) -> list[float]:
        """How well each text is covered, from 0 to 1: see `coverage_of`. Reads the vocabulary, not
        the weights.
        """
        return [
            coverage_of(((word, self._count(word)) for word in words_of(text)), SCRIPTS)
            for text in texts
        ]

    def _count(self, word: str) -> int:
        """The number of tokens of a word."""
        count = self._counts.get(word)
        if count is None:
            tokens = self._loaded_tokenizer().encode(word, add_bos=False, add_eos=False)
            count = len(tokens)
            if len(self._counts) >= MOST_WORDS:
                self._counts = {}
            self._counts[word] = count
        return count

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        parts: list[str] = []
        firsts: list[int] = []
        for text in texts:
            _check(text)
            firsts.append(len(parts))
            parts.extend(windows(text.lower()))
        if not parts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        model = self._loaded_model()
        with leaving_threads():
            rows: Vectors = model.encode(parts)
        if len(parts) > len(firsts):
            lengths = np.array([[max(1, len(part))] for part in parts], dtype=np.float32)
            rows = np.add.reduceat(rows * lengths, firsts, axis=0)
        rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        return rows

    def _loading(self) -> Lock:
        """The lock of this process: one that was forked has no thread that would open the other."""
        if self._process != os.getpid():
            self._lock = Lock()
            self._process = os.getpid()
        return self._lock

    def _loaded_tokenizer(self) -> Any:
        if self._tokenizer is None:
            with self._loading():
                if self._tokenizer is None:
                    self._tokenizer = load_tokenizer()
        return self._tokenizer

    def _loaded_model(self) -> Any:
        if self._model is None:
            tokenizer = self._loaded_tokenizer()
            with self._loading():
                if self._model is None:
                    self._model = load_model(tokenizer, self._threads)
        return self._model


def _check(text: str) -> None:
    if not isinstance(text, str):
        raise TextInvalid(f"A text to embed must be a str, got {type(text).__name__}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextInvalid(
            "A text to embed contains a lone surrogate.",
            hint='Decode the source with errors="replace", or repair it.',
        ) from error
