"""The analyser of a client: which one is used, and what is said of an index made with another."""

from __future__ import annotations

from typing import Any

import pytest

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core.analysis import WordAnalyser, folded
from semantic_core.errors import AnalyserMismatch, ConfigError, HookFailed, InputError
from semantic_core.protocols import AnalysesText


class Plural(WordAnalyser):
    """Words without their last "s"; it knows one language."""

    identity = "plural-1"

    def __init__(self, languages: tuple[str, ...] = ()) -> None:
        super().__init__()
        if languages not in ((), ("en",)):
            raise ConfigError(f"It knows English, got {languages}.")

    def _term(self, word: str) -> str:
        lower = folded(word)
        return lower.removesuffix("s") or lower


class Plugin:
    """Offers it, and one that is none."""

    @hookimpl
    def semantic_analysers(self) -> dict[str, Any]:
        return {"plural": Plural, "broken": lambda languages: object()}


def opened(store: Any = "memory", **options: Any) -> SemanticCore:
    options.setdefault("plugins", [Plugin()])
    return SemanticCore(store=store, embedder=None, **options)


def filled() -> MemoryStore:
    """A store with one document, whose index was made with "plural"."""
    store = MemoryStore(opened().embedder.space)
    core = opened(store, analyser="plural")
    core.ingest(Document(Ref("notes", "1"), "Many gardens"))
    return store


def test_a_plugin_offers_an_analyser_that_store_and_query_use() -> None:
    with opened(analyser="plural", languages=["en"]) as core:
        core.ingest(Document(Ref("notes", "1"), "Many gardens"))
        assert core.search("garden")[0].ref.key == "1"
        assert core.analyser.identity == "plural-1"
        with core.in_memory() as twin:
            twin.ingest(Document(Ref("notes", "2"), "All trees"))
            assert twin.search("tree")[0].ref.key == "2"
    with opened(analyser=Plural()) as core:
        core.ingest(Document(Ref("notes", "1"), "Many gardens"))
        assert core.search("garden")[0].ref.key == "1"


def test_without_a_plugin_it_is_the_one_of_words() -> None:
    with opened() as core:
        assert isinstance(core.analyser, WordAnalyser)
        core.ingest(Document(Ref("notes", "1"), "Many Gärten"))
        assert core.search("garten")[0].ref.key == "1"
        assert not core.search("garden").hits


def test_an_index_keeps_the_analyser_it_was_made_with() -> None:
    store = filled()
    assert isinstance(store, AnalysesText) and store.text_analyser == "plural-1"
    opened(store, analyser="plural")
    for options in ({"analyser": "words"}, {}):
        with pytest.raises(AnalyserMismatch, match="'plural-1', and 'words-1'") as caught:
            opened(store, **options)
        assert "semantic-core reanalyse" in caught.value.hint
    assert store.text_analyser == "plural-1"


def test_an_index_made_with_words_stays_with_them_unless_another_one_is_chosen() -> None:
    store = MemoryStore(opened().embedder.space)
    opened(store, analyser="words").ingest(Document(Ref("notes", "1"), "Many gardens"))

    class Installed:
        @hookimpl
        def semantic_analysers(self) -> dict[str, Any]:
            return {"other": Plural}

    assert opened(store, plugins=[Installed()]).analyser.identity == "words-1"
    with pytest.raises(AnalyserMismatch):
        opened(store, plugins=[Installed()], analyser="other")


def test_reanalyse_makes_the_index_anew() -> None:
    store = filled()
    core = opened(store, analyser="words", reanalyse=True)
    assert (store.text_analyser, core.search("garden").hits) == ("words-1", ())
    assert core.search("gardens")[0].ref.key == "1"
    core = opened(store, analyser="plural", reanalyse=True)
    assert core.search("garden")[0].ref.key == "1"


def test_a_snapshot_keeps_its_analyser() -> None:
    store = filled()
    with store.snapshot():
        store.reanalyse(WordAnalyser())
        assert store.text_analyser == "plural-1"
    assert store.text_analyser == "words-1"


def test_each_alternative_of_a_query_finds() -> None:
    class Both(WordAnalyser):
        identity = "both-1"

        def query_tokens(self, text: str, language: str | None = None) -> Any:
            tokens = []
            for token in self.tokens(text):
                tokens += [token, token._replace(term=token.term + "s")]
            return tokens

    with opened(analyser=Both()) as core:
        core.ingest(
            Document(Ref("notes", "1"), "gardens here and there"),
            Document(Ref("notes", "2"), "garden here and there"),
            Document(Ref("notes", "3"), "nothing here and there"),
        )
        assert {hit.ref.key for hit in core.search("garden")} == {"1", "2"}


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InputError, match="a list of ISO codes"):
        opened(languages="en")
    with pytest.raises(InputError, match="given as an object"):
        opened(analyser=Plural(), languages=["en"])
    with pytest.raises(ConfigError, match="It knows English"):
        opened(analyser="plural", languages=["xx"])
    with pytest.raises(HookFailed, match="has no identity"):
        opened(analyser="broken")


class OwnWords(MemoryStore):
    """A store that takes no analyser."""

    use_analyser = reanalyse = None  # type: ignore[assignment]


def test_a_store_with_words_of_its_own_takes_no_analyser() -> None:
    store = OwnWords(opened().embedder.space)
    assert opened(store).search("anything").hits == ()
    # Languages are said for the embedder, too.
    assert opened(store, plugins=["languages"], languages=["en"]).languages == ("en",)
    for options in ({"analyser": "words"}, {"reanalyse": True}):
        with pytest.raises(ConfigError, match="OwnWords splits texts into words itself"):
            opened(store, plugins=["languages"], **options)
