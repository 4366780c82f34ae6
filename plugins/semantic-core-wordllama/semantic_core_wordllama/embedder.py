"""The embedder: a vector is the normalised mean of the token vectors of a text.

`Tokens` turns a text into token numbers, `WordLlamaEmbedder` turns these into vectors.

Tested by tests/test_embedder.py, tests/test_tokens.py and tests/test_contract.py.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from semantic_core import Space
from semantic_core.coverage import coverage_of, words_of
from semantic_core.errors import EmbedderError, InputError, TextInvalid
from semantic_core_wordllama.wheel import INSTALL, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Vector, Vectors


PIECE: Final = re.compile(r" *[^\W_²]+| *(?:(?![^\W_²])[^ ])+| +")
"""A piece of a text: spaces, then letters and digits, or other characters. See `Tokens`."""
RESERVED: Final = re.compile("(<unk>|<s>|</s>)")
"""Reserved tokens of the tokenizer, which are recognised anywhere in a text."""
BLANK: Final = "▁"
"""The character that stands for a space in the tokenizer; one in the text counts as a space."""

NUMBER: Final = "i"
"""Token numbers are cached as arrays of this type, four bytes each, which are fast to join."""

WINDOW: Final = 8_192
"""Characters that are read at once, to bound memory.

A longer run without white space is cut, so its tokens may differ from those of the whole run.
"""
REMEMBERED: Final = 32_768
"""Most words, and most pieces, in the caches, about 8 MB each. A full cache is emptied."""
REMEMBERED_LENGTH: Final = 64
"""Words and pieces with more characters are not cached."""


def windows(text: str) -> Iterator[str]:
    """The text in parts of at most WINDOW characters, cut at white space where possible."""
    start = 0
    while len(text) - start > WINDOW:
        end = start + WINDOW
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


LANGUAGES: Final = frozenset(("en",))
"""ISO 639-1 codes of the languages the model was made for."""
SCRIPTS: Final = ("Latin",)
"""Scripts of these languages, as `semantic_core.coverage.SCRIPTS` names them."""


class Tokens:
    """Turns texts into token numbers: the same as the tokenizer, but faster because of a cache.

    The tokenizer merges characters over the whole text and has no notion of a word, so it cannot
    cache words. But a text may be cut between two characters that are adjacent in no merge, because
    what is left of the cut is never merged with what is right of it. In the 61,249 merges of this
    tokenizer

    * a space never follows another character;
    * a letter or digit (except the superscript two) is never adjacent to any other character,
      apart from spaces before it.

    `PIECE` cuts only there. One test checks both facts against the merges, another compares the
    result with that of the tokenizer. Safe to use from several threads: entries are only added to
    the caches, or all dropped.
    """

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        tokenizer: Any = Tokenizer.from_buffer(TOKENIZER.read())
        self._model: Any = tokenizer.model
        self._reserved: dict[str, int] = {}
        for mark in RESERVED.pattern[1:-1].split("|"):
            self._reserved[mark] = tokenizer.token_to_id(mark)
        self._pieces = _Cache(self._tokenize)
        self._words = _Cache(self._word)
        self.blank: int = tokenizer.token_to_id(BLANK)
        """The token of a single space."""

    def of(self, text: str) -> NDArray[Any]:
        """The token numbers in order, int32 of shape (n,); n is 0 for an empty text.

        Raises TextInvalid for a lone surrogate.
        """
        import numpy as np

        if self._is_plain(text):
            numbers = b"".join(map(self._words.__getitem__, text.split(" ")))
        else:
            numbers = self._read(text)
        return np.frombuffer(numbers, dtype=NUMBER)

    def _is_plain(self, text: str) -> bool:
        """Whether the text is words with single spaces, which have the same tokens everywhere."""
        if not text or text[0] == " " or text[-1] == " " or "  " in text or BLANK in text:
            return False
        return "<" not in text or not any(mark in text for mark in self._reserved)

    def _read(self, text: str) -> bytes:
        """The token numbers of any text, packed."""
        numbers = []
        for part in RESERVED.split(text):
            if part in self._reserved:
                numbers.append(_packed([self._reserved[part]]))
            elif part:
                spaced = part.replace(BLANK, " ")
                numbers.append(self._cut(f" {spaced}"))
        return b"".join(numbers)

    def _word(self, word: str) -> bytes:
        """The token numbers of a word after a space, packed."""
        return self._cut(f" {word}")

    def _cut(self, text: str) -> bytes:
        """The token numbers of a text without reserved tokens, packed."""
        return b"".join(map(self._pieces.__getitem__, PIECE.findall(text)))

    def _tokenize(self, piece: str) -> bytes:
        """The token numbers of a piece, packed, by the tokenizer."""
        try:
            return _packed([token.id for token in self._model.tokenize(piece.replace(" ", BLANK))])
        except UnicodeEncodeError as error:
            raise TextInvalid(
                "A text to embed contains a lone surrogate.",
                hint='Decode the source with errors="replace", or repair it.',
            ) from error


class _Cache(dict[str, bytes]):
    """Packed token numbers by text; a missing entry is created, and stored if it is short."""

    def __init__(self, make: Callable[[str], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> bytes:
        made = self._make(text)
        if len(text) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = made
        return made


def _packed(numbers: list[int]) -> bytes:
    """Token numbers as bytes."""
    return array(NUMBER, numbers).tobytes()


FEW_TOKENS = 512
"""Most tokens of a query whose rows are read from the file, while the table is not in memory."""


class WordLlamaEmbedder:
    """Turns text into WordLlama vectors, on this computer, with files from an installed wheel.

    Text is converted to lower case, because the model hardly knows capitals, and white space to
    single spaces, because a line break is a token and changes the word after it. The vector is the
    mean of all token vectors, normalised to length 1. Blank text has the vector of a space, which
    is not similar to any real text. The same text always has the same vector, bit for bit: alone or
    in a batch, as document or as query.

    Weights and tokenizer are read when they are first needed: the rows of its tokens for a query,
    the whole table (32 MB in memory) for documents. Safe to use from several threads.

    dimensions: 256, 128 or 64. max_chars: longest passage a splitter should make, in characters.
    batch_size: passages per call. `open_wordllama` checks these options.
    """

    is_local = True
    """True: it runs in this process, so changes can be processed in the application's thread."""

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
        """Identity of the vectors. Its revision contains digests of weights and tokenizer.

        No file is read.
        """
        return self._space

    @property
    def languages(self) -> frozenset[str]:
        """English: the model was made for nothing else."""
        return LANGUAGES

    @property
    def batch_size(self) -> int:
        """Number of passages that a call should contain; more are allowed."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage a splitter should make, in characters; longer ones are not cut."""
        return self._max_chars

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """Vectors as float32 of shape (len(passages), dimensions), rows of length 1.

        [] gives shape (0, dimensions). Raises EmbedderError if the files of the model are missing
        or of another version, TextInvalid for what is not valid text.
        """
        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Pass a list of str."
            )
        if len(passages):
            self._load_table()
        return self._embed(passages)

    def embed_query(self, text: str) -> Vector:
        """The vector as float32 of shape (dimensions,), the same as that of the text as a document.

        Raises the same errors as `embed_documents`.
        """
        vector: Vector = self._embed([text])[0]
        return vector

    def coverage(self, texts: Sequence[str]) -> list[float]:
        """How well each text is covered, from 0 to 1: see `coverage_of`. Reads the tokenizer, not
        the weights. Languages in Latin script whose words have English parts seem covered.
        """
        tokens = self._loaded_tokens()
        shares = []
        for text in texts:
            counted = ((word, len(tokens.of(word))) for word in words_of(text))
            shares.append(coverage_of(counted, SCRIPTS))
        return shares

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
            found = [rows[number : number + 1, :width] for number in numbers.tolist()]
            return np.concatenate(found).astype(np.float32)
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
