"""The processes that read files, as the one that asks sees them: started when needed, used again,
killed when a file takes too long.

They are started as new programs and talk over pipes, so it does not matter whether the caller is
a script, a shell, a thread, a test or a fork; and what they answer is text, never code.

Tested by tests/test_processes.py.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from semantic_core import Document
from semantic_core.errors import FileUnreadable
from semantic_core.types import FileContent
from semantic_core_files import limits
from semantic_core_files.formats import CODE, read_here
from semantic_core_files.parts import FilePart, FileSource

_BOOT = """
import sys
sys.path.extend(entry for entry in sys.argv[1:] if entry not in sys.path)
try:
    from semantic_core_files.worker import main
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    raise SystemExit(3)
main()
"""
"""The path of this process comes last: no file of the current folder takes the place of a module.
"""
_READY = b"ready\n"
_LONGEST_KEY = 500
"""The longest key of a document, in characters."""
_NO_WINDOW = 0x08000000
"""Windows shows no console for such a process."""


class _Ended(Exception):
    """The process ended before it answered."""


class _Process:
    """One process that reads files, one after the other. Raises FileUnreadable if none starts."""

    def __init__(self) -> None:
        self.files = 0
        self._timed_out = False
        entries = [os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path]
        command = [_python(), "-P", "-W", "ignore", "-c", _BOOT, *entries]
        try:
            self._child = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=sys.platform != "win32",
                creationflags=_NO_WINDOW if sys.platform == "win32" else 0,
            )
        except OSError as error:
            raise _not_started(str(error)) from error
        try:
            with self._killed_after(limits.START_SECONDS):
                greeting = self._output.readline()
        except BaseException:  # an interruption, which leaves no process behind
            self.close()
            raise
        if greeting != _READY:
            self.close()
            reason = greeting.decode("utf-8", "replace").strip()
            raise _not_started(reason or "it ended at once")

    @property
    def _input(self) -> IO[bytes]:
        return _pipe(self._child.stdin)

    @property
    def _output(self) -> IO[bytes]:
        return _pipe(self._child.stdout)

    @property
    def is_alive(self) -> bool:
        """Whether it can read another file."""
        return self._child.poll() is None and self.files < limits.FILES_PER_PROCESS

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def ask(self, format_name: str, source: FileSource, seconds: float) -> dict[str, Any]:
        """The answer for one file. Raises _Ended if there is none, TimeoutError if it took too
        long.
        """
        request = {
            "format": format_name,
            "name": source.name,
            "media_type": source.media_type,
            "size": len(source.data),
            "seconds": seconds,
        }
        self.files += 1
        try:
            with self._killed_after(seconds):
                self._input.write(json.dumps(request).encode("ascii") + b"\n")
                self._input.write(source.data)
                self._input.flush()
                length = self._output.readline()
                written = self._output.read(int(length)) if length.endswith(b"\n") else b""
        except OSError:  # the pipe is closed at the other end
            length = written = b""
        if self._timed_out:
            raise TimeoutError
        if not length.endswith(b"\n") or len(written) < int(length):
            raise _Ended
        answer: dict[str, Any] = json.loads(written)
        return answer

    def close(self) -> int:
        """End the process, and return its exit code."""
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return self._child.wait()

    def ended(self) -> int:
        """The exit code of a process that has ended by itself, or is about to."""
        try:
            code = self._child.wait(1.0)
        except subprocess.TimeoutExpired:
            code = 1
        self.close()
        return code

    def forget(self) -> None:
        """Leave the process to the one that this one was forked from."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError, ValueError):
                    os.close(pipe.fileno())
        self._child.returncode = 0

    def _killed_after(self, seconds: float) -> _Deadline:
        return _Deadline(self, seconds)

    def time_out(self) -> None:
        """Kill it, because its time is up."""
        self._timed_out = True
        self._child.kill()


class _Deadline:
    """Within it, a process is killed after some seconds."""

    def __init__(self, process: _Process, seconds: float) -> None:
        self._timer = threading.Timer(seconds, process.time_out)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()


class ReaderProcesses:
    """The processes of this program, at most READER_PROCESSES at a time; any thread may use it."""

    def __init__(self) -> None:
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(limits.READER_PROCESSES)

    def read(self, format_name: str, source: FileSource) -> list[FilePart]:
        """The documents of a file. Raises FileUnreadable, also if it takes too much."""
        check_bytes(source)
        seconds = limits.SECONDS + limits.SECONDS_PER_MEGABYTE * len(source.data) / 1_000_000
        with self._turns:
            answer = self._answer(format_name, source, seconds)
        if "message" in answer:
            raise FileUnreadable(answer["message"], hint=answer["hint"])
        return [FilePart(*row) for row in answer["parts"]]

    def close(self) -> None:
        """End all processes that are idle."""
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for process in idle:
            process.close()

    def forked(self) -> None:
        """Begin anew in a process that was forked: it must not read the answers of another."""
        for process in self._idle:
            process.forget()
        self._idle = []
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(limits.READER_PROCESSES)

    def _answer(self, format_name: str, source: FileSource, seconds: float) -> dict[str, Any]:
        while True:
            process = self._taken()
            is_new = process.files == 0
            try:
                answer = process.ask(format_name, source, seconds)
            except TimeoutError as error:
                process.close()
                raise FileUnreadable(
                    f"{source.name!r} took longer than {seconds:.0f} seconds to read.",
                    hint="Split it into several files, or leave it out.",
                ) from error
            except _Ended as error:
                code = process.ended()
                if not is_new:
                    continue  # it was idle for long, or something else ended it: once more
                raise FileUnreadable(
                    f"{source.name!r} ended the process that read it ({_reason(code)}).",
                    hint="It is broken, or was made to attack readers; leave it out.",
                ) from error
            except BaseException:  # an interruption: the answer would be taken for the next one's
                process.close()
                raise
            self._give_back(process, is_usable=not answer.get("ends"))
            return answer

    def _taken(self) -> _Process:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return _Process()
            if process.is_alive:
                return process
            process.close()

    def _give_back(self, process: _Process, *, is_usable: bool) -> None:
        if not is_usable or not process.is_alive:
            process.close()
            return
        with self._lock:
            self._idle.append(process)


processes = ReaderProcesses()
atexit.register(processes.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=processes.forked)


def read_file(format_name: str, file: FileContent) -> Sequence[Document]:
    """The documents of a file. format_name: one of `formats`. Raises FileUnreadable."""
    source = FileSource(file.data, file.name, file.media_type)
    if format_name == CODE:
        check_bytes(source)
        parts = read_here(format_name, source)
    else:
        parts = processes.read(format_name, source)
    return [_document(file, part) for part in parts]


def check_bytes(source: FileSource) -> None:
    """Raise FileUnreadable if a file is too large."""
    size = len(source.data)
    if size > limits.MAX_FILE_BYTES:
        raise FileUnreadable(
            f"{source.name!r} has {size:,} bytes, the most is {limits.MAX_FILE_BYTES:,}.",
            hint="Split it into several files.",
        )


def _document(file: FileContent, part: FilePart) -> Document:
    name = part.part
    room = _LONGEST_KEY - len(file.ref.key) - 1
    if len(name) > room:
        name = sha256(name.encode("utf-8")).hexdigest()[:16]
    return file.document(
        part.text,
        part=name,
        title=part.title,
        media_type=part.media_type,
        metadata=part.metadata,
        language=part.language,
    )


def _python() -> str:
    """The interpreter for new processes: this one's, or the one it belongs to if it is embedded in
    another program. Raises FileUnreadable if there is none.
    """
    own = sys.executable or ""
    if Path(own).name.lower().startswith(("python", "pypy")):
        return own
    folder = Path(sys.prefix, "Scripts" if sys.platform == "win32" else "bin")
    for name in ("python.exe",) if sys.platform == "win32" else ("python3", "python"):
        candidate = folder / name
        if candidate.is_file():
            return str(candidate)
    raise _not_started(f"this program is {own!r}, and there is no Python in {str(folder)!r}")


def _not_started(reason: str) -> FileUnreadable:
    return FileUnreadable(
        f"The process that reads files could not be started: {reason}.",
        hint="Files are read by a second Python process; check that one may be started here.",
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise _not_started("it has no pipe")
    return pipe


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
