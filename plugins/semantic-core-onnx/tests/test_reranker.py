"""A cross-encoder reads the query and each passage together, and orders hits by what it finds."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_core_onnx.reranker import NAME, OnnxReranker, open_reranker
from semantic_core_onnx.runtime import PairScores
from tiny_models import MAX_TOKENS, make_pair_folder, write_pair_model

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import ConfigError, EmbedderError
from semantic_core.testing import HashEmbedder
from semantic_core.testing.embedder import TEXTS
from semantic_core.testing.reranker import reranker_checks


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pair_folder(tmp_path_factory.mktemp("models") / "pairs")


def opened(folder: Path) -> PairScores:
    return PairScores(
        folder / "model.onnx",
        folder / "tokenizer.json",
        max_tokens=MAX_TOKENS,
        batch_size=3,
        threads=1,
    )


@pytest.mark.parametrize("check", reranker_checks(), ids=str)
def test_it_follows_the_rules_of_rerankers(check: Any, pairs: Path) -> None:
    check(lambda: OnnxReranker(str(pairs)))


def test_without_a_folder_it_takes_part_in_nothing() -> None:
    assert open_reranker() is None
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[open_reranker])
    assert not core._plugins.reranks
    core.ingest([Document(Ref("notes", "1"), TEXTS[0])])
    assert "rerank" not in core.search(TEXTS[0]).timings


def test_a_pair_has_the_same_score_alone_and_beside_longer_ones(pairs: Path) -> None:
    model = opened(pairs)
    passages = [*TEXTS[:7], "word " * 500, "a"]
    together = model.scores("how beans climb", passages)
    for passage, score in zip(passages, together, strict=True):
        alone = model.scores("how beans climb", [passage])
        np.testing.assert_allclose(alone, [score], rtol=1e-4, atol=1e-5)


def test_question_and_passage_are_told_apart(pairs: Path) -> None:
    model = opened(pairs)
    same = model.scores(TEXTS[0], [TEXTS[0]])[0]
    others = model.scores(TEXTS[0], TEXTS[1:6])
    assert same > others.max()


def test_options_without_a_folder_are_refused() -> None:
    with pytest.raises(ConfigError, match="path is not set") as refused:
        open_reranker(batch_size=8)
    assert "hf download" in refused.value.hint


def searched(folder: Path | None, **options: Any) -> SemanticCore:
    plugins = [] if folder is None else [OnnxReranker(str(folder), **options)]
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=plugins)
    for number, text in enumerate(TEXTS[:8]):
        core.ingest([Document(Ref("notes", str(number)), text)])
    return core


def test_hits_are_ordered_by_what_the_model_finds_and_say_so(pairs: Path) -> None:
    found = searched(pairs).search(TEXTS[0]).hits
    relevance = [hit.parts[NAME] for hit in found]
    assert len(found) > 2
    assert relevance == sorted(relevance, reverse=True)
    assert all(0 < value < 1 for value in relevance)
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    plain = searched(None).search(TEXTS[0]).hits
    assert {hit.id for hit in plain} == {hit.id for hit in found}
    assert NAME not in plain[0].parts


def test_hits_in_the_order_of_a_field_are_left_alone(pairs: Path) -> None:
    found = searched(pairs).search(TEXTS[0], order_by="updated_at").hits
    assert found
    assert all(NAME not in hit.parts for hit in found)


def test_a_model_that_gives_no_single_score_degrades_the_search(tmp_path: Path) -> None:
    folder = make_pair_folder(tmp_path / "two", labels=2)
    answer = searched(folder).search(TEXTS[0])
    assert answer.hits
    assert answer.degraded
    assert "one score for each of" in answer.reason


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no folder") as none:
        OnnxReranker(str(tmp_path / "nothing"))
    assert "cross-encoder" in none.value.hint
    with pytest.raises(ConfigError, match=r"There is no model\.onnx"):
        OnnxReranker(str(tmp_path))


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"max_tokens": -1}, {"threads": True}, {"max_tokens": "8"}]
)
def test_an_option_it_cannot_work_with_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="onnx-reranker: .* must be an int of at least"):
        OnnxReranker("anywhere", **options)


def test_a_broken_model_is_told_with_its_file(pairs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tokenizer.json").write_bytes((pairs / "tokenizer.json").read_bytes())
    write_pair_model(broken / "model.onnx", 10)
    (broken / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EmbedderError, match="cannot be read as an ONNX model"):
        opened(broken)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_with_several_threads_a_forked_process_is_told(pairs: Path) -> None:
    core = searched(pairs, threads=2)
    assert core.search(TEXTS[0]).hits
    child = os.fork()
    if child == 0:
        answer = core.search(TEXTS[0])
        os._exit(0 if answer.degraded and "forked" in answer.reason else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_installed_distribution_announces_it() -> None:
    found = [point.value for point in entry_points(group="semantic_core", name=NAME)]
    if not found:
        pytest.skip("run from the source tree, the distribution is not installed")
    assert found == ["semantic_core_onnx.reranker:open_reranker"]
