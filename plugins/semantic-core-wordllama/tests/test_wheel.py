"""A wheel that is not the known one is refused, with what to do."""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from semantic_core_wordllama import open_wordllama
from semantic_core_wordllama.wheel import TOKENIZER, WEIGHTS

from semantic_core.errors import EmbedderError

REAL = Path((find_spec("wordllama").submodule_search_locations or [""])[0])  # type: ignore[union-attr]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the wheel's two files, found before the real one."""
    package = tmp_path / "wordllama"
    for file in (WEIGHTS, TOKENIZER):
        (package / file.path).parent.mkdir(parents=True)
        shutil.copy(REAL / file.path, package / file.path)
    (package / "__init__.py").write_text(
        "raise AssertionError('the package itself is never imported')"
    )
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return package


def test_the_files_are_found_without_running_the_package(wheel: Path) -> None:
    assert WEIGHTS.locate() == wheel / WEIGHTS.path
    assert open_wordllama().embed_documents(["hello"]).shape == (1, 256)
    assert "wordllama" not in sys.modules


@pytest.mark.parametrize("path", [WEIGHTS.path, TOKENIZER.path])
def test_a_missing_file_is_named_with_the_command_that_brings_it(wheel: Path, path: str) -> None:
    (wheel / path).unlink()
    for ask in (
        open_wordllama().embed_query,
        lambda text: open_wordllama().embed_documents([text]),
    ):
        with pytest.raises(EmbedderError) as raised:
            ask("hello")
        assert str(wheel / path) in raised.value.message
        assert "pip install" in raised.value.hint
        assert not raised.value.retryable


def test_a_file_of_another_size_is_refused(wheel: Path) -> None:
    with (wheel / WEIGHTS.path).open("ab") as file:
        file.write(b"more")
    with pytest.raises(EmbedderError, match="16,384,096 bytes, got 16,384,100"):
        open_wordllama().embed_query("hello")


@pytest.mark.parametrize("path", [WEIGHTS.path, TOKENIZER.path])
def test_other_content_of_the_same_size_never_becomes_a_document_vector(
    wheel: Path, path: str
) -> None:
    with (wheel / path).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"???")
    with pytest.raises(EmbedderError, match="SHA-256"):
        open_wordllama().embed_documents(["hello"])


def test_a_weights_file_that_is_no_such_file_is_refused_for_a_query(wheel: Path) -> None:
    (wheel / WEIGHTS.path).write_bytes(b"\0" * WEIGHTS.size)
    with pytest.raises(EmbedderError, match="cannot be read"):
        open_wordllama().embed_query("hello")


def test_a_wheel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if "Editable" not in str(finder)]
    )
    importlib.invalidate_caches()
    with pytest.raises(EmbedderError, match="not installed") as raised:
        WEIGHTS.locate()
    assert "pip install" in raised.value.hint


def test_a_failure_is_not_remembered(wheel: Path) -> None:
    embedder = open_wordllama()
    hidden = (wheel / TOKENIZER.path).rename(wheel / "hidden.json")
    with pytest.raises(EmbedderError):
        embedder.embed_query("hello")
    hidden.rename(wheel / TOKENIZER.path)
    assert embedder.embed_query("hello").shape == (256,)
