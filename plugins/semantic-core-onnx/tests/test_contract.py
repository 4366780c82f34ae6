"""`OnnxEmbedder` keeps the contract of an embedder, however its model pools."""

from __future__ import annotations

from pathlib import Path

import pytest
from semantic_core_onnx import open_onnx
from tiny_models import make_folder

from semantic_core.testing import Check, embedder_checks


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_onnx(check: Check, folder: Path) -> None:
    check(lambda: open_onnx(path=str(folder), batch_size=4))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("models") / "pooled", pooled=True)


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_onnx_with_a_model_that_pools_itself(check: Check, pooled: Path) -> None:
    check(lambda: open_onnx(path=str(pooled)))
