"""The analyser "languages": full-text search in many languages, scripts and kinds of words.

Importing this package is cheap: Snowball and numpy are loaded when the first text is analysed.
Rooms: `analyser` (the terms of texts and queries), `runs` (words and identifiers), `stems`
(languages, scripts and stemmers), `characters` (classes and folding), `detection` (which language a
text is in) and `bulk` (many texts at once).

Tested by tests/test_plugin.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from semantic_core import hookimpl
from semantic_core_languages.analyser import LanguagesAnalyser

__all__ = ["LanguagesAnalyser", "open_languages", "semantic_analysers"]

SEMANTIC_CORE_API = 1


def open_languages(languages: Sequence[str] = ()) -> LanguagesAnalyser:
    """Create the analyser named "languages". Raises ConfigError for a language that is unknown."""
    return LanguagesAnalyser(languages)


@hookimpl
def semantic_analysers() -> Mapping[str, Callable[..., LanguagesAnalyser]]:
    """Provide the analyser "languages"."""
    return {"languages": open_languages}
