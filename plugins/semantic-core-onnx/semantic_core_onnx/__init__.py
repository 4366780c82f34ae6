"""Embedders and a reranker that run a model from a folder on this computer: "onnx",
"sentence-transformers" and "onnx-reranker".

Nothing is downloaded: a folder that is not there is an error that says how to get a model.
Importing this package is cheap; onnxruntime and the tokenizer are loaded with the first text.
Rooms: `folder` (its files and settings), `loading` (when a model is loaded), `local` (what the
embedders have in common), `runtime` (tokens, onnxruntime and pooling), `embedder` and `reranker`.

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from semantic_core import hookimpl
from semantic_core_onnx.embedder import OnnxEmbedder, SentenceTransformersEmbedder
from semantic_core_onnx.folder import ModelFolder, ModelOptions

if TYPE_CHECKING:
    from semantic_core_onnx.local import FolderEmbedder

__all__ = [
    "OnnxEmbedder",
    "SentenceTransformersEmbedder",
    "open_onnx",
    "open_sentence_transformers",
    "semantic_embedders",
]

SEMANTIC_CORE_API = 1

BATCH_SIZE = 32
"""Passages per call by default, as sentence-transformers has it."""

THREADS = 1
"""Processors of one call by default: more make threads, which a process that is forked has not."""


def open_onnx(
    *,
    path: Annotated[str, "folder with model.onnx and tokenizer.json"] = "",
    pooling: Annotated[str, "mean or cls; auto: as the folder says, else mean"] = "auto",
    max_tokens: Annotated[int, "tokens the model reads at once; 0: as the folder says"] = 0,
    query_prefix: Annotated[
        str | None, "text in front of every query; not set: as the folder says"
    ] = None,
    document_prefix: Annotated[
        str | None, "text in front of every passage; not set: as the folder says"
    ] = None,
    dimensions: Annotated[int, "numbers per vector; 0: as the folder says"] = 0,
    max_chars: Annotated[
        int, "longest passage, in characters; 0: three for each token the model reads"
    ] = 0,
    batch_size: Annotated[int, "passages embedded in one call"] = BATCH_SIZE,
    threads: Annotated[int, "processors that one call uses; 0: all"] = THREADS,
) -> OnnxEmbedder:
    """Create the embedder named "onnx"; the model is not loaded yet.

    Raises ConfigError for an invalid option, and for a folder that is not there or has no model.
    """
    options = ModelOptions(
        path=path,
        pooling=pooling,
        max_tokens=max_tokens,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        dimensions=dimensions,
        max_chars=max_chars,
        batch_size=batch_size,
        threads=threads,
    ).checked("onnx")
    return OnnxEmbedder(ModelFolder.at(path), options)


def open_sentence_transformers(
    *,
    path: Annotated[str, "folder that sentence-transformers saved"] = "",
    max_tokens: Annotated[int, "tokens the model reads at once; 0: as the folder says"] = 0,
    query_prefix: Annotated[
        str | None, "text in front of every query; not set: as the folder says"
    ] = None,
    document_prefix: Annotated[
        str | None, "text in front of every passage; not set: as the folder says"
    ] = None,
    dimensions: Annotated[int, "numbers per vector; 0: as the folder says"] = 0,
    max_chars: Annotated[
        int, "longest passage, in characters; 0: three for each token the model reads"
    ] = 0,
    batch_size: Annotated[int, "passages embedded in one call"] = BATCH_SIZE,
) -> SentenceTransformersEmbedder:
    """Create the embedder named "sentence-transformers"; the model is not loaded yet.

    Raises ConfigError for an invalid option, and for a folder that is not there.
    """
    options = ModelOptions(
        path=path,
        pooling="auto",
        max_tokens=max_tokens,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        dimensions=dimensions,
        max_chars=max_chars,
        batch_size=batch_size,
        threads=THREADS,
    ).checked("sentence-transformers")
    return SentenceTransformersEmbedder(ModelFolder.at(path), options)


@hookimpl
def semantic_embedders() -> Mapping[str, Callable[..., FolderEmbedder[Any]]]:
    """Provide the embedders "onnx" and "sentence-transformers"."""
    return {"onnx": open_onnx, "sentence-transformers": open_sentence_transformers}
