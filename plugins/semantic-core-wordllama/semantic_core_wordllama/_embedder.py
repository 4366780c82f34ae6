"""The embedder: mean of the token vectors of the text in lower case and on one line,
brought to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from semantic_core import Space
from semantic_core.errors import EmbedderError, InputError, TextInvalid
from semantic_core_wordllama._tokens import Tokens, windows
from semantic_core_wordllama._wheel import INSTALL, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Vector, Vectors

FEW_TOKENS = 512
"""A query of at most so many tokens is read row by row from the file,
as long as nothing else needed the whole table.
"""


class WordLlamaEmbedder:
    """Turns text into WordLlama vectors, on this machine, from an installed wheel.

    A text is put into lower case (the model hardly knows capitals) and all white space in it
    becomes one space (a line break is a token of its own to the model, and spoils the word after
    it). The mean of the vectors of its tokens, brought to length 1, is the vector: every token
    counts, however long the text. Text of white space alone gets the vector of a space, which is
    near to no real text. Same text, same vector: bit for bit, alone or in a batch, as document or
    as query.

    Weights and tokenizer are read when first needed: for a query only the rows of its tokens, for
    documents the whole table, 32 MB in memory. Safe to use from several threads.

    dimensions: 256, 128 or 64. max_chars: passages longer than this are better cut. batch_size:
    passages a call. Use `open_wordllama` to have the options checked.
    """

    is_local = True
    """It runs in this process, so an index may follow its table within the
    application's own thread.
    """

    def __init__(self, *, dimensions: int, max_chars: int, batch_size: int) -> None:
        self._space = Space(
            model=WEIGHTS.path.rpartition("/")[2].removesuffix(".safetensors"),
            dimensions=dimensions,
            revision=f"{WEIGHTS.digest[:12]}-{TOKENIZER.digest[:12]}",
            settings={"case": "lower", "white_space": "one"},
        )
        self._max_chars = max_chars
        self._batch_size = batch_size
        self._lock = Lock()
        self._tokens: Tokens | None = None
        self._rows: Any = None
        self._table: NDArray[Any] | None = None

    @property
    def space(self) -> Space:
        """Identity of the vectors: the revision names weights and tokenizer by their content.

        Reads nothing.
        """
        return self._space

    @property
    def batch_size(self) -> int:
        """Passages a call should be given; more work as well."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage worth making, in characters; longer ones are read whole all the same."""
        return self._max_chars

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """float32 of shape (len(passages), dimensions), rows of length 1. [] gives (0, dimensions).

        Raises EmbedderError if the wheel's files are missing or not the known ones, TextInvalid on
        what is not text.
        """
        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Put it into a list."
            )
        if len(passages):
            self._load_table()
        return self._embed(passages)

    def embed_query(self, text: str) -> Vector:
        """float32 of shape (dimensions,), of length 1: the same vector the text has as a document.

        Raises likewise.
        """
        vector: Vector = self._embed([text])[0]
        return vector

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        totals = np.zeros((len(texts), self._space.dimensions), dtype=np.float64)
        for total, text in zip(totals, texts, strict=True):
            if not isinstance(text, str):
                raise TextInvalid(f"A text to embed must be a str, got {type(text).__name__}.")
            tokens = self._loaded_tokens()
            for window in windows(text):
                numbers = tokens.of(" ".join(window.lower().split()))
                if len(numbers):
                    total += self._vectors(numbers).sum(axis=0)
        empty = ~totals.any(axis=1)
        if empty.any():
            totals[empty] = self._vectors(np.array([self._loaded_tokens().blank]))
        totals /= np.sqrt(np.einsum("ij,ij->i", totals, totals))[:, None]
        return totals.astype(np.float32)

    def _vectors(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The vectors of these tokens, float32 of shape (len(numbers), dimensions)."""
        import numpy as np

        if self._table is None and len(numbers) <= FEW_TOKENS:
            rows = self._opened_rows()
            width = self._space.dimensions
            return np.concatenate(
                [rows[number : number + 1, :width] for number in numbers.tolist()]
            ).astype(np.float32)
        return self._load_table().take(numbers, axis=0)

    def _loaded_tokens(self) -> Tokens:
        if self._tokens is None:
            with self._lock:
                if self._tokens is None:
                    self._tokens = Tokens()
        return self._tokens

    def _opened_rows(self) -> Any:
        if self._rows is None:
            from safetensors import SafetensorError, safe_open

            path = WEIGHTS.locate()
            try:
                weights: Any = safe_open(path, framework="numpy")
                self._rows = weights.get_slice("embedding.weight")
            except (OSError, SafetensorError) as error:
                raise EmbedderError(f"{path} cannot be read: {error}.", hint=INSTALL) from error
        return self._rows

    def _load_table(self) -> NDArray[Any]:
        if self._table is None:
            import numpy as np
            from safetensors.numpy import load

            with self._lock:
                if self._table is None:
                    whole = load(WEIGHTS.read())["embedding.weight"]
                    self._table = np.ascontiguousarray(
                        whole[:, : self._space.dimensions], dtype=np.float32
                    )
        return self._table
