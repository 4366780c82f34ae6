"""An index without an embedder: full-text search was asked for, so no answer is degraded and no
passage is pending.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from semantic_core_peewee import SemanticIndex

from semantic_core import Document, Ref, SemanticCore
from semantic_core.cli import cli
from semantic_core.errors import ConfigError, InputError, SpaceMismatch
from semantic_core.testing import HashEmbedder

TEXTS = {"1": "A walrus sleeps on the ice.", "2": "An otter holds hands."}


def documents() -> list[Document]:
    return [Document(Ref("animals", key), text) for key, text in TEXTS.items()]


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where the index lives."""
    if request.param == "memory":
        return {"store": "memory", "plugins": []}
    return {"store": "sqlite", "path": tmp_path / "words.db", "plugins": ["sqlite"]}


@pytest.mark.parametrize("mode", ["sync", "async", "auto"])
@pytest.mark.parametrize("embedder", [None, "none"])
def test_documents_are_found_by_words_and_nothing_waits(
    place: dict[str, Any], embedder: Any, mode: Any
) -> None:
    with SemanticCore(embedder=embedder, **place) as core:
        report = core.ingest(documents(), mode=mode)
        assert (report.added, report.embedded, report.pending, report.complete) == (2, 0, 0, True)
        assert (core.ingest(documents()).unchanged, core.ingest(documents()).reused) == (2, 0)
        for asked in ("hybrid", "text"):
            found = core.search("walrus", mode=asked)
            assert [hit.ref.key for hit in found] == ["1"]
            assert (found.mode, found.degraded, found.reason) == ("text", False, "")
        # "the" is a word like any other; meaning is not looked at.
        assert len(core.search("mammals of the sea")) == 1
        assert core.stats().pending == 0 and core.embed_pending() == 0
        assert "words only" in repr(core)


def test_asking_for_meaning_says_there_is_none(place: dict[str, Any]) -> None:
    with SemanticCore(embedder=None, **place) as core:
        with pytest.raises(InputError, match="no embedder") as caught:
            core.search("walrus", mode="vector")
        assert 'mode="text"' in caught.value.hint


def test_settings_say_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "semantic-core.toml").write_text(
        'embedder = "none"\nstore = "memory"\nplugins = []\n'
    )
    monkeypatch.chdir(tmp_path)
    with SemanticCore.from_config() as core:
        core.ingest(documents())
        assert core.search("otter").mode == "text"
    with SemanticCore.from_config(embedder=HashEmbedder()) as core:
        core.ingest(documents())
        assert core.search("otter").mode == "hybrid"
    with SemanticCore.from_config(tmp_path / "semantic-core.toml", embedder="none") as core:
        assert core.search("otter").mode == "text"


def test_the_doctor_finds_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "semantic-core.toml").write_text('embedder = "none"\nplugins = ["sqlite"]\n')
    monkeypatch.chdir(tmp_path)
    with SemanticCore.from_config() as core:
        core.ingest(documents())
    answer = CliRunner().invoke(cli, ["doctor"])
    assert answer.exit_code == 0 and "full-text search only" in answer.output
    answer = CliRunner().invoke(cli, ["search", "walrus"])
    assert answer.exit_code == 0 and "walrus" in answer.output


def test_tenants_are_kept_apart_by_words_too() -> None:
    with SemanticCore(store="memory", embedder=None, multi_tenant=True, plugins=[]) as core:
        core.tenant("a").ingest(documents())
        assert (
            len(core.tenant("a").search("walrus")) == 1
            and len(core.tenant("b").search("walrus")) == 0
        )


def test_an_index_of_words_is_no_index_of_vectors_and_says_so(tmp_path: Path) -> None:
    words, vectors = tmp_path / "words.db", tmp_path / "vectors.db"
    with SemanticCore(embedder=None, path=words, plugins=["sqlite"]) as core:
        core.ingest(documents())
    with SemanticCore(embedder=HashEmbedder(), path=vectors, plugins=["sqlite"]) as core:
        core.ingest(documents())
    with pytest.raises(SpaceMismatch, match="without an embedder") as caught:
        SemanticCore(embedder=HashEmbedder(), path=words, plugins=["sqlite"])
    assert 'embedder="none"' in caught.value.hint
    with pytest.raises(SpaceMismatch, match="none is in use") as caught:
        SemanticCore(embedder=None, path=vectors, plugins=["sqlite"])
    assert "Name that embedder" in caught.value.hint
    with SemanticCore(embedder="none", path=words, plugins=["sqlite"]) as core:
        assert len(core.search("walrus")) == 1


def test_options_for_no_embedder_are_refused() -> None:
    with pytest.raises(InputError, match="no embedder"):
        SemanticCore(store="memory", embedder=None, embedder_options={"dimensions": 64}, plugins=[])


def test_a_store_that_knows_no_words_is_refused() -> None:
    class Vectors:
        """A store without `words`."""

        multi_tenant = False

        def close(self) -> None:
            """Nothing to do."""

    with pytest.raises(ConfigError, match="has no full-text search"):
        SemanticCore(store=Vectors(), embedder=None, plugins=[])  # type: ignore[arg-type]


def test_a_models_index_needs_no_embedder(tmp_path: Path) -> None:
    import peewee
    from semantic_core_peewee import init_database

    db = peewee.SqliteDatabase(tmp_path / "app.db")

    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = db

    db.create_tables([Note])
    with init_database(db, embedder="none", plugins=["sqlite"]) as core:
        Note.create(body="a walrus")
        found = Note.search("walrus")
        assert [note.body for note in found] == ["a walrus"] and (found.mode, found.degraded) == (
            "text",
            False,
        )
        assert Note.search.status().sync == "inline" and Note.search.verify().sound
        assert core.stats().pending == 0
    db.close()
