"""The process that reads files: gets one after the other over a pipe, and answers with documents.

A file that exhausts its time, its memory or a library's care ends this process, not the one that
asked. It runs nothing but readers: it writes no file and opens no connection.

A request is a line of JSON (format, name, media type, number of bytes, seconds) and the bytes; an
answer is a line with the number of bytes, and JSON.

Tested by tests/test_processes.py and tests/test_hostile.py.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits
from semantic_core_files.formats import read_here
from semantic_core_files.parts import FilePart, FileSource

READY = b"ready\n"
"""The first line of the answers, when all is set up."""


def main() -> None:
    """Answer requests until there are no more."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    # What a library prints must not get between the answers.
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    with suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    answers.write(READY)
    answers.flush()
    while _is_more(requests):
        line = requests.readline()
        if not line:
            return
        request = json.loads(line)
        data = requests.read(request["size"])
        if len(data) < request["size"]:
            return
        answer = _answer(request, data)
        written = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        answers.write(b"%d\n" % len(written))
        answers.write(written)
        answers.flush()
        if answer.get("ends"):
            return


def _is_more(requests: BinaryIO) -> bool:
    """Whether a request came before the process was idle for too long."""
    if sys.platform == "win32":
        return True
    import select

    return bool(select.select([requests], [], [], limits.IDLE_SECONDS)[0])


def _limit_memory() -> None:
    """Limit the address space, where the system can."""
    if sys.platform == "win32":
        return
    import resource

    for kind, most in ((resource.RLIMIT_AS, limits.MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # macOS refuses some; the time limit holds there too.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (wanted, wanted))


def _answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    source = FileSource(data, request["name"], request["media_type"])
    # Ends this process if the one that asked is gone and cannot.
    faulthandler.dump_traceback_later(request["seconds"] + 5, exit=True)
    try:
        return {"parts": packed(read_here(request["format"], source))}
    except FileUnreadable as error:
        return {"message": error.message, "hint": error.hint}
    except MemoryError:
        return {
            "message": (
                f"{source.name!r} needs more than {limits.MEMORY_BYTES // 1_000_000:,} MB of "
                "memory to be read."
            ),
            "hint": "Split it into several files.",
            "ends": True,
        }
    except RecursionError:
        return {
            "message": f"{source.name!r} is nested too deeply to be read.",
            "hint": "It may be broken; open it in the program that made it and save it again.",
            "ends": True,
        }
    # A library raises whatever it likes for a broken file; here that is an answer.
    except Exception as error:  # noqa: BLE001
        reason = f"{type(error).__name__}: {error}"[:200].rstrip(".")
        return {
            "message": f"{source.name!r} could not be read: {reason}.",
            "hint": "It may be broken; open it in the program that made it and save it again.",
        }
    finally:
        faulthandler.cancel_dump_traceback_later()


def packed(parts: Sequence[FilePart]) -> list[list[Any]]:
    """Documents as JSON can have them."""
    return [
        [one.text, one.part, one.title, one.media_type, dict(one.metadata), one.language]
        for one in parts
    ]
