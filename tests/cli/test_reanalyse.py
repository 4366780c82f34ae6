"""``semantic-core reanalyse``, and what is said where an index was made with another analyser."""

from __future__ import annotations

import pytest
from commands import answer, call

from semantic_core import SemanticCore


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "memory")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")


def test_it_says_how_many_passages_were_analysed_and_with_what(memory: None) -> None:
    with SemanticCore.from_config() as core:
        identity = core.analyser.identity
    assert answer("reanalyse") == {"analyser": identity, "passages": 0}
    said = " ".join(call("reanalyse").stdout.split())
    assert said == f"Analysed 0 passages with {identity}."
