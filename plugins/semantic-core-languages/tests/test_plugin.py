"""The plugin: it is the default analyser, loads nothing heavy, and hands its languages on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from semantic_core_languages import LanguagesAnalyser

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import AnalyserMismatch, ConfigError


def test_it_is_the_default_where_it_is_installed() -> None:
    with SemanticCore(store="memory", embedder=None) as core:
        assert isinstance(core.analyser, LanguagesAnalyser)
        assert core.analyser.languages == ()
    with SemanticCore(store="memory", embedder=None, languages=["ru", "en"]) as core:
        assert core.analyser.identity == LanguagesAnalyser(["ru", "en"]).identity


def test_a_language_it_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="'xx'"):
        SemanticCore(store="memory", embedder=None, languages=["xx"])


def test_importing_it_loads_neither_numpy_nor_snowball() -> None:
    program = (
        "import sys, semantic_core_languages as plugin; plugin.open_languages(['de']);"
        "print([name for name in ('numpy', 'Stemmer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_an_index_is_opened_with_the_languages_it_was_made_with(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with SemanticCore(path=path, embedder=None, languages=["ru", "de"]) as core:
        core.ingest(Document(Ref("notes", "1"), "Die Kinder"))
    with SemanticCore(path=path, embedder=None) as core:
        assert core.analyser.languages == ("ru", "de")
        assert core.search("Kindern")[0].ref.key == "1"
    with pytest.raises(AnalyserMismatch, match="languages=ru,de"):
        SemanticCore(path=path, embedder=None, languages=["en"])
    with SemanticCore(path=path, embedder=None, languages=["en"], reanalyse=True) as core:
        assert not core.search("Kindern").hits
        assert core.search("Kinder")[0].ref.key == "1"


def test_an_index_made_with_words_stays_with_them(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with SemanticCore(path=path, embedder=None, analyser="words") as core:
        core.ingest(Document(Ref("notes", "1"), "gardens"))
    with SemanticCore(path=path, embedder=None) as core:
        assert core.analyser.identity == "words-1"
        assert not core.search("garden").hits
