"""Rotation of the file: no line is lost or torn, whoever writes and whoever renames."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from semantic_core_audit.rotation import RotatedFile

WRITER = """
import sys
from semantic_core_audit.rotation import RotatedFile

file = RotatedFile(sys.argv[1], max_bytes=2_000, backups=100)
for number in range(200):
    file.write(f"{sys.argv[2]} {number} " + "x" * 40)
"""
PROCESSES = 3


def written(folder: Path) -> list[str]:
    found: list[str] = []
    for file in folder.glob("audit.jsonl*"):
        if not file.name.endswith(".lock"):
            found += file.read_text("utf-8").splitlines()
    return found


def test_several_processes_lose_no_line_while_each_of_them_rotates(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.jsonl")
    running = []
    for number in range(PROCESSES):
        running.append(subprocess.Popen([sys.executable, "-c", WRITER, path, f"p{number}"]))
    assert [process.wait(60) for process in running] == [0] * PROCESSES
    lines = written(tmp_path)
    wanted = {f"p{process} {line}" for process in range(PROCESSES) for line in range(200)}
    assert {" ".join(line.split()[:2]) for line in lines} == wanted
    assert len(lines) == PROCESSES * 200
    sizes = [file.stat().st_size for file in tmp_path.glob("audit.jsonl*")]
    assert max(sizes) <= 2_000 and len(sizes) > 10


def test_threads_share_one_file(tmp_path: Path) -> None:
    file = RotatedFile(str(tmp_path / "audit.jsonl"), max_bytes=500, backups=100)

    def write(name: str) -> None:
        for number in range(50):
            file.write(f"{name} {number}")

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(written(tmp_path))) == 200


def test_the_oldest_file_goes(tmp_path: Path) -> None:
    file = RotatedFile(str(tmp_path / "audit.jsonl"), max_bytes=100, backups=2)
    for number in range(50):
        file.write(f"line {number}")
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock")
    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert "line 49" in written(tmp_path) and "line 0" not in written(tmp_path)


def test_a_file_that_a_log_service_moved_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = RotatedFile(str(path), max_bytes=0, backups=0)
    file.write("first")
    path.rename(tmp_path / "moved")
    file.write("second")
    path.unlink()
    file.write("third")
    file.close()
    file.write("fourth")
    assert (tmp_path / "moved").read_text() == "first\n"
    assert path.read_text() == "third\nfourth\n"


def test_without_backups_the_file_grows(tmp_path: Path) -> None:
    file = RotatedFile(str(tmp_path / "audit.jsonl"), max_bytes=10, backups=0)
    for number in range(20):
        file.write(f"line {number}")
    assert len(written(tmp_path)) == 20
