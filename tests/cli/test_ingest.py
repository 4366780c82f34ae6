"""``ingest`` with the real store and embedder: what is added, left out and removed, and what Ctrl-C
leaves.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import answer, call

from semantic_core import SemanticCore
from semantic_core.errors import FileUnreadable


@pytest.fixture(autouse=True)
def folder(folder: Path) -> Path:
    """A folder of notes, as the working folder."""
    for name, text in {
        "notes/loops.md": "# Loops\n\nFor and while repeat a block of statements.\n",
        "notes/deep/functions.txt": "A function groups statements under a name.",
        "notes/deep/picture.png": "no text for us",
        "notes/.hidden.md": "# Hidden\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def keys(collection: str = "files") -> list[str]:
    return [
        each["key"] for each in answer("documents", "list", "--collection", collection)["documents"]
    ]


def test_files_of_a_folder_are_added_under_their_path_below_it() -> None:
    report = answer("ingest", "notes")
    assert (report["added"], report["failed"], report["complete"]) == (2, [], True)
    assert keys() == ["deep/functions.txt", "loops.md"]


def test_the_json_of_a_report_has_these_keys() -> None:
    assert set(answer("ingest", "notes")) == {
        "added", "updated", "unchanged", "removed", "failed", "complete",
        "chunks", "embedded", "reused", "pending", "timings_s", "skipped",
    }  # fmt: skip


def test_the_second_time_costs_nothing_and_a_change_only_itself(folder: Path) -> None:
    assert answer("ingest", "notes")["added"] == 2
    again = answer("ingest", "notes")
    assert (again["unchanged"], again["embedded"]) == (2, 0)
    (folder / "notes/loops.md").write_text("# Loops\n\nRecursion is another way.\n")
    changed = answer("ingest", "notes")
    assert (changed["updated"], changed["unchanged"], changed["embedded"]) == (1, 1, 1)


def test_a_person_reads_what_was_done() -> None:
    result = call("ingest", "notes")
    assert result.exit_code == 0
    assert result.stdout.startswith("Collection files: 2 added.\n2 passages: 2 embedded.\n")
    assert result.stderr == ""
    assert "2 unchanged" in call("ingest", "notes").stdout


def test_patterns_and_collection_and_single_files() -> None:
    assert (
        answer(
            "ingest", "notes", "--pattern", "*.png", "--pattern", "deep/*.txt", "--collection", "c"
        )["added"]
        == 2
    )
    assert keys("c") == ["deep/functions.txt", "deep/picture.png"]
    assert answer("ingest", "notes/loops.md", "--collection", "one")["added"] == 1
    assert keys("one") == ["loops.md"]


def test_a_file_that_cannot_be_read_is_left_out_and_said(folder: Path) -> None:
    (folder / "notes/latin.txt").write_bytes("für".encode("latin-1"))
    (folder / "notes/binary.txt").write_bytes(b"\x00\x01\x02")
    result = call("ingest", "notes")
    assert result.exit_code == 1
    assert "2 added, 2 left out" in result.stdout
    assert re.search(r"binary\.txt.*binary", result.stdout)
    assert re.search(r"latin\.txt.*UTF-8", result.stdout)
    report = answer("ingest", "notes", code=1)
    assert {failure["code"] for failure in report["failed"]} == {"FileUnreadable"}
    assert keys() == ["deep/functions.txt", "loops.md"]


def test_no_file_of_the_index_itself_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("ingest", "notes")
    index = {f"semantic-core.db{suffix}" for suffix in ("", "-wal", "-shm")}
    read: set[str] = set()
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.add(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    with SemanticCore(path="other.db") as other, SemanticCore(path="semantic-core.db") as core:
        assert other.stats().documents == 0
        index |= {f"other.db{suffix}" for suffix in ("", "-wal", "-shm")}
        assert core.stats().documents == 2  # somebody has it open, so there is a log
        for more in ((), ("--dry-run",)):
            report = answer("ingest", ".", "--pattern", "*", *more, code=1)
            left_out = {each["what"] for each in report["failed"]}
            told = str(report["failed"])
            assert index <= left_out and "of the index itself. Leave it out" in told
            assert ".." not in told
        (folder / "link.txt").symlink_to("semantic-core.db")
        for name in (*index, "link.txt"):
            with pytest.raises(FileUnreadable, match="of the index itself"):
                core.ingest_file(name)
    assert "loops.md" in read and not read & {*index, "link.txt"}


def test_a_dry_run_says_what_would_happen_and_makes_no_index(folder: Path) -> None:
    told = answer("ingest", "notes", "--dry-run")
    assert told["dry_run"] is True
    assert told["added"] == ["deep/functions.txt", "loops.md"]
    assert (told["characters"], told["estimated_chunks"]) == (95, 2)
    assert not list(folder.glob("*.db*"))


def test_a_dry_run_changes_nothing_in_an_index_that_is_there(folder: Path) -> None:
    call("ingest", "notes")
    (folder / "notes/loops.md").write_text("# Loops\n\nChanged.\n")
    (folder / "notes/new.md").write_text("# New\n")
    (folder / "notes/deep/functions.txt").unlink()
    before = answer("documents", "list")
    told = answer("ingest", "notes", "--dry-run", "--prune")
    assert (told["added"], told["updated"], told["removed"]) == (
        ["new.md"],
        ["loops.md"],
        ["deep/functions.txt"],
    )
    assert told["unchanged"] == 0
    assert answer("documents", "list") == before
    result = call("ingest", "notes", "--dry-run", "--prune")
    assert result.stdout.startswith("Dry run: nothing was written.\nAdded: 1 document\n  new.md\n")


def test_a_dry_run_sees_what_an_ingest_then_does(folder: Path) -> None:
    (folder / "notes/front.md").write_text(
        "---\ntitle: Front\ntags: [a, b]\n---\n\n# Matter\n\nText.\n"
    )
    told = answer("ingest", "notes", "--dry-run")
    report = answer("ingest", "notes")
    assert (len(told["added"]), told["estimated_chunks"]) == (report["added"], report["chunks"])
    told = answer("ingest", "notes", "--dry-run")
    assert (told["added"], told["updated"], told["unchanged"]) == ([], [], 3)


def test_prune_removes_documents_whose_files_vanished(folder: Path) -> None:
    call("ingest", "notes")
    (folder / "notes/deep/functions.txt").unlink()
    assert answer("ingest", "notes")["removed"] == 0
    assert answer("ingest", "notes", "--prune")["removed"] == 1
    assert keys() == ["loops.md"]


def test_prune_leaves_alone_what_is_there_or_came_from_elsewhere(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other/b.txt").write_text("from another folder")
    call("ingest", "notes")
    call("ingest", "notes", "--pattern", "*.png")
    call("ingest", "other")
    call("ingest", "other", "--collection", "elsewhere")
    (folder / "other/b.txt").unlink()
    (folder / "notes/deep/functions.txt").unlink()
    assert answer("ingest", "notes", "--prune")["removed"] == 1
    assert keys() == ["b.txt", "deep/picture.png", "loops.md"]
    assert keys("elsewhere") == ["b.txt"]


def test_two_files_that_would_be_one_document_are_refused(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more/loops.md").write_text("# Other loops\n")
    result = call("ingest", "notes", "more")
    assert result.exit_code == 2
    assert "'loops.md'" in result.stderr
    assert not list(folder.glob("*.db*"))


def test_an_index_whose_first_documents_have_a_tenant_keeps_tenants_apart() -> None:
    assert answer("ingest", "notes", "--tenant", "acme")["added"] == 2
    assert answer("ingest", "notes/loops.md", "--tenant", "other")["added"] == 1
    assert len(answer("documents", "list", "--tenant", "acme")["documents"]) == 2
    hits = answer("search", "function groups statements", "--tenant", "other")["hits"]
    assert [(hit["tenant"], hit["key"]) for hit in hits] == [("other", "loops.md")]
    assert answer("stats")["documents"] == 3
    assert answer("stats", "--tenant", "other")["documents"] == 1
    refused = call("search", "function")
    assert refused.exit_code == 2
    assert "--tenant" in refused.stderr
    assert answer("ingest", "notes", "--tenant", "acme", "--prune")["unchanged"] == 2


def test_a_tenant_in_an_index_without_tenants_is_refused() -> None:
    call("ingest", "notes")
    for args in (["search", "function"], ["ingest", "notes"], ["stats"], ["documents", "list"]):
        refused = call(*args, "--tenant", "acme")
        assert refused.exit_code == 2
        assert refused.stderr.startswith("error: ")
        assert "hint: Omit --tenant" in refused.stderr


@pytest.mark.parametrize(
    ("setting", "args", "code"),
    [("true", [], "TenantRequired"), ("false", ["--tenant", "a"], "TenantRefused")],
)
def test_a_new_index_of_the_other_kind_is_not_even_made(
    folder: Path, setting: str, args: list[str], code: str
) -> None:
    (folder / "semantic-core.toml").write_text(f"multi_tenant = {setting}\n")
    assert answer("ingest", "notes", *args, code=2)["error"]["code"] == code
    assert not list(folder.glob("*.db*"))


@pytest.mark.slow
def test_an_interrupted_ingest_keeps_what_was_finished_and_goes_on_from_there(folder: Path) -> None:
    big = folder / "big"
    big.mkdir()
    for number in range(300):
        (big / f"{number:04}.txt").write_text(
            f"Note {number}.\n\n" + f"Paragraph about topic {number}. " * 120
        )
    program = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background\n"
        "import semantic_core._ingest as flow\n"
        "report = flow.Ingest._report_progress\n"
        "def interrupted(self):\n"
        "    report(self)\n"
        "    if self._documents > len(self._held) and not flow.told:\n"
        "        flow.told = True\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "flow.told, flow.GROUP_CHUNKS, flow.Ingest._report_progress = False, 64, interrupted\n"
        "from semantic_core.cli import main\n"
        "main()\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, "ingest", "big"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 130, process.stderr
    assert "Traceback" not in process.stderr
    told = re.search(r"Interrupted: ([\d,]+) of 300 files are in the index\.", process.stderr)
    assert told, process.stderr
    kept = int(told[1].replace(",", ""))
    assert 0 < kept < 300
    assert answer("stats")["documents"] == kept
    report = answer("ingest", "big")
    assert (report["added"], report["unchanged"], report["failed"]) == (300 - kept, kept, [])
    stats = answer("stats")
    assert (stats["documents"], stats["pending"]) == (300, 0)
    assert answer("ingest", "big")["unchanged"] == 300


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.01, 0.04, 0.08, 0.12, 0.2])
def test_ctrl_c_at_any_moment_leaves_an_index_that_is_whole(folder: Path, after: float) -> None:
    big = folder / "big"
    big.mkdir()
    for number in range(400):
        (big / f"{number:04}.txt").write_text(
            "".join(f"Topic {number}, sentence {each}. " for each in range(250))
        )
    program = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background\n"
        "import semantic_core._ingest as flow\n"
        "signal.signal(signal.SIGPROF, signal.default_int_handler)\n"
        "run = flow.Ingest.run\n"
        "def timed(self, *args):\n"
        f"    signal.setitimer(signal.ITIMER_PROF, {after})  # of processor time: load moves "
        "nothing\n"
        "    return run(self, *args)\n"
        "flow.Ingest.run = timed\n"
        "from semantic_core.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "ingest", "big"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 130, done
    assert "Traceback" not in done.stderr
    kept = answer("stats")["documents"]
    report = answer("ingest", "big")
    assert (report["added"], report["unchanged"]) == (400 - kept, kept)
    stats = answer("stats")
    assert (stats["documents"], stats["pending"]) == (400, 0)
    assert answer("doctor")["healthy"] is True
