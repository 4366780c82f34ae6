"""The embedder "sentence-transformers": without the package it says how to get it; with it, it
gives the vectors of the package.
"""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_core_onnx import open_sentence_transformers
from tiny_models import DIMENSIONS, MAX_TOKENS, write_json, write_tokenizer

from semantic_core.errors import ConfigError, EmbedderError
from semantic_core.testing import embedder_checks

TEXTS = ["how to bake bread", "planets and moons", ""]


def test_without_the_package_it_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    embedder = open_sentence_transformers(path=str(folder))
    assert embedder.space.dimensions == DIMENSIONS
    with pytest.raises(EmbedderError, match="is not installed") as raised:
        embedder.embed_query("hello")
    assert 'pip install "semantic-core-onnx[sentence-transformers]"' in raised.value.hint


def test_a_folder_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="There is no folder") as raised:
        open_sentence_transformers(path="no/such/folder")
    assert "downloads nothing" in raised.value.hint


def test_another_file_of_the_folder_is_another_space(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    before = open_sentence_transformers(path=str(copy)).space
    (copy / "README.md").write_text("to read")
    (copy / ".cache").mkdir()
    (copy / ".cache/lock").write_text("hidden")
    assert open_sentence_transformers(path=str(copy)).space == before
    write_json(copy / "2_Normalize/config.json", {})
    assert open_sentence_transformers(path=str(copy)).space != before


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny model with random weights that the package saved, and the model itself."""
    if find_spec("sentence_transformers") is None:
        pytest.skip("sentence-transformers is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer, models
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        bert = tmp_path_factory.mktemp("models") / "bert"
        bert.mkdir()
        size = write_tokenizer(bert)
        config = BertConfig(
            vocab_size=size,
            hidden_size=DIMENSIONS,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=128,
        )
        BertModel(config).save_pretrained(bert)
        PreTrainedTokenizerFast(
            tokenizer_file=str(bert / "tokenizer.json"),
            unk_token="[UNK]",  # noqa: S106
            cls_token="[CLS]",  # noqa: S106
            sep_token="[SEP]",  # noqa: S106
            pad_token="[PAD]",  # noqa: S106
        ).save_pretrained(bert)
        transformer = models.Transformer(str(bert), max_seq_length=MAX_TOKENS)
        steps = [transformer, models.Pooling(DIMENSIONS), models.Dense(DIMENSIONS, 16)]
        model = SentenceTransformer(modules=steps, device="cpu")
        model.save(str(bert.parent / "saved"))
    return bert.parent / "saved", model


def test_vectors_are_those_of_the_package(saved: tuple[Path, Any]) -> None:
    path, model = saved
    embedder = open_sentence_transformers(path=str(path))
    assert embedder.space.dimensions == 16
    expected = model.encode(TEXTS, normalize_embeddings=True)
    assert np.abs(embedder.embed_documents(TEXTS) - expected).max() < 1e-5


@pytest.mark.parametrize(
    "check",
    # Random weights know no meaning.
    [check for check in embedder_checks() if str(check) != "near_is_near"],
    ids=str,
)
def test_it_keeps_the_contract(check: Any, saved: tuple[Path, Any]) -> None:
    check(lambda: open_sentence_transformers(path=str(saved[0])))
