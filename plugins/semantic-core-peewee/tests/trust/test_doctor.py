"""`doctor` and `backup`: one line for each finding, everything derived is made again, and a backup
is a complete store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner
from figures import record
from samples import EVERYTHING, quick_folder
from semantic_core_peewee import ensure_schema_compatibility

from semantic_core import ChunkId, Document, Ref, SemanticCore
from semantic_core._plugins import probe
from semantic_core._plugins.probe import Probe
from semantic_core.cli import cli
from semantic_core.errors import StoreUnavailable

NAME = "index.db"
DERIVED = {
    "no slots": "delete from semantic_index_slot",
    "no segments": "delete from semantic_index_segment",
    "codes of zero": "update semantic_index_segment set slots = zeroblob(length(slots))",
    "wrong counts": "update semantic_index_vector_state set slots = slots + 1",
    "no values for filters": "delete from semantic_index_attribute",
    "a value for filters nobody has": """insert into semantic_index_attribute
        (generation, key, kind, value, document)
        select generation, 'ghost', 'text', 'x', id from semantic_index_document limit 1""",
    "no words": "delete from semantic_index_text_tail",
    "ghost words": """insert into semantic_index_text_word (generation, word, term, chunks)
        select generation, 'ghost', 1, 1 from semantic_index_text_state""",
    "words of another text": """update semantic_index_text_tail
        set terms = (select terms from semantic_index_text_tail where chunk = 2),
        crc = (select crc from semantic_index_text_tail where chunk = 2)
        where chunk = 1""",
    "no list of words": "delete from semantic_index_text_word",
}
KEPT = {
    "a passage": "update semantic_index_chunk set text = text || '!' where id = 1",
    "a document": "update semantic_index_document set text = text || '!' where id = 1",
    "a title": "update semantic_index_document set title = 'another' where id = 1",
    "a vector": "update semantic_index_chunk set vector = zeroblob(length(vector)) where id = 1",
    "what a vector is known by": """update semantic_index_chunk set fingerprint = 'another'
        where id = 1""",
}


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """A folder with a store made by the default parts."""
    with quick_folder() as folder:
        with SemanticCore(path=folder / NAME) as core:
            for number in range(6):
                text = f"# Walrus {number}\n\nA walrus on the ice, number {number}.\n"
                core.ingest(Document(Ref("notes", str(number)), text, metadata={"number": number}))
        yield folder


@pytest.fixture(autouse=True)
def few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor imports each plugin in a process of its own, which is not what is tried here."""
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "sqlite,wordllama,languages")
    monkeypatch.setattr(probe, "_probe", lambda plugin, distribution, limit: Probe(plugin, ""))


@contextmanager
def copied(sound: Path, *statements: str) -> Iterator[Path]:
    """A copy of it in a folder of its own that is the current one, after this was done to it."""
    before = os.getcwd()
    with quick_folder() as folder:
        (folder / NAME).write_bytes((sound / NAME).read_bytes())
        with closing(apsw.Connection(str(folder / NAME))) as raw:
            for sql in statements:
                raw.execute(sql).fetchall()
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def doctor(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """(exit code, the problems it found)."""
    done = CliRunner().invoke(cli, ["doctor", "--db", NAME, "--json", *arguments])
    return done.exit_code, [
        each for each in json.loads(done.stdout)["findings"] if each["status"] == "problem"
    ]


def answers(path: Path) -> object:
    """Everything a store says of itself and its content."""
    with SemanticCore(path=path) as core:
        store = core.store
        listed = list(store.documents(EVERYTHING, 0, 1_000))
        ids = [ChunkId(each.ref, place) for each in listed for place in range(each.chunks)]
        vector = core.embedder.embed_query("a walrus on the ice")
        return (
            listed,
            [store.get(each.ref) for each in listed],
            [repr(stored) for stored in store.fetch(ids)],
            store.nearest(vector, 100, EVERYTHING),
            store.words("walrus ice", 100, EVERYTHING),
            store.similarity(ids, vector).tobytes(),
            store.check(),
        )


def test_damage_to_what_is_derived_is_told_line_by_line_and_repaired(sound: Path) -> None:
    right = answers(sound / NAME)
    for name, sql in DERIVED.items():
        with copied(sound, sql):
            code, problems = doctor()
            assert code == 1 and problems, f"{name} was not found"
            for problem in problems:
                assert problem["message"] and problem["remedy"], problem
                assert "\n" not in problem["message"], problem
            # It looks again after the repair, and ends so if it finds nothing more.
            assert doctor("--repair") == (0, []), f"{name} was not repaired"
            assert answers(Path(NAME)) == right, name


def test_a_person_reads_one_line_per_problem(sound: Path) -> None:
    with copied(sound, DERIVED["no slots"], DERIVED["no words"]):
        told = " ".join(CliRunner().invoke(cli, ["doctor", "--db", NAME]).stdout.split())
        _, problems = doctor()
        assert len(problems) > 2
        for problem in problems:
            assert told.count(problem["message"]) == 1, told
        assert told.endswith(f"{len(problems)} problems found.")
        assert (
            CliRunner()
            .invoke(cli, ["doctor", "--db", NAME, "--repair"])
            .stdout.endswith("No problem found.\n")
        )


def test_damage_to_what_is_kept_is_told_and_not_repaired_away(sound: Path) -> None:
    for name, sql in KEPT.items():
        with copied(sound, sql):
            assert doctor()[0] == 1, f"{name} was not found"
            code, problems = doctor("--repair")
            assert code == 1 and problems, f"{name} was healed by forgetting it"
    record("doctor", derived=len(DERIVED), repaired=len(DERIVED), kept=len(KEPT), told=len(KEPT))


def test_a_backup_is_the_store_and_takes_its_place(sound: Path) -> None:
    with copied(sound) as folder:
        before = answers(folder / NAME)
        made = CliRunner().invoke(cli, ["backup", "copy.db", "--db", NAME])
        assert made.exit_code == 0, made.output
        assert answers(folder / "copy.db") == before
        with SemanticCore(path=folder / NAME) as core:
            core.remove(Ref("notes", "1"))
        assert answers(folder / NAME) != before
        os.replace(folder / "copy.db", folder / NAME)
        assert answers(folder / NAME) == before


def test_an_older_file_is_brought_up_by_its_own_command_and_nothing_is_made(sound: Path) -> None:
    with copied(sound) as folder:
        with closing(apsw.Connection(NAME)) as raw:
            newest = raw.pragma("user_version")
        assert ensure_schema_compatibility(NAME) == newest
        with pytest.raises(StoreUnavailable):
            ensure_schema_compatibility("another.db")
        assert sorted(file.name for file in folder.iterdir()) == [NAME]
        with SemanticCore(path=NAME) as core:
            assert core.store.check() == []
