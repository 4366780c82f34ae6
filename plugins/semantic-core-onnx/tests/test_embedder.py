"""What the vectors are, and which space they are of."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_onnx import OnnxEmbedder, open_onnx
from tiny_models import DIMENSIONS, MAX_TOKENS, make_folder, write_model
from tokenizers import Tokenizer

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    InputError,
    SpaceMismatch,
    TextInvalid,
)
from semantic_core.protocols import CoversTexts, Embedder

TEXTS = ["how to bake bread", "", "\0", "planets and moons " * 100, "Где библиотека?", "日本語 😀"]
CLOSE = 1e-5


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def table_of(folder: Path) -> Any:
    """The vectors of the tokens, as the graph holds them."""
    import onnx
    from onnx import numpy_helper

    (table,) = onnx.load(str(folder / "model.onnx")).graph.initializer
    return numpy_helper.to_array(table)


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def test_it_is_an_embedder_that_tells_what_it_covers(embedder: OnnxEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, CoversTexts)
    assert embedder.is_local and embedder.languages == frozenset()
    assert embedder.max_chars == 3 * MAX_TOKENS


def test_a_vector_is_the_mean_of_the_tokens(folder: Path, embedder: OnnxEmbedder) -> None:
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("how to bake bread").ids
    expected = unit(table_of(folder)[tokens].mean(axis=0))
    assert np.abs(embedder.embed_query("how to bake bread") - expected).max() < CLOSE


def test_with_cls_it_is_that_of_the_first_token(folder: Path) -> None:
    embedder = open_onnx(path=str(folder), pooling="cls")
    expected = unit(table_of(folder)[1])
    for text in ("bread", "planets and moons"):
        assert np.abs(embedder.embed_query(text) - expected).max() < CLOSE
    assert embedder.space.settings["pooling"] == "cls"


def test_a_long_text_is_the_mean_of_its_windows(folder: Path, embedder: OnnxEmbedder) -> None:
    text = "planets and moons " * 60 + "bread"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    whole = tokenizer.encode(text)
    windows = [whole.ids, *(each.ids for each in whole.overflowing)]
    assert len(windows) > 2
    means = [len(ids) * unit(table_of(folder)[ids].mean(axis=0)) for ids in windows]
    assert np.abs(embedder.embed_query(text) - unit(sum(means))).max() < CLOSE


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=30) | st.sampled_from(TEXTS), max_size=7))
def test_a_batch_gives_the_vectors_of_its_texts_alone_in_order(
    embedder: OnnxEmbedder, texts: list[str]
) -> None:
    batch = embedder.embed_documents(texts)
    assert (batch.shape, batch.dtype) == ((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(batch, texts, strict=True):
        assert np.abs(row - embedder.embed_query(text)).max() < CLOSE


def test_what_is_no_text_is_refused(embedder: OnnxEmbedder) -> None:
    with pytest.raises(InputError, match="got one str"):
        embedder.embed_documents("hello")
    with pytest.raises(TextInvalid, match="surrogate"):
        embedder.embed_query("a \ud800 b")
    with pytest.raises(TextInvalid, match="must be a str, got int"):
        embedder.embed_documents(["a", 1])  # type: ignore[list-item]


def test_another_model_tokenizer_or_setting_is_another_space(copy: Path, folder: Path) -> None:
    path = str(copy)
    assert open_onnx(path=path).space == open_onnx(path=str(folder)).space
    assert open_onnx(path=path, max_chars=99, batch_size=1, threads=1).space == (
        open_onnx(path=path).space
    )
    spaces = [
        open_onnx(path=path).space,
        open_onnx(path=path, pooling="cls").space,
        open_onnx(path=path, max_tokens=32).space,
        open_onnx(path=path, query_prefix="q: ").space,
        open_onnx(path=path, document_prefix="q: ").space,
    ]
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text("utf-8") + "\n", "utf-8")
    spaces.append(open_onnx(path=path).space)
    write_model(copy / "model.onnx", 600, seed=1)
    spaces.append(open_onnx(path=path).space)
    (copy / "model.onnx_data").write_bytes(b"weights beside the model")
    spaces.append(open_onnx(path=path).space)
    assert len(set(spaces)) == len(spaces)
    assert {space.model for space in spaces} == {folder.name}


def test_an_index_refuses_another_model_of_the_same_name(copy: Path, tmp_path: Path) -> None:
    def opened() -> SemanticCore:
        return SemanticCore(
            path=tmp_path / "index.db", embedder="onnx", embedder_options={"path": str(copy)}
        )

    with opened() as core:
        core.ingest(Document(Ref("notes", "1"), "how to bake bread"))
        assert core.search("bread", mode="vector").hits[0].ref.key == "1"
    write_model(copy / "model.onnx", 600, seed=1)
    with pytest.raises(SpaceMismatch):
        opened()


def test_a_space_loads_no_model(folder: Path, run_python: Callable[..., Any]) -> None:
    code = f"""
import json, sys
from semantic_core_onnx import open_onnx
embedder = open_onnx(path={str(folder)!r})
embedder.space, embedder.max_chars, embedder.batch_size, embedder.languages
print(json.dumps(sorted({{"numpy", "onnxruntime", "tokenizers"}} & set(sys.modules))))
"""
    assert run_python(code) == []


def test_nothing_is_asked_of_the_network(folder: Path, run_python: Callable[..., Any]) -> None:
    code = f"""
import json, sys
def refuse(event, arguments):
    if event.startswith(("socket.", "http.", "urllib.", "subprocess.")):
        raise AssertionError(event)
sys.addaudithook(refuse)
from semantic_core_onnx import open_onnx
embedder = open_onnx(path={str(folder)!r})
print(json.dumps(len(embedder.embed_documents(["hello", "world"]))))
"""
    assert run_python(code) == 2


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_is_none_is_told_when_it_is_loaded(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"nonsense")
    if name == "tokenizer.json":
        with pytest.raises(ConfigError, match="cannot be read"):
            open_onnx(path=str(copy))
        return
    embedder = open_onnx(path=str(copy))
    with pytest.raises(EmbedderError, match="cannot be read") as raised:
        embedder.embed_query("hello")
    assert raised.value.hint and not raised.value.retryable


def test_a_model_that_wants_more_is_refused_by_the_names_of_its_inputs(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "decoder", inputs=("input_ids", "position_ids"))
    with pytest.raises(EmbedderError, match="wants the inputs position_ids"):
        open_onnx(path=str(folder)).embed_query("hello")


def test_vectors_of_another_size_than_the_folder_says_are_refused(folder: Path) -> None:
    embedder = open_onnx(path=str(folder), dimensions=DIMENSIONS + 1)
    for ask in (embedder.embed_query, lambda text: embedder.embed_documents([text * 99] * 40)):
        with pytest.raises(EmbedderError, match="gave vectors of 24 numbers"):
            ask("hello")


def test_words_the_tokenizer_splits_into_letters_are_not_covered(embedder: OnnxEmbedder) -> None:
    shares = embedder.coverage(["bake bread at home", "Где находится библиотека", "", "12:30"])
    assert shares == [1.0, 0.0, 1.0, 1.0]


def test_words_the_tokenizer_does_not_know_are_not_covered(tmp_path: Path) -> None:
    from tokenizers import models, pre_tokenizers

    folder = make_folder(tmp_path / "words")
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "bread": 1}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    embedder = open_onnx(path=str(folder))
    assert embedder.coverage(["bread bread", "хлеб", "bread хлеб хлеб хлеб"]) == [1.0, 0.0, 0.5]
    assert embedder.embed_query("").shape == (DIMENSIONS,)


def test_threads_get_the_vectors_one_alone_gets(folder: Path, embedder: OnnxEmbedder) -> None:
    expected = embedder.embed_documents(TEXTS)
    shared = open_onnx(path=str(folder))
    answers: list[Any] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        answers.append(shared.embed_documents(TEXTS))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert max(np.abs(answer - expected).max() for answer in answers) < CLOSE


FORK = """
import json, os, threading, warnings
from semantic_core.errors import EmbedderError
from semantic_core_onnx import open_onnx
warnings.simplefilter("ignore", DeprecationWarning)
embedder = open_onnx(path={path!r}, threads={threads})
before = embedder.embed_query("hello").tolist()
embedder._model._lock.acquire()
child = os.fork()
if child == 0:
    threading.Timer(60, os._exit, (3,)).start()
    try:
        os._exit(0 if embedder.embed_query("hello").tolist() == before else 1)
    except EmbedderError as error:
        os._exit(7 if "Set threads to 1" in error.hint else 8)
_, status = os.waitpid(child, 0)
print(json.dumps(os.waitstatus_to_exitcode(status)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(("threads", "ends"), [(1, 0), (2, 7)])
def test_a_fork_embeds_or_says_why_it_cannot(
    folder: Path, run_python: Callable[..., Any], threads: int, ends: int
) -> None:
    assert run_python(FORK.format(path=str(folder), threads=threads)) == ends
