"""``similar`` and ``complete``, and the syntax of search boxes on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semantic_core import Document, Ref, SemanticCore
from semantic_core.cli import cli
from semantic_core.cli._records import completion_json, results_json
from semantic_core.cli._render import hit_texts, summary
from semantic_core.types import Completion

NOTES = {
    "walrus.md": ("Walrus", "The walrus rests on the ice and has long tusks."),
    "seal.md": ("Seal", "A seal rests on the ice and has no tusks."),
    "loops.md": ("Loops", "Loops repeat a block of code."),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three notes, made once."""
    path = tmp_path_factory.mktemp("similar") / "index.db"
    with SemanticCore(path=path, embedder="wordllama") as core:
        for key, (title, text) in NOTES.items():
            metadata = {"sea": key != "loops.md"}
            core.ingest(Document(Ref("files", key), text, title, metadata=metadata))
    return path


def call(index: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "--db", str(index)])


def answer(index: Path, *args: str) -> Any:
    result = call(index, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def keys(found: Any) -> list[str]:
    return [hit["key"] for hit in found["hits"]]


def test_documents_like_a_document_are_shown(index: Path) -> None:
    assert keys(answer(index, "similar", "walrus.md")) == ["seal.md", "loops.md"]
    assert keys(answer(index, "similar", "files/walrus.md", "-n", "1")) == ["seal.md"]
    assert keys(answer(index, "similar", "walrus.md", "--where", "sea=false")) == ["loops.md"]
    shown = call(index, "similar", "walrus.md")
    assert "Seal" in shown.stdout
    assert "2 hits" in shown.stdout


def test_a_document_that_is_not_there_is_told(index: Path) -> None:
    result = call(index, "similar", "absent.md")
    assert result.exit_code == 2
    assert "There is no document files/absent.md" in result.stderr


def test_what_is_typed_is_completed(index: Path) -> None:
    found = answer(index, "complete", "Walrus")["completions"]
    assert found[0] == {
        "text": "Walrus",
        "kind": "title",
        "documents": 1,
        "ref": {"collection": "files", "key": "walrus.md"},
    }
    shown = call(index, "complete", "walrus")
    assert shown.exit_code == 0
    assert "Walrus" in shown.stdout
    assert call(index, "complete", "absentword").stdout == ""


def test_signs_are_read_when_asked_for(index: Path) -> None:
    found = answer(index, "search", "--syntax", "query", '"rests on" ice -long')
    assert keys(found) == ["seal.md"]
    assert found["query"] == '"rests on" ice -long'
    sea = answer(index, "search", "--syntax", "query", "--field", "sea", "code sea:true")
    assert set(keys(sea)) == {"seal.md", "walrus.md"}
    assert len(keys(answer(index, "search", '"rests on" ice'))) == 3


def test_matches_are_places_in_the_text(index: Path) -> None:
    hit = answer(index, "search", "long tusks", "-n", "1")["hits"][0]
    assert [hit["text"][start:end] for start, end in hit["matches"]] == ["long tusks"] or [
        hit["text"][start:end] for start, end in hit["matches"]
    ] == ["long", "tusks"]
    assert hit["snippet"] == hit["text"]


def test_explain_says_which_words_were_found(index: Path) -> None:
    hit = answer(index, "search", "tusks giraffe", "-n", "1", "--explain")["hits"][0]
    assert "words found: tusks" in hit["explain"]
    assert "words not found: giraffe" in hit["explain"]
    shown = call(index, "search", "tusks giraffe", "-n", "1", "--explain").stdout
    assert "words found: tusks" in shown
    assert "words not found: giraffe" in shown


def corrected(typos: Any) -> Any:
    with SemanticCore(store="memory", embedder="none") as core:
        core.ingest(Document(Ref("notes", "1"), "postgres connection"))
        return core.search("conection", typos=typos)


def test_corrections_are_told() -> None:
    suggested = corrected("suggest")
    assert results_json(suggested)["did_you_mean"] == "connection"
    assert "Did you mean “connection”?" in [str(line) for line in summary(suggested, width=80)]
    right = corrected("correct")
    assert results_json(right)["corrected"] == "connection"
    lines = [str(line) for line in summary(right, width=80)]
    assert "Searched for “connection” instead of “conection”." in lines
    marked = [line for line in hit_texts(right, width=80) if "postgres" in line.plain]
    assert [span.style for line in marked for span in line.spans] == ["bold underline"]


def test_a_completed_word_has_no_ref() -> None:
    assert completion_json(Completion("a word", "word", 2)) == {
        "text": "a word",
        "kind": "word",
        "documents": 2,
    }
