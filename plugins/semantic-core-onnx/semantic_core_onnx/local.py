"""What the embedders of a local folder have in common: sizes, identity, prefixes and coverage.

Tested by tests/test_embedder.py and tests/test_contract.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from semantic_core import Space
from semantic_core.coverage import UNKNOWN_TOKENS, coverage_of, words_of
from semantic_core.errors import ConfigError, EmbedderError, InputError, TextInvalid
from semantic_core_onnx.folder import ModelFolder, ModelOptions
from semantic_core_onnx.loading import Loaded

if TYPE_CHECKING:
    from semantic_core.types import Vector, Vectors

CHARS_OF_A_TOKEN: Final = 3
"""Characters of a token, at least, in most texts of a language that a model covers: passages of so
many fill what it reads at once.
"""
LEAST_CHARS: Final = 50
"""Shortest passage that a splitter is asked for, in characters."""
QUERY: Final = ("query",)
DOCUMENT: Final = ("document", "passage", "corpus")
"""Names under which a folder keeps the prefixes of queries and of documents."""

M = TypeVar("M")


class FolderEmbedder(ABC, Generic[M]):
    """An embedder that runs a model from a folder on this computer. Nothing is ever downloaded.

    The model is loaded when the first text is embedded. Safe to use from several threads and, with
    one thread for each call, in a process that was forked.
    """

    is_local = True
    """True: it runs in this process, so changes can be processed in the application's thread."""

    def __init__(self, folder: ModelFolder, options: ModelOptions) -> None:
        dimensions = options.dimensions or folder.dimensions()
        if not dimensions:
            raise ConfigError(
                f"The folder {str(folder.path)!r} does not say how many numbers a vector has.",
                hint="Say it with the option dimensions.",
            )
        self._folder = folder
        self._options = options
        self._dimensions = dimensions
        self._max_tokens = options.max_tokens or folder.max_tokens()
        self._query_prefix = _given_or(options.query_prefix, folder.prefix(QUERY))
        self._document_prefix = _given_or(options.document_prefix, folder.prefix(DOCUMENT))
        self._unknown = folder.unknown_token()
        self._space: Space | None = None
        self._model = Loaded(self._open, folder.name, options.threads)

    @abstractmethod
    def _identity(self) -> tuple[str, dict[str, str]]:
        """The revision of the model, and the settings that are its own."""

    @abstractmethod
    def _open(self) -> M:
        """The model, loaded."""

    @abstractmethod
    def _vectors(self, model: M, texts: Sequence[str]) -> Vectors:
        """A vector for each of these texts, float32, of any length but 0."""

    @abstractmethod
    def _tokens(self, model: M, word: str) -> Sequence[int]:
        """The numbers of the tokens of a word."""

    @property
    def space(self) -> Space:
        """Identity of the vectors: the name of the folder, a digest of the files of the model, and
        the settings that change a vector. The files are read for it once, the model is not loaded.
        """
        if self._space is None:
            revision, settings = self._identity()
            settings["max_tokens"] = str(self._max_tokens)
            if self._query_prefix or self._document_prefix:
                settings["query_prefix"] = self._query_prefix
                settings["document_prefix"] = self._document_prefix
            self._space = Space(
                self._folder.name, self._dimensions, revision=revision, settings=settings
            )
        return self._space

    @property
    def batch_size(self) -> int:
        """Number of passages that a call should contain; more are allowed."""
        return self._options.batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage a splitter should make, in characters; longer ones are read whole."""
        return self._options.max_chars or max(LEAST_CHARS, CHARS_OF_A_TOKEN * self._max_tokens)

    @property
    def languages(self) -> frozenset[str]:
        """Empty: a folder does not say it."""
        return frozenset()

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """Vectors as float32 of shape (len(passages), dimensions), rows of length 1.

        [] gives shape (0, dimensions). Raises EmbedderError if the model cannot be loaded or fails,
        TextInvalid for what is not valid text.
        """
        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Pass a list of str."
            )
        return self._embed(passages, self._document_prefix)

    def embed_query(self, text: str) -> Vector:
        """The vector of a query as float32 of shape (dimensions,), of length 1.

        Raises the same errors as `embed_documents`.
        """
        vector: Vector = self._embed([text], self._query_prefix)[0]
        return vector

    def coverage(self, texts: Sequence[str]) -> list[float]:
        """How well each text is covered, from 0 to 1, by the number of tokens of its words: see
        `semantic_core.coverage.coverage_of`. Loads the model.
        """
        model = self._model.get()
        shares = []
        for text in texts:
            words = words_of(text)
            shares.append(coverage_of([(word, self._count(model, word)) for word in words]))
        return shares

    def _count(self, model: M, word: str) -> int:
        """Tokens of a word; one that the tokenizer does not know counts as many."""
        tokens = list(self._tokens(model, word))
        unknown = 0 if self._unknown is None else tokens.count(self._unknown)
        return len(tokens) + unknown * (UNKNOWN_TOKENS - 1)

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        import numpy as np

        for text in texts:
            _check(text)
        if not len(texts):
            return np.zeros((0, self._dimensions), dtype=np.float32)
        rows = self._vectors(self._model.get(), [prefix + text for text in texts])
        if rows.shape != (len(texts), self._dimensions):
            raise EmbedderError(
                f"The model {self._folder.name} gave vectors of {rows.shape[-1]} numbers; its "
                f"folder or the option dimensions says {self._dimensions}."
            )
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        if not np.isfinite(lengths).all() or not lengths.all():
            raise EmbedderError(
                f"The model {self._folder.name} gave a vector of no length, or one that is not "
                "finite.",
                hint="Check the model with the library that it was made with.",
            )
        unit: Vectors = (rows / lengths[:, None]).astype(np.float32)
        return unit


def _given_or(given: str | None, otherwise: str) -> str:
    return otherwise if given is None else given


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
