"""The audit log: a line for each search and change, with what was asked for and no more."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from semantic_core_audit import AuditLog
from semantic_core_audit.log import KINDS, MOST_CHARS

from semantic_core import Document, Ref, SemanticCore
from semantic_core.errors import AccessRefused, ConfigError
from semantic_core.events import Event
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder


def opened(audit: AuditLog, *more: Any, **options: Any) -> SemanticCore:
    return SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[audit, *more], **options)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def note(key: str, text: str = "beans", tenant: str = "") -> Document:
    return Document(Ref("notes", key, tenant), text)


def test_every_event_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    core = opened(AuditLog(path=str(path)))
    core.ingest(note("1"), note("2"))
    core.ingest(note("1", "peas"))
    core.search("beans", limit=1, context={"user": "ann", "token": "s3cret"})
    core.remove(Ref("notes", "2"))
    found = lines(path)
    assert [line["event"] for line in found] == [
        "Written",
        "Embedded",
        "Written",
        "Embedded",
        "Searched",
        "Removed",
    ]
    assert found[0]["added"] == [
        {"collection": "notes", "key": "1"},
        {"collection": "notes", "key": "2"},
    ]
    assert found[2]["updated"] == [{"collection": "notes", "key": "1"}]
    searched = found[4]
    assert searched["query"] == "beans" and searched["context"] == {"user": "ann"}
    assert searched["hits"] == [{"collection": "notes", "key": "2", "position": 0}]
    assert searched["mode"] == "hybrid" and searched["milliseconds"] > 0
    assert found[5]["refs"] == [{"collection": "notes", "key": "2"}]
    assert "s3cret" not in path.read_text("utf-8")
    assert all(line["at"].endswith("+00:00") for line in found)
    assert set(KINDS.values()) == set(Event.__args__)


def test_a_refused_search_is_in_it_with_its_reason_and_a_tenant_with_its_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    core = opened(AuditLog(path=path), Permissions(), multi_tenant=True)  # type: ignore[arg-type]
    core.tenant("acme").ingest(note("1"))
    with pytest.raises(AccessRefused):
        core.tenant("acme").search("beans")
    assert lines(path)[0]["added"][0]["tenant"] == "acme"
    failed = lines(path)[-1]
    assert (failed["event"], failed["step"], failed["code"]) == (
        "Failed",
        "search",
        "AccessRefused",
    )
    assert failed["what"] == "'beans'" and "who asks" in failed["reason"]


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path=str(path), events=["Searched", "Failed"], context=(), queries=False)
    core = opened(audit)
    core.ingest(note("1"))
    core.search("my illness", context={"user": "ann"})
    with pytest.raises(ValueError):
        core.search("my illness", mode="wrong")  # type: ignore[arg-type]
    text = path.read_text("utf-8")
    assert [line["event"] for line in lines(path)] == ["Searched", "Failed"]
    assert lines(path)[0]["query"] == "10 characters"
    assert "illness" not in text and "ann" not in text


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened(AuditLog()).ingest(note("1"))
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    opened(AuditLog(path=str(path))).ingest(note("1"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


ODD: Sequence[Any] = (
    "line\nbreak",
    "\u2028",
    "a" * 5_000,
    "😀",
    {"a": object()},
    ["x", 1],
    None,
    7,
)


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_any_context_and_query_is_one_line(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "audit.jsonl"
    core = opened(AuditLog(path=str(path), events=["Searched"]))
    core.ingest(note("1"))
    core.search(str(value) + "?", context={"user": value})
    raw = path.read_bytes()
    assert raw.count(b"\n") == 1 and raw.endswith(b"\n")
    line = json.loads(raw)
    assert len(line["query"]) <= MOST_CHARS + 1


def test_a_file_that_cannot_be_written_is_reported_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    audit = AuditLog(path=str(tmp_path / "no folder" / "audit.jsonl"))
    core = opened(audit)
    assert core.ingest(note("1")).complete
    assert len(core.search("beans")) == 1
    assert "Plugin 'AuditLog' raised in semantic_event" in caplog.text
    [error] = [info.last_error for info in core.plugins() if info.name == "AuditLog"]
    assert "No such file or directory" in error
    assert capfd.readouterr().err == ""  # nothing is printed behind the application's back


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "event": ({"events": ["Serched"]}, "no event 'Serched'"),
    "events": ({"events": [1]}, "events must be a list of names"),
    "context": ({"context": 7}, "context must be a list of names"),
    "size": ({"max_bytes": -1}, "max_bytes must be a whole number"),
    "backups": ({"backups": True}, "backups must be a whole number"),
    "queries": ({"queries": "no"}, "queries must be true or false"),
    "path": ({"path": 7}, "path of the audit log must be a path"),
}


@pytest.mark.parametrize(("options", "fault"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        AuditLog(**options)


def test_names_may_be_one_text_with_commas(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    core = opened(AuditLog(path=str(path), events="Written, Removed"))
    core.ingest(note("1"))
    core.search("beans")
    assert [line["event"] for line in lines(path)] == ["Written"]
