"""The two embedders: `OnnxEmbedder` runs an ONNX model, `SentenceTransformersEmbedder` a folder of
the package sentence-transformers.

Tested by tests/test_embedder.py, tests/test_contract.py and tests/test_sentence_transformers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semantic_core.errors import EmbedderError
from semantic_core_onnx.folder import TOKENIZER, ModelFolder, ModelOptions, Pooling
from semantic_core_onnx.local import FolderEmbedder
from semantic_core_onnx.runtime import TokenVectors, alike

if TYPE_CHECKING:
    from semantic_core.types import Vectors


class OnnxEmbedder(FolderEmbedder[TokenVectors]):
    """Turns text into vectors with model.onnx and tokenizer.json of a folder, in onnxruntime.

    A text longer than the model reads is read in windows; its vector is their mean, weighted by
    their tokens. Padding changes nothing but the rounding of float32.
    """

    def __init__(self, folder: ModelFolder, options: ModelOptions) -> None:
        super().__init__(folder, options)
        self._file = folder.onnx()
        self._pooling: Pooling = "mean"
        if options.pooling == "auto":
            self._pooling = folder.pooling()
        elif options.pooling == "cls":
            self._pooling = "cls"

    def _identity(self) -> tuple[str, dict[str, str]]:
        return self._folder.digest(self._folder.onnx_files()), {"pooling": self._pooling}

    def _open(self) -> TokenVectors:
        return TokenVectors(
            self._file,
            self._folder.path / TOKENIZER,
            max_tokens=self._max_tokens,
            pooling=self._pooling,
            threads=self._options.threads,
        )

    def _tokens(self, model: TokenVectors, word: str) -> Sequence[int]:
        return model.tokens(word)

    def _vectors(self, model: TokenVectors, texts: Sequence[str]) -> Vectors:
        import numpy as np

        windows: list[list[int]] = []
        firsts = []
        for text in texts:
            firsts.append(len(windows))
            windows.extend(model.windows(text))
        rows = np.empty((len(windows), self._dimensions), dtype=np.float32)
        for places in alike(list(map(len, windows)), self._options.batch_size):
            vectors = model.embed([windows[place] for place in places])
            if vectors.shape[1] != self._dimensions:
                return vectors  # told by the caller
            rows[places] = vectors
        if len(windows) == len(texts):
            return rows
        weights = np.array([[len(window)] for window in windows], dtype=np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        sums: Vectors = np.add.reduceat(rows * weights, firsts, axis=0)
        return sums


class SentenceTransformersEmbedder(FolderEmbedder[Any]):
    """Turns text into vectors with a folder that sentence-transformers saved, and that package.

    All steps of the model are computed. A text longer than the model reads is cut by it.
    """

    def _identity(self) -> tuple[str, dict[str, str]]:
        return self._folder.digest(self._folder.all_files()), {}

    def _open(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbedderError(
                "The package sentence-transformers is not installed.",
                hint='Run: pip install "semantic-core-onnx[sentence-transformers]"',
            ) from error
        try:
            model = SentenceTransformer(str(self._folder.path), local_files_only=True)
        except Exception as error:  # whatever torch and transformers raise
            raise EmbedderError(
                f"The model in {str(self._folder.path)!r} cannot be loaded: {error}",
                hint="Get the model again.",
            ) from error
        model.max_seq_length = self._max_tokens
        return model

    def _tokens(self, model: Any, word: str) -> Sequence[int]:
        encoded: Sequence[int] = model.tokenizer(word, add_special_tokens=False)["input_ids"]
        return encoded

    def _vectors(self, model: Any, texts: Sequence[str]) -> Vectors:
        rows: Vectors = model.encode(
            list(texts),
            batch_size=self._options.batch_size,
            prompt="",
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return rows
