"""The plugin: it is the default analyser, loads nothing heavy, and hands its languages on."""

from __future__ import annotations

import subprocess
import sys

import pytest
from semantic_core_languages import LanguagesAnalyser

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError


def test_it_is_the_default_where_it_is_installed() -> None:
    with SemanticCore(store="memory", embedder=None) as core:
        assert isinstance(core.analyser, LanguagesAnalyser)
        assert core.analyser.languages == ()
    with SemanticCore(store="memory", embedder=None, languages=["ru", "en"]) as core:
        assert core.analyser.identity == LanguagesAnalyser(["ru", "en"]).identity


def test_a_language_it_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="german"):
        SemanticCore(store="memory", embedder=None, languages=["german"])


def test_importing_it_loads_neither_numpy_nor_snowball() -> None:
    program = (
        "import sys, semantic_core_languages as plugin; plugin.open_languages(['de']);"
        "print([name for name in ('numpy', 'Stemmer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
