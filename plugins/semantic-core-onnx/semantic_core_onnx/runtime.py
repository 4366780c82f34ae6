"""`TokenVectors`: a model that runs in onnxruntime, and its tokenizer; a text becomes one vector.

Tested by tests/test_embedder.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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


class TokenVectors:
    """An open model. Safe to use from several threads; in a process that was forked,
    only with threads=1.

    model, tokenizer: files. max_tokens: of one window. pooling: of the vectors of tokens; not used
    for a model that pools itself. threads: processors of one call, 0 for all. Raises EmbedderError
    if a file cannot be read, or the model wants other inputs.
    """

    def __init__(
        self, model: Path, tokenizer: Path, *, max_tokens: int, pooling: Pooling, threads: int
    ) -> None:
        self._tokenizer = _opened_tokenizer(tokenizer)
        self._plain = _opened_tokenizer(tokenizer)
        self._tokenizer.enable_truncation(max_tokens)
        self._session = _opened_session(model, threads)
        self._pooling = pooling
        self._inputs = [given.name for given in self._session.get_inputs()]
        unknown = sorted(set(self._inputs) - set(INPUTS))
        if unknown:
            raise EmbedderError(
                f"The model in {str(model)!r} wants the inputs {', '.join(unknown)}; known are "
                f"{', '.join(INPUTS)}.",
                hint="Export the encoder of the model alone, for feature extraction.",
            )
        outputs = self._session.get_outputs()
        named = [output.name for output in outputs if output.name == POOLED]
        self._output = named[0] if named else outputs[0].name

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

        longest = max(map(len, windows))
        ids = np.zeros((len(windows), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        answer = self._run({name: every[name] for name in self._inputs})
        if answer.ndim == 2 and len(answer) == len(windows):
            return answer
        if answer.ndim != 3 or answer.shape[:2] != ids.shape:
            raise EmbedderError(
                f"The output {self._output!r} of the model has the shape {answer.shape}: wanted "
                f"one vector for each text, or for each of {ids.shape} tokens."
            )
        if self._pooling == "cls":
            first: Vectors = answer[:, 0]
            return first
        shares = mask / mask.sum(axis=1, keepdims=True)
        mean: Vectors = np.einsum("ntd,nt->nd", answer, shares.astype(np.float32))
        return mean

    def _run(self, inputs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        import numpy as np

        try:
            (answer,) = self._session.run([self._output], dict(inputs))
        except Exception as error:  # onnxruntime has no error of its own
            raise EmbedderError(f"The model failed: {error}") from error
        return np.asarray(answer, dtype=np.float32)


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
