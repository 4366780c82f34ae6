"""The analyser keeps the contract: for texts in unknown languages, in one and in several."""

from __future__ import annotations

import pytest
from semantic_core_languages import LanguagesAnalyser

from semantic_core.testing import Check, analyser_checks


@pytest.mark.parametrize("languages", [(), ("en",), ("de", "en", "ru"), ("tr",), ("zh", "uk")])
@pytest.mark.parametrize("check", analyser_checks(), ids=str)
def test_the_analyser_keeps_the_contract(check: Check, languages: tuple[str, ...]) -> None:
    check(lambda: LanguagesAnalyser(languages))
