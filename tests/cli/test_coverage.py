"""``doctor``, ``ingest`` and ``reindex`` say what the embedder does not cover; ``init`` proposes
one for the languages of the texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import answer, call
from semantic_core_use.embedder import LANGUAGES

from semantic_core import Document, Ref, SemanticCore
from semantic_core._config import read_config
from semantic_core.cli import _coverage, init
from semantic_core.cli._coverage import BEGINNING, MOST_DOCUMENTS, uncovered
from semantic_core.testing import HashEmbedder

ENGLISH = "The library is open from nine to five, and closed on Sundays."
RUSSIAN = "Библиотека открыта с девяти до пяти, а по воскресеньям закрыта."


class OfAscii(HashEmbedder):
    """Covers texts in ASCII. looked_at: all texts that it was asked about."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self) -> None:
        super().__init__()
        self.looked_at: list[str] = []

    def coverage(self, texts: list[str]) -> list[float]:
        self.looked_at += texts
        return [float(text.isascii()) for text in texts]


def opened(embedder: HashEmbedder, **options: Any) -> SemanticCore:
    return SemanticCore(store="memory", embedder=embedder, **options)


def documents(text: str, count: int, collection: str = "notes") -> list[Document]:
    return [Document(Ref(collection, f"{text[:3]}{number}"), text) for number in range(count)]


def write(folder: Path, text: str) -> None:
    (folder / "notes").mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"notes/{number}.md").write_text(f"{text} {number}", "utf-8")


@pytest.mark.parametrize(("poor", "said"), [(0, False), (1, False), (2, True), (20, True)])
def test_something_is_said_from_a_tenth_of_the_documents(poor: int, said: bool) -> None:
    with opened(OfAscii()) as core:
        core.ingest(documents(ENGLISH, 20 - poor), documents(RUSSIAN, poor))
        found = uncovered(core)
    assert (found is not None) is said
    if found is not None:
        assert f"{poor} of 20 documents looked at" in found.message
        assert 'set embedder = "use"' in found.remedy.replace("Set", "set")


def test_a_large_index_is_looked_at_in_many_places_and_no_more_than_that() -> None:
    embedder = OfAscii()
    with opened(embedder) as core:
        core.ingest(Document(Ref("notes", f"{n:04}"), f"{n} {'x' * 5_000}") for n in range(1_000))
        assert uncovered(core) is None
    looked_at = [int(text.split()[0]) for text in embedder.looked_at]
    assert MOST_DOCUMENTS * 0.9 <= len(looked_at) <= MOST_DOCUMENTS * 1.1
    assert min(looked_at) < 50 and max(looked_at) > 940
    assert max(map(len, embedder.looked_at)) <= BEGINNING


def test_only_the_collections_that_were_asked_for_are_looked_at() -> None:
    with opened(OfAscii()) as core:
        core.ingest(documents(ENGLISH, 3, "a"), documents(RUSSIAN, 3, "b"))
        assert uncovered(core, ["a"]) is None
        assert uncovered(core, ["b"]) is not None
        assert uncovered(core, []) is None


def test_texts_of_tenants_are_read_for_their_own_tenant_alone() -> None:
    embedder = OfAscii()
    with opened(embedder, multi_tenant=True) as core:
        core.tenant("ann").ingest(documents(RUSSIAN, 3))
        core.tenant("bob").ingest(documents(ENGLISH, 3))
        assert uncovered(core) is None
        assert embedder.looked_at == []
        assert uncovered(core, tenant="bob") is None
        assert set(embedder.looked_at) == {ENGLISH}
        assert uncovered(core, tenant="ann") is not None


def test_an_embedder_that_does_not_say_is_not_asked() -> None:
    with opened(HashEmbedder()) as core:
        core.ingest(documents(RUSSIAN, 3))
        assert uncovered(core) is None
    with SemanticCore(store="memory", embedder=None) as core:
        core.ingest(documents(RUSSIAN, 3))
        assert uncovered(core) is None


def test_languages_of_the_settings_are_compared_before_any_text() -> None:
    embedder = OfAscii()
    with opened(embedder, languages=["en", "de-AT", "ru"]) as core:
        found = uncovered(core)
        assert found is not None and "was not made for de, ru, but for en" in found.message
        assert embedder.looked_at == []
    with opened(OfAscii(), languages=["EN"]) as core:
        assert uncovered(core) is None
    embedder.languages = ()
    with opened(embedder, languages=["ru"]) as core:
        assert uncovered(core) is None


def test_the_remedy_names_the_command_where_the_plugin_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from semantic_core._plugins import distributions

    assert _coverage._remedy("l2_supercat_256").startswith('Set embedder = "use"')
    monkeypatch.setattr(distributions, "version_of", lambda name: "")
    assert _coverage._remedy("l2_supercat_256").startswith(
        'pip install "semantic-core-kernel[use]", set embedder = "use"'
    )
    assert "semantic-core-onnx" in _coverage._remedy("use_multilingual_3")


def test_ingest_and_doctor_say_it_once(folder: Path) -> None:
    write(folder, RUSSIAN)
    told = call("ingest", "notes")
    assert told.exit_code == 0
    assert told.stderr.count("does not cover the language of 3 of 3 documents") == 1
    assert "does not cover" not in call("ingest", "notes").stderr, "nothing was written"
    (note,) = [finding for finding in answer("doctor")["findings"] if finding["part"] == "coverage"]
    assert note["status"] == "note" and "3 of 3 documents" in note["message"]
    assert 'embedder = "use"' in note["remedy"]
    assert "do: Set embedder" in call("doctor").stdout


def test_ingest_says_it_beside_json(folder: Path) -> None:
    write(folder, RUSSIAN)
    told = call("ingest", "notes", "--json")
    assert json.loads(told.stdout)["added"] == 3
    assert "does not cover" in told.stderr


def test_nothing_is_said_of_texts_that_are_covered(folder: Path) -> None:
    write(folder, ENGLISH)
    assert "cover" not in call("ingest", "notes").output
    assert "coverage" not in call("doctor").stdout


def test_doctor_compares_the_languages_of_the_settings(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text('languages = ["en", "ru"]\n')
    write(folder, ENGLISH)
    call("ingest", "notes")
    told = call("doctor").stdout
    assert "was not made for ru, but for en" in " ".join(told.split())


@pytest.mark.parametrize(
    ("languages", "codes", "embedder"),
    [
        ("en", ["en"], "wordllama"),
        ("en,ru", ["en", "ru"], "use"),
        (" DE , fr-CA,de", ["de", "fr"], "use"),
        ("fi", ["fi"], "use"),
    ],
)
def test_init_sets_an_embedder_for_the_languages(
    folder: Path, languages: str, codes: list[str], embedder: str
) -> None:
    assert answer("init", "--languages", languages) == {
        "created": str(folder / "semantic-core.toml"),
        "languages": codes,
        "embedder": embedder,
        "install": "",
    }
    settings = read_config()
    assert (settings.values["languages"], settings.values["embedder"]) == (codes, embedder)
    told = call("init", "--force", "--languages", languages)
    assert f"Embedder for {', '.join(codes)}: {embedder}." in told.stdout
    assert told.stdout.endswith("Next: semantic-core ingest FOLDER\n")
    assert ("It was not made for fi" in " ".join(told.stderr.split())) is (codes == ["fi"])


def test_init_says_how_to_install_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semantic_core._plugins import distributions

    monkeypatch.setattr(distributions, "version_of", lambda name: "")
    told = call("init", "--languages", "ru").stdout
    assert 'Next: pip install "semantic-core-kernel[use]", then semantic-core ingest FOLDER' in told


@pytest.mark.parametrize("languages", ["", " , ", "english", "e", "12", "en,ka"])
def test_init_writes_nothing_for_what_is_no_language(folder: Path, languages: str) -> None:
    told = call("init", "--languages", languages)
    assert told.exit_code == 2 and "language" in told.stderr
    assert not (folder / "semantic-core.toml").exists()


def test_init_asks_in_a_terminal_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Languages" not in call("init", input="ru\n").output
    assert read_config().values["languages"] == []
    monkeypatch.setattr(init, "is_terminal", lambda stream: stream is sys.stdin)
    told = call("init", "--force", input="de, ru\n")
    assert "Languages of your texts" in told.stderr
    assert read_config().values["embedder"] == "use"
    assert "Languages" not in call("init", "--force", "--json", input="ru\n").stderr
    assert call("init", "--force", input="\n").exit_code == 0
    assert read_config().values["embedder"] == "wordllama", "English is the default"


def test_init_knows_the_languages_of_the_embedder() -> None:
    assert init.MULTILINGUAL == LANGUAGES
