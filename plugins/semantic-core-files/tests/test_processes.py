"""The processes that read files: they end, are replaced and are used by any kind of caller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from making import PAGE, SAMPLES, pdf, report
from semantic_core_files import limits
from semantic_core_files.parts import FileSource
from semantic_core_files.processes import _BOOT as boot_of_processes
from semantic_core_files.processes import ReaderProcesses, processes, read_file
from semantic_core_files.worker import READY

from semantic_core.errors import FileUnreadable
from semantic_core.types import FileContent, Ref

PROGRAM = """
import sys
from semantic_core_files import semantic_readers
from semantic_core.types import FileContent, Ref
data = b"<p>text of a page"
(document,) = semantic_readers()[".html"](FileContent(data, "x.html", Ref("a", "b")))
print(document.text.strip())
"""


@pytest.fixture
def pool() -> Any:
    """Processes of this test only."""
    made = ReaderProcesses()
    yield made
    made.close()


def page(pool: ReaderProcesses, text: str = "text") -> str:
    return pool.read("page", FileSource(f"<p>{text}".encode(), "x.html"))[0].text


def run(command: list[str], folder: Path, **given: Any) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, **given
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_process_is_used_again(pool: ReaderProcesses) -> None:
    page(pool)
    (first,) = pool._idle
    page(pool)
    assert pool._idle == [first]
    assert first.files == 2


def test_a_process_that_was_killed_is_replaced(pool: ReaderProcesses) -> None:
    page(pool)
    os.kill(pool._idle[0].pid, signal.SIGTERM)
    for number in range(3):
        assert page(pool, f"text {number}") == f"text {number}\n"


def test_a_process_is_replaced_after_so_many_files(
    pool: ReaderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILES_PER_PROCESS", 2)
    page(pool)
    first = pool._idle[0].pid
    page(pool)
    assert pool._idle == []
    page(pool)
    assert pool._idle[0].pid != first


def test_a_process_that_is_killed_at_work_is_replaced(pool: ReaderProcesses) -> None:
    page(pool)
    (process,) = pool._idle
    slow = pdf([[f"line {number}" for number in range(40)]] * 3_000)

    def kill() -> None:
        while process.files < 2:
            time.sleep(0.001)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    (part,) = pool.read("pdf", FileSource(slow, "x.pdf"))
    killer.join()
    assert part.metadata["pages"] == 3_000
    assert pool._idle[0].pid != process.pid
    assert page(pool) == "text\n"


def test_a_file_that_ends_every_process_is_refused(
    pool: ReaderProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "selectolax.py"
    evil.write_text("import os\nos.kill(os.getpid(), 11)\n")
    boot = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{boot_of_processes}"
    monkeypatch.setattr("semantic_core_files.processes._BOOT", boot)
    with pytest.raises(FileUnreadable, match=r"ended the process that read it \(signal 11\)"):
        page(pool)
    assert pool._idle == []


def test_an_interruption_leaves_no_answer_for_the_next_file(pool: ReaderProcesses) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    page(pool)
    slow = pdf([[f"line {number}" for number in range(40)]] * 3_000)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stop):
            pool.read("pdf", FileSource(slow, "x.pdf"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert page(pool, "the next") == "the next\n"


def test_threads_share_a_few_processes(pool: ReaderProcesses) -> None:
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda number: page(pool, f"text {number}"), range(60)))
    assert found == [f"text {number}\n" for number in range(60)]
    assert 1 <= len(pool._idle) <= limits.READER_PROCESSES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_reads_with_processes_of_its_own() -> None:
    file = FileContent(report(), "bericht.pdf", Ref("a", "b"))
    wanted = read_file("pdf", file)[0].text
    parents = {process.pid for process in processes._idle}
    assert parents
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = read_file("pdf", file)[0].text
            own = {process.pid for process in processes._idle}
            os.write(sending, json.dumps([text == wanted, bool(own & parents)]).encode())
            processes.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(sending)
    with os.fdopen(receiving) as answer:
        assert json.loads(answer.read()) == [True, False]
    assert read_file("pdf", file)[0].text == wanted


def test_a_script_without_a_main_guard_reads_files(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    assert run([sys.executable, str(script)], tmp_path) == "text of a page"


def test_standard_input_and_a_shell_read_files(tmp_path: Path) -> None:
    assert run([sys.executable, "-"], tmp_path, input=PROGRAM) == "text of a page"
    assert run([sys.executable, "-c", PROGRAM], tmp_path) == "text of a page"


def test_modules_of_the_current_folder_take_no_place(tmp_path: Path) -> None:
    for name in ("json", "attrs", "selectolax", "semantic_core_files", "faulthandler"):
        (tmp_path / f"{name}.py").write_text("raise SystemError")
    (tmp_path / "elsewhere").mkdir()
    program = f"import os, semantic_core_files.processes\nos.chdir({str(tmp_path)!r})\n{PROGRAM}"
    assert run([sys.executable, "-c", program], tmp_path / "elsewhere") == "text of a page"


def test_a_thread_of_a_program_that_ends_leaves_no_process(tmp_path: Path) -> None:
    program = PROGRAM + textwrap.dedent(
        """
        from semantic_core_files.processes import processes
        print(processes._idle[0].pid)
        """
    )
    pid = int(run([sys.executable, "-W", "error", "-c", program], tmp_path).split()[-1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    program = PROGRAM + textwrap.dedent(
        """
        import os, signal
        from semantic_core_files.processes import processes
        print(processes._idle[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    pid = int(done.stdout.split()[-1])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"The process {pid} is there after the one that asked.")


def test_an_idle_process_ends_by_itself_and_is_replaced(
    pool: ReaderProcesses, tmp_path: Path
) -> None:
    program = (
        "from semantic_core_files import limits, worker\nlimits.IDLE_SECONDS = 0.1\nworker.main()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    with child:
        assert child.stdout.readline() == READY
        assert child.wait(10) == 0


def test_what_a_library_prints_disturbs_no_answer(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import json, sys
        from semantic_core_files import web_pages, worker
        original = web_pages.read
        def loud(source):
            print("noise", flush=True)
            sys.stderr.write("noise")
            return original(source)
        web_pages.read = loud
        worker.main()
        """
    )
    request = {"format": "page", "name": "x.html", "media_type": "", "size": 3, "seconds": 9}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        input=json.dumps(request).encode() + b"\n<p>",
        capture_output=True,
    )
    assert done.stdout.startswith(READY)
    length, _, answer = done.stdout.removeprefix(READY).partition(b"\n")
    assert int(length) == len(answer)
    assert "parts" in json.loads(answer)
    assert done.stderr == b""


def test_a_program_that_is_no_python_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    pool = ReaderProcesses()
    with pytest.raises(FileUnreadable, match="could not be started.*uwsgi.*no Python"):
        page(pool)
    monkeypatch.undo()
    assert page(pool) == "text\n"
    pool.close()


def test_an_embedded_python_starts_the_one_it_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    pool = ReaderProcesses()
    assert page(pool) == "text\n"
    pool.close()


def test_long_keys_leave_room_for_their_parts() -> None:
    for length in (100, 400, 480):
        ref = Ref("mail", "k" * length)
        data, _ = SAMPLES["post.eml"]
        documents = read_file("message", FileContent(data, "post.eml", ref))
        assert len({document.ref for document in documents}) == 4
        assert all(document.ref.key.startswith(ref.key) for document in documents)


def test_the_answer_is_that_of_the_page(pool: ReaderProcesses) -> None:
    (part,) = pool.read("page", FileSource(PAGE, "seite.html"))
    assert part.language == "de-DE"
    assert part.metadata["keywords"] == ["a", "b"]
