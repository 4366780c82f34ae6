"""A store that knows several forms of a word."""

from __future__ import annotations

import re

import pytest
from semantic_core_peewee import SqliteStore

from semantic_core.analysis import folded
from semantic_core.testing.stores.samples import SPACE
from semantic_core.types import Token


class Stems:
    """Cuts common English endings."""

    identity = "stems"

    def tokens(self, text, language=None):
        found = []
        for place, match in enumerate(re.finditer(r"\w+", text)):
            word = folded(match.group())
            term = re.sub("(?:al)?(?:i[sz]ation|ing|es|s|iness|y)$", "", word)
            found.append(Token(term or word, match.start(), match.end(), place))
        return found

    query_tokens = tokens


@pytest.fixture
def stemmed(tmp_path):
    store = SqliteStore(SPACE, tmp_path / "stems.db", analyser=Stems())
    yield store
    store.close()
