"""Models that run in onnxruntime, with their tokenizer: `TokenVectors` makes a vector of a text,
`PairScores` a score of a question and a passage.

Tested by tests/test_embedder.py and tests/test_reranker.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from semantic_core.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semantic_core.types import Vectors
    from semantic_core_onnx.folder import Pooling

INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
"""Inputs that this plugin can give to a model."""
POOLED: Final = "sentence_embedding"
"""Name of an output that holds one vector per text already."""


class Padded(NamedTuple):
    """Texts of different lengths as one array each, of shape (texts, tokens of the longest).

    mask: 1 for a token, 0 behind the last one of a text. types: 0, or 1 for the second of a pair.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64]

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] = ()) -> Padded:
        """These texts, given by the numbers of their tokens. types: () if all are 0."""
        import numpy as np

        shape = (len(ids), max(map(len, ids)))
        made = cls(*(np.zeros(shape, dtype=np.int64) for _ in cls._fields))
        for row, tokens in enumerate(ids):
            made.ids[row, : len(tokens)] = tokens
            made.mask[row, : len(tokens)] = 1
        for row, kinds in enumerate(types):
            made.types[row, : len(kinds)] = kinds
        return made


class OnnxModel:
    """An open model of one kind or the other. Safe to use from several threads; in a process that
    was forked, only with threads=1.

    file: the model. threads: processors of one call, 0 for all. wanted: the output that is asked
    for if the model has it, else its first. Raises EmbedderError if the file cannot be read, or the
    model wants other inputs.
    """

    def __init__(self, file: Path, threads: int, wanted: str = "") -> None:
        self._session = _opened_session(file, threads)
        self._inputs = [given.name for given in self._session.get_inputs()]
        unknown = sorted(set(self._inputs) - set(INPUTS))
        if unknown:
            raise EmbedderError(
                f"The model in {str(file)!r} wants the inputs {', '.join(unknown)}; known are "
                f"{', '.join(INPUTS)}.",
                hint="Export the encoder of the model alone.",
            )
        outputs = [output.name for output in self._session.get_outputs()]
        self.output = wanted if wanted in outputs else outputs[0]

    def run(self, texts: Padded) -> NDArray[np.float32]:
        """What the model says of these texts. Raises EmbedderError if it fails."""
        import numpy as np

        every = dict(zip(INPUTS, texts, strict=True))
        inputs = {name: every[name] for name in self._inputs}
        try:
            (answer,) = self._session.run([self.output], inputs)
        except Exception as error:  # onnxruntime has no error of its own
            raise EmbedderError(f"The model failed: {error}") from error
        return np.asarray(answer, dtype=np.float32)


class TokenVectors:
    """A model of sentences; a text becomes one vector.

    model, tokenizer: files. max_tokens: of one window. pooling: of the vectors of tokens; not used
    for a model that pools itself. threads: see `OnnxModel`. Raises EmbedderError if a file cannot
    be read, or the model wants other inputs.
    """

    def __init__(
        self, model: Path, tokenizer: Path, *, max_tokens: int, pooling: Pooling, threads: int
    ) -> None:
        self._tokenizer = _opened_tokenizer(tokenizer)
        self._plain = _opened_tokenizer(tokenizer)
        self._tokenizer.enable_truncation(max_tokens)
        self._model = OnnxModel(model, threads, POOLED)
        self._pooling = pooling

    def windows(self, text: str) -> list[list[int]]:
        """The token numbers of a text, with those that mark its ends, in windows that the model can
        read; always one at least, of one token at least.
        """
        encoded = self._tokenizer.encode(text)
        return [each.ids or [0] for each in (encoded, *encoded.overflowing)]

    def tokens(self, word: str) -> list[int]:
        """The token numbers of a word alone."""
        ids: list[int] = self._plain.encode(word, add_special_tokens=False).ids
        return ids

    def embed(self, windows: Sequence[list[int]]) -> Vectors:
        """A vector for each of these windows, float32 of shape (n, dimensions), of any length."""
        import numpy as np

        texts = Padded.of(windows)
        answer = self._model.run(texts)
        if answer.ndim == 2 and len(answer) == len(windows):
            return answer
        if answer.ndim != 3 or answer.shape[:2] != texts.ids.shape:
            raise EmbedderError(
                f"The output {self._model.output!r} of the model has the shape {answer.shape}: "
                f"wanted one vector for each text, or for each of {texts.ids.shape} tokens."
            )
        if self._pooling == "cls":
            first: Vectors = answer[:, 0]
            return first
        shares = texts.mask / texts.mask.sum(axis=1, keepdims=True)
        mean: Vectors = np.einsum("ntd,nt->nd", answer, shares.astype(np.float32))
        return mean


class PairScores:
    """A cross-encoder; a question and a passage, which it reads together, become one score.

    model, tokenizer: files. max_tokens: of both together; the longer one is cut. batch_size: pairs
    of one call. threads: see `OnnxModel`. Raises EmbedderError if a file cannot be read, or the
    model wants other inputs.
    """

    def __init__(
        self, model: Path, tokenizer: Path, *, max_tokens: int, batch_size: int, threads: int
    ) -> None:
        self._tokenizer = _opened_tokenizer(tokenizer)
        self._tokenizer.enable_truncation(max_tokens)
        self._model = OnnxModel(model, threads)
        self._batch_size = batch_size

    def scores(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """The score of each passage, higher is better; on the scale of the model. Raises
        EmbedderError if the model fails, or gives no score for each pair.
        """
        import numpy as np

        encoded = self._tokenizer.encode_batch([(question, passage) for passage in passages])
        scores = np.empty(len(passages), dtype=np.float32)
        for places in alike([len(pair.ids) for pair in encoded], self._batch_size):
            ids = [encoded[place].ids or [0] for place in places]
            types = [encoded[place].type_ids for place in places]
            answer = self._model.run(Padded.of(ids, types))
            if answer.size != len(places):
                raise EmbedderError(
                    f"The output {self._model.output!r} of the model has the shape "
                    f"{answer.shape}: wanted one score for each of {len(places)} pairs.",
                    hint="Use a cross-encoder with one label.",
                )
            scores[places] = answer.reshape(len(places))
        return scores


def alike(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """The places of what is computed together, so many at a time: of similar length, so that little
    is padded.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _opened_tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers has no error of its own
        raise EmbedderError(
            f"{str(file)!r} cannot be read as a tokenizer: {error}.", hint="Get the model again."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _opened_session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning slow down everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no error of its own
        raise EmbedderError(
            f"{str(file)!r} cannot be read as an ONNX model: {error}", hint="Get the model again."
        ) from error
