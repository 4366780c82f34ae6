"""What a folder says of its model, and what is missing in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from semantic_core_onnx import open_onnx
from semantic_core_onnx.folder import MAX_TOKENS, ModelFolder
from tiny_models import DIMENSIONS, write_json

from semantic_core.errors import ConfigError


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize("path", ["", "no/such/folder", "tokenizer.json"])
def test_a_folder_that_is_not_there_is_told_with_the_way_to_a_model(
    path: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as raised:
        open_onnx(path=path)
    assert path in raised.value.message
    assert "downloads nothing" in raised.value.hint and "hf download" in raised.value.hint


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_folder_without_a_model_or_a_tokenizer_is_told(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ConfigError, match=f"There is no {name} in") as raised:
        open_onnx(path=str(copy))
    assert raised.value.hint


def test_a_folder_of_sentence_transformers_alone_names_the_other_embedder(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ConfigError) as raised:
        open_onnx(path=str(copy))
    assert '"sentence-transformers"' in raised.value.hint


def test_the_model_may_be_in_the_folder_that_exporters_make(copy: Path) -> None:
    (copy / "onnx").mkdir()
    (copy / "model.onnx").rename(copy / "onnx/model.onnx")
    assert open_onnx(path=str(copy)).embed_query("bread").shape == (DIMENSIONS,)


def test_settings_are_those_of_the_folder(copy: Path) -> None:
    found = ModelFolder.at(str(copy))
    assert (found.dimensions(), found.max_tokens(), found.pooling()) == (DIMENSIONS, 64, "mean")
    write_json(copy / "1_Pooling/config.json", {"pooling_mode_cls_token": True})
    (copy / "sentence_bert_config.json").unlink()
    assert (found.dimensions(), found.max_tokens(), found.pooling()) == (DIMENSIONS, 512, "cls")
    (copy / "config.json").unlink()
    (copy / "modules.json").unlink()
    shutil.rmtree(copy / "1_Pooling")
    assert (found.dimensions(), found.max_tokens(), found.pooling()) == (None, MAX_TOKENS, "mean")
    with pytest.raises(ConfigError, match="how many numbers") as raised:
        open_onnx(path=str(copy))
    assert "dimensions" in raised.value.hint
    assert open_onnx(path=str(copy), dimensions=DIMENSIONS).embed_query("a").shape == (DIMENSIONS,)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "pooling_mode_cls_token, pooling_mode_mean_tokens",
        ),
        (
            "modules.json",
            [{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}],
            "Dense",
        ),
    ],
)
def test_steps_that_are_not_computed_are_refused(
    copy: Path, name: str, value: object, said: str
) -> None:
    write_json(copy / name, value)
    with pytest.raises(ConfigError, match=f"{said}, which this embedder does not") as raised:
        open_onnx(path=str(copy))
    assert '"sentence-transformers"' in raised.value.hint
    open_onnx(path=str(copy), pooling="mean", dimensions=DIMENSIONS)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_is_read_as_newer_versions_write_it(copy: Path, pooling: str) -> None:
    write_json(copy / "1_Pooling/config.json", {"embedding_dimension": 7, "pooling_mode": pooling})
    found = ModelFolder.at(str(copy))
    assert (found.pooling(), found.dimensions()) == (pooling, 7)


@pytest.mark.parametrize("content", ["{", "[1]", '{"hidden_size": "many"}'])
def test_a_file_that_cannot_be_read_is_named(copy: Path, content: str) -> None:
    (copy / "modules.json").unlink()
    shutil.rmtree(copy / "1_Pooling")
    (copy / "config.json").write_text(content)
    with pytest.raises(ConfigError):
        open_onnx(path=str(copy))


def test_prefixes_are_those_of_the_folder_unless_they_are_given(copy: Path) -> None:
    write_json(
        copy / "config_sentence_transformers.json",
        {"prompts": {"query": "query: ", "passage": "passage: "}},
    )
    by_folder = open_onnx(path=str(copy))
    without = open_onnx(path=str(copy), query_prefix="", document_prefix="")
    query = without.embed_query("query: bread")
    assert (by_folder.embed_query("bread") == query).all()
    passage = without.embed_documents(["passage: bread"])
    assert (by_folder.embed_documents(["bread"]) == passage).all()
    assert by_folder.space != without.space
    given = open_onnx(path=str(copy), query_prefix="passage: ", document_prefix="")
    assert (given.embed_query("bread") == passage[0]).all()
