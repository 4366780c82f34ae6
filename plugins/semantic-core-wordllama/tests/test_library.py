"""The vectors are those of the WordLlama library,
given the text in lower case and with single spaces.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_core_wordllama import WordLlamaEmbedder, open_wordllama

TEXTS = [
    "For and while repeat a block.",
    "  two  spaces,\ttabs\nand lines\r\n\r\n",
    "def __init__(self) -> None:\n    self.x² = {'a': 1}",
    "Где находится библиотека? 図書館 😀 \0 café",
    "THE BOUNDARY LAYER ON A FLAT PLATE",
    "tags <s>struck</s> and <unk> and ▁ marks",
    "a longer text, all of it read. " * 200,
]


@pytest.fixture(scope="module")
def library() -> Iterator[Any]:
    """The real thing. Its import sets up logging for the process: that is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wordllama

        folder = Path(wordllama.__file__).parent
        yield {
            size: wordllama.WordLlama.load(
                cache_dir=folder, disable_download=True, trunc_dim=None if size == 256 else size
            )
            for size in (256, 128, 64)
        }
    root.handlers[:] = handlers
    root.setLevel(level)


def prepared(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.mark.parametrize("dimensions", [256, 128, 64])
def test_vectors_equal_those_of_the_library(library: Any, dimensions: int) -> None:
    expected = library[dimensions].embed([prepared(text) for text in TEXTS], norm=True)
    assert (
        np.abs(open_wordllama(dimensions=dimensions).embed_documents(TEXTS) - expected).max() < 1e-5
    )


@given(text=st.text(max_size=60).filter(prepared))
def test_vectors_equal_those_of_the_library_for_any_text(
    library: Any, embedder: WordLlamaEmbedder, text: str
) -> None:
    expected = library[256].embed([prepared(text)], norm=True)[0]
    assert np.abs(embedder.embed_query(text) - expected).max() < 1e-5
