"""The embedder: mean of the token vectors of the text in lower case and on one line,
brought to length 1.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from semantic_core import Space
from semantic_core.errors import EmbedderError, InputError, TextInvalid
from semantic_core_wordllama.wheel import INSTALL, TOKENIZER, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Vector, Vectors


# Text to token numbers: exactly the tokenizer's own,
# faster because a word seen before is looked up.
#
# The tokenizer merges characters over the whole text and has no notion of a word, so it cannot
# remember one. But a text may be cut between two characters that stand side by side in no merge:
# what is left of the cut then never meets what is right of it. In this tokenizer's 61,249 merges
#
# * a space never follows another character;
# * a letter or digit (all but the superscript two) and any other character never meet, spaces
# before   either aside.
#
# `PIECE` cuts there and nowhere else. A test holds both facts against the merges, another compares
# with the uncut tokenizer.

PIECE: Final = re.compile(r" *[^\W_²]+| *(?:(?![^\W_²])[^ ])+| +")
"""One piece of a text that has a space in front: spaces,
then letters and digits or anything else.
"""
RESERVED: Final = re.compile("(<unk>|<s>|</s>)")
"""The tokenizer's own marks, tokens wherever they stand; the text after one begins anew."""
BLANK: Final = "▁"
"""What the tokenizer writes for a space, and puts in front of a text.
One that is in the text is a space to it.
"""

NUMBER: Final = "i"
"""A token number as it is kept: in four bytes,
so that those of a text are joined without a Python number each.
"""

WINDOW: Final = 8_192
"""Characters read at once, to bound memory. A run without white space that is longer (no real word
is) is cut all the same, and its tokens may differ a little from those of the whole."""
REMEMBERED: Final = 32_768
"""Words, and likewise pieces, kept: about 8 MB each. When full, all are forgotten:
the frequent ones are soon back.
"""
REMEMBERED_LENGTH: Final = 64
"""Longer words and pieces, in characters, do not come back and are not kept."""


def windows(text: str) -> Iterator[str]:
    """The text in order, at most WINDOW characters at a time, cut at white space."""
    start = 0
    while len(text) - start > WINDOW:
        end = start + WINDOW
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


class Tokens:
    """The token numbers of texts.

    Safe to use from several threads: what is remembered is only ever added to, or dropped.
    """

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        tokenizer: Any = Tokenizer.from_buffer(TOKENIZER.read())
        self._model: Any = tokenizer.model
        self._reserved: dict[str, int] = {
            mark: tokenizer.token_to_id(mark) for mark in RESERVED.pattern[1:-1].split("|")
        }
        self._pieces = _Memory(self._new)
        self._words = _Memory(lambda word: self._cut(f" {word}"))
        self.blank: int = tokenizer.token_to_id(BLANK)
        """The token of a space alone."""

    def of(self, text: str) -> NDArray[Any]:
        """The token numbers in order, int32 of shape (n,); none for an empty text.

        A lone surrogate raises TextInvalid.
        """
        import numpy as np

        said = (
            b"".join(map(self._words.__getitem__, text.split(" ")))
            if self._is_plain(text)
            else self._read(text)
        )
        return np.frombuffer(said, dtype=NUMBER)

    def _is_plain(self, text: str) -> bool:
        """Whether the text is words with one space between:
        then each has the same tokens as in any other such text.
        """
        if not text or text[0] == " " or text[-1] == " " or "  " in text or BLANK in text:
            return False
        return "<" not in text or not any(mark in text for mark in self._reserved)

    def _read(self, text: str) -> bytes:
        parts = (part for part in RESERVED.split(text) if part)
        return b"".join(
            _packed([self._reserved[part]])
            if part in self._reserved
            else self._cut(f" {part.replace(BLANK, ' ')}")
            for part in parts
        )

    def _cut(self, text: str) -> bytes:
        return b"".join(map(self._pieces.__getitem__, PIECE.findall(text)))

    def _new(self, piece: str) -> bytes:
        try:
            return _packed([token.id for token in self._model.tokenize(piece.replace(" ", BLANK))])
        except UnicodeEncodeError as error:
            raise TextInvalid(
                "A text to embed holds a lone surrogate.",
                hint='Decode the source with errors="replace", or repair it.',
            ) from error


class _Memory(dict[str, bytes]):
    """Token numbers of what was seen before, packed; what is not there is made, and mostly kept."""

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
    return array(NUMBER, numbers).tobytes()


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
