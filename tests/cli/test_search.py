"""``search``, ``documents`` and ``stats`` with the real store and embedder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from semantic_core.cli import cli

HIT_KEYS = {
    "tenant", "collection", "key", "position", "title", "headings", "text", "start", "end", "score",
    "ranks", "metadata", "matches", "snippet",
}  # fmt: skip
LOOPS = """---
lang: en
year: 2021
tags: [python, beginner]
---

# Control flow

## Loops

For and while repeat a block of statements. Repeating something a fixed number of times is what for is made for.

## Choices

If decides between two blocks.

## Functions

A function groups statements under a name, to be called again.
"""  # noqa: E501
COOKING = """---
lang: de
year: 2019
---

# Kochen

Zwiebeln in Butter dünsten, bis sie glasig sind.
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two notes and a plain text, made once."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "notes").mkdir()
    (folder / "notes/loops.md").write_text(LOOPS, "utf-8")
    (folder / "notes/kochen.md").write_text(COOKING, "utf-8")
    (folder / "notes/plain.txt").write_text(
        "Statements about nothing in particular. \x1b[31mRed\x1b[0m text.", "utf-8"
    )
    result = CliRunner().invoke(
        cli, ["ingest", str(folder / "notes"), "--db", str(folder / "index.db")]
    )
    assert result.exit_code == 0, result.output
    return folder / "index.db"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file of anybody takes part."""
    monkeypatch.chdir(tmp_path)
    yield


def call(index: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "--db", str(index)])


def answer(index: Path, *args: str, code: int = 0) -> Any:
    result = call(index, *args, "--json")
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_the_right_passage_comes_first(index: Path) -> None:
    found = answer(index, "search", "how to repeat something")
    assert found["hits"][0]["key"] == "loops.md"
    assert "For and while repeat" in found["hits"][0]["text"]


def test_the_json_of_a_search_has_exactly_these_keys(index: Path) -> None:
    found = answer(index, "search", "how to repeat something", "-n", "2")
    assert set(found) == {"query", "mode", "degraded", "timings_ms", "hits"}
    assert (found["query"], found["mode"], found["degraded"]) == (
        "how to repeat something",
        "hybrid",
        False,
    )
    assert found["timings_ms"]["total"] > 0
    assert len(found["hits"]) == 2
    for hit in found["hits"]:
        assert set(hit) == HIT_KEYS
    explained = answer(index, "search", "how to repeat something", "--explain")
    assert set(explained["hits"][0]) == HIT_KEYS | {"scores", "parts", "explain"}
    assert set(explained["hits"][0]["scores"]) == set(explained["hits"][0]["ranks"])


def test_offsets_count_characters_of_the_document(index: Path) -> None:
    text = answer(index, "documents", "show", "loops.md")["text"]
    for hit in answer(index, "search", "statements", "--chunks")["hits"]:
        if hit["key"] == "loops.md":
            assert text[hit["start"] : hit["end"]] == hit["text"]


def test_a_person_reads_title_headings_passage_and_place(index: Path) -> None:
    result = call(index, "search", "how to repeat something", "-n", "1")
    assert result.exit_code == 0
    assert "Control flow" in result.stdout
    assert "For and while repeat a block" in result.stdout
    assert "files/loops.md · characters " in result.stdout
    assert "vector #" in result.stdout
    assert "words #" in result.stdout
    assert "1 hit · hybrid search · " in result.stdout.splitlines()[-1]
    assert "\x1b" not in result.stdout


def test_hits_below_the_least_score_are_left_out(index: Path) -> None:
    everything = answer(index, "search", "repeat statements")["hits"]
    least = everything[0]["score"] - 0.001
    kept = answer(index, "search", "repeat statements", "--min-score", str(least))["hits"]
    assert [hit["key"] for hit in kept] == [everything[0]["key"]]
    nothing = call(index, "search", "quantum chromodynamics", "--min-score", "0.9")
    assert "Try a lower --min-score." in nothing.stdout
    assert call(index, "search", "x", "--min-score", "2").exit_code == 2


def test_explain_shows_what_each_step_of_the_ranking_added(index: Path) -> None:
    shown = call(index, "search", "how to repeat something", "--explain").stdout
    assert "ranking: vector +" in shown
    assert "feedback" in shown
    assert "fuse by" in shown
    assert "fuse by" not in call(index, "search", "how to repeat something").stdout
    explained = answer(index, "search", "how to repeat something", "--explain")
    assert {"vector", "words"} <= set(explained["hits"][0]["parts"])


def test_several_words_need_no_quotes(index: Path) -> None:
    assert answer(index, "search", "how", "to", "repeat")["query"] == "how to repeat"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["lang=en"], {"loops.md"}),
        (["lang!=en"], {"kochen.md", "plain.txt"}),
        (["year>=2020"], {"loops.md"}),
        (["year<2020"], {"kochen.md"}),
        (["year>2018", "year<=2021"], {"loops.md", "kochen.md"}),
        (["year=2021"], {"loops.md"}),
        (["tags=beginner"], {"loops.md"}),
        (["tags=beginner", "tags=python"], {"loops.md"}),
        (["tags=beginner", "lang=de"], set()),
    ],
)
def test_where_narrows_search_and_list(
    index: Path, conditions: list[str], expected: set[str]
) -> None:
    options = [part for condition in conditions for part in ("--where", condition)]
    found = answer(index, "search", "statements blocks butter", *options)
    assert {hit["key"] for hit in found["hits"]} == expected
    listed = answer(index, "documents", "list", *options)
    assert {each["key"] for each in listed["documents"]} == expected


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_the_mode_used_is_the_mode_asked_for(index: Path, mode: str) -> None:
    found = answer(index, "search", "repeat a block", "--mode", mode)
    assert found["mode"] == mode
    found_by = {name for hit in found["hits"] for name in hit["ranks"]}
    wanted = {"vector": {"vector"}, "text": {"words"}, "hybrid": {"vector", "words"}}
    assert found_by == wanted[mode]


def test_chunks_gives_every_passage_and_documents_the_best(index: Path) -> None:
    chunks = [
        (hit["key"], hit["position"])
        for hit in answer(index, "search", "statements", "--chunks", "-n", "50")["hits"]
    ]
    documents = [hit["key"] for hit in answer(index, "search", "statements", "-n", "50")["hits"]]
    assert len(chunks) == len(set(chunks)) > len(documents) == len(set(documents)) == 3


def test_offset_and_limit_cut_one_list(index: Path) -> None:
    whole = [hit["key"] for hit in answer(index, "search", "statements")["hits"]]
    assert [
        hit["key"]
        for hit in answer(index, "search", "statements", "-n", "1", "--offset", "1")["hits"]
    ] == whole[1:2]
    assert call(index, "search", "statements", "--offset", "1").stdout.startswith("2. ")


def test_context_gives_the_neighbours(index: Path) -> None:
    found = answer(index, "search", "if decides between two blocks", "-n", "1", "--context", "1")
    context = found["hits"][0]["context"]
    place = found["hits"][0]["position"]
    assert [each["position"] for each in context["before"]] == ([place - 1] if place else [])
    assert all(each["position"] == place + 1 for each in context["after"])
    shown = call(
        index, "search", "if decides between two blocks", "-n", "1", "--context", "3"
    ).stdout
    assert (
        shown.index("For and while") < shown.index("If decides") < shown.index("A function groups")
    )


def test_nothing_found_is_said_in_words_with_a_suggestion_and_is_no_error(index: Path) -> None:
    result = call(index, "search", "butter", "--where", "lang=fr")
    assert result.exit_code == 0
    assert result.stdout.startswith("Nothing found for “butter”. Try without --where")
    assert answer(index, "search", "butter", "--where", "lang=fr")["hits"] == []
    beyond = call(index, "search", "butter", "--offset", "500")
    assert (beyond.exit_code, "--offset" in beyond.stdout) == (0, True)
    unknown = call(index, "search", "xyzzyplugh", "--mode", "text")
    assert (unknown.exit_code, "--mode hybrid" in unknown.stdout) == (0, True)


def test_control_characters_of_a_document_are_shown_not_sent(index: Path) -> None:
    for args in (["search", "red text in particular"], ["documents", "show", "plain.txt"]):
        shown = call(index, *args).stdout
        assert "␛[31mRed" in shown
        assert "\x1b" not in shown


def test_documents_are_listed_in_order_with_their_total(index: Path) -> None:
    listed = answer(index, "documents", "list", "-n", "2", "--offset", "1")
    assert (listed["total"], listed["offset"]) == (3, 1)
    assert [each["key"] for each in listed["documents"]] == ["loops.md", "plain.txt"]
    assert listed["documents"][0]["metadata"]["tags"] == ["python", "beginner"]
    shown = call(index, "documents", "list", "-n", "2")
    assert "files/kochen.md" in shown.stdout
    assert "3 documents in all" in shown.stderr


def test_a_document_is_shown_with_what_is_known_of_it(index: Path) -> None:
    shown = call(index, "documents", "show", "loops.md").stdout
    assert "title         Control flow" in shown
    assert "lang          en" in shown
    assert "For and while repeat a block of statements." in shown
    assert answer(index, "documents", "show", "loops.md")["text"] == LOOPS
    assert answer(index, "documents", "show", "files/loops.md")["text"] == LOOPS, (
        "as list prints it"
    )


def test_a_document_that_is_not_there_is_bad_input(index: Path) -> None:
    result = call(index, "documents", "show", "nothing.md")
    assert result.exit_code == 2
    assert (
        result.stderr.splitlines()[0]
        == "error: There is no document 'nothing.md' in collection 'files'."
    )


def test_deleted_documents_are_gone_and_missing_ones_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alpha text")
    (tmp_path / "b.txt").write_text("beta text")
    index = tmp_path / "index.db"
    call(index, "ingest", str(tmp_path))
    assert answer(index, "documents", "delete", "a.txt", "nothing.txt", code=1) == {
        "removed": 1,
        "missing": ["nothing.txt"],
    }
    assert [hit["key"] for hit in answer(index, "search", "alpha text")["hits"]] == ["b.txt"]
    result = call(index, "documents", "delete", "b.txt")
    assert (result.exit_code, result.stdout) == (0, "Removed 1 document.\n")


def test_an_empty_index_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alpha text")
    index = tmp_path / "index.db"
    call(index, "ingest", str(tmp_path))
    call(index, "documents", "delete", "a.txt")
    assert "semantic-core ingest" in call(index, "search", "anything").stdout
    assert answer(index, "documents", "list") == {"total": 0, "offset": 0, "documents": []}


def test_stats_count_documents_passages_and_the_space(index: Path) -> None:
    counts = answer(index, "stats")
    assert (counts["documents"], counts["collections"], counts["pending"]) == (3, {"files": 3}, 0)
    assert counts["space"]["dimensions"] > 0
    assert counts["bytes"] > 0
    shown = call(index, "stats").stdout
    assert "documents     3\n" in shown
    assert counts["space"]["model"] in shown
