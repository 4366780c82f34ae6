"""Files of JSON lines, as batch jobs have them: written and read line by line, so that a job never
is in memory as a whole.

Tested by tests/remote/test_json_lines.py and plugins/semantic-core-gemini/tests/test_jobs.py.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import attrs

from semantic_core.errors import EmbedderError, InputError
from semantic_core.remote.errors import JobTooLarge

IN_MEMORY: Final = 4 * 1024 * 1024
"""Most bytes of a file that is kept in memory and not on disk."""
LONGEST_LINE: Final = 4 * 1024 * 1024
"""Most bytes of a line of results; a vector of 3,072 numbers takes about 70 kB."""

logger = logging.getLogger(__name__)

LineOf = Callable[[str, str], Mapping[str, Any]]
"""The line of a text: called with its key and the text."""


@attrs.frozen
class JobLines:
    """The requests of a job in a temporary file, which the caller closes.

    items: their number. size: in bytes. digest: of keys and texts, the same in any order.
    """

    file: IO[bytes]
    items: int
    size: int
    digest: str

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """The lines, read again from the beginning."""
        self.file.seek(0)
        for line in self.file:
            yield json.loads(line)


def write_lines(
    texts: Iterable[tuple[str, str]], line_of: LineOf, most_items: int, most_bytes: int
) -> JobLines:
    """Write a file with one line per (key, text).

    Raises InputError if there is no text, or a key is invalid or occurs twice; JobTooLarge; and
    EmbedderError if the temporary folder cannot be written.
    """
    file: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    try:
        digest = 0
        hashes = array("Q")
        size = 0
        for key, text in texts:
            if not isinstance(key, str) or not key:
                raise InputError(f"The key of a text must be a str and not empty, got {key!r}.")
            line = json.dumps(line_of(key, text), ensure_ascii=False).encode() + b"\n"
            size += len(line)
            if len(hashes) == most_items or size > most_bytes:
                raise JobTooLarge(
                    f"A job may have at most {most_items:,} texts and {most_bytes:,} bytes.",
                    hint="Submit several jobs.",
                )
            hashes.append(int.from_bytes(blake2b(key.encode(), digest_size=8).digest()))
            digest += int.from_bytes(blake2b(line, digest_size=16).digest())
            file.write(line)
        if not hashes:
            raise InputError("A job needs at least one text.")
        _no_key_twice(hashes)
    except OSError as error:
        _close(file)
        message = f"The texts of a job cannot be written to the temporary folder: {error}."
        raise EmbedderError(message, hint="Free disk space, or set TMPDIR.") from error
    except BaseException:
        file.close()
        raise
    return JobLines(file, len(hashes), size, f"{digest % (1 << 128):032x}")


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # a file that could not be written cannot be flushed either
        file.close()


def _no_key_twice(hashes: array[int]) -> None:
    import numpy as np

    if np.unique(np.frombuffer(hashes, dtype=np.uint64)).size != len(hashes):
        raise InputError(
            "Two texts of a job have the same key.", hint="Results are matched by their keys."
        )


def read_lines(file: IO[bytes], job: str) -> Iterator[Mapping[str, Any]]:
    """Every line of a file of results that can be read.

    The number of the others (lines that are cut off, too long, or not JSON) is logged.
    """
    broken = 0
    file.seek(0)
    for line in iter(partial(file.readline, LONGEST_LINE), b""):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            broken += 1
            _skip_line(file)
            continue
        if not line.strip():
            continue
        try:
            result = json.loads(line)
        except ValueError:
            result = None
        if isinstance(result, Mapping):
            yield result
        else:
            broken += 1
    if broken:
        logger.warning(
            "%d lines of the results of %s cannot be read; their texts count as missing.",
            broken,
            job,
        )


def _skip_line(file: IO[bytes]) -> None:
    """Read to the end of the line, without holding it in memory."""
    while True:
        rest = file.readline(LONGEST_LINE)
        if not rest or rest.endswith(b"\n"):
            return
