"""Output: results go to standard output, progress and errors to standard error.

No control character of a document reaches a terminal: `visible` replaces them. If the reader of a
pipe closes it (``| head``), the output ends, but the work is finished.

Tested by tests/cli/test_output.py and tests/cli/test_frame.py.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

PROSE_WIDTH = 100
"""Most columns of running text; longer lines are hard to read."""
TABLE_WIDTH = 10_000
"""Columns of a table that is not printed to a terminal, so that nothing is cut."""

_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_C1 = range(0x80, 0xA0)
_SURROGATES = range(0xD800, 0xE000)
_REPLACED: Mapping[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "␡",
    **dict.fromkeys([*_C1, *_SURROGATES, *_BIDI], "�"),
    0x2028: " ",
    0x2029: " ",
    0x09: " ",
    0x0A: " ",
    0x0D: " ",
}
_REPLACED_IN_LINES: Mapping[int, str] = {
    **_REPLACED,
    0x09: "    ",
    0x0A: "\n",
    0x0D: "",
    0x2028: "\n",
    0x2029: "\n",
}
_UNSAFE_IN_JSON = (0x7F, *_C1, *_SURROGATES, *_BIDI, 0x2028, 0x2029)
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _UNSAFE_IN_JSON}
"""Characters that JSON allows, but a terminal or an encoder may not."""


def visible(text: object, *, lines: bool = False) -> str:
    """The text for a terminal, without control characters.

    They become pictures (␛); surrogates and writing-direction overrides become "�". lines: keep
    line breaks; otherwise they, and tabs, become spaces.
    """
    return str(text).translate(_REPLACED_IN_LINES if lines else _REPLACED)


def counted(count: int, what: str) -> str:
    """1 hit, 2 hits, 1,000 hits."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def prepare_streams() -> None:
    """Make standard output and standard error accept any text.

    Characters that the encoding does not have are written as escapes. A stream that is closed is
    replaced with one that discards everything.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            discarding = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - stays open
            setattr(sys, name, discarding)
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def styled(stream: TextIO | None = None) -> bool:
    """Whether bold and colours are used: in a terminal that supports them, or with FORCE_COLOR.

    NO_COLOR turns them off.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream or sys.stdout)


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal; False for a closed one."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def prose_width() -> int:
    """Columns for text: the terminal's, between 20 and PROSE_WIDTH; 80 without a terminal."""
    return max(20, min(shutil.get_terminal_size().columns, PROSE_WIDTH))


def fitted(text: str, *, indent: int = 0) -> str:
    """The text wrapped to the terminal's width, unchanged if the output is not a terminal.

    indent: columns before the second and further lines.
    """
    if not is_terminal(sys.stdout):
        return text
    from textwrap import wrap

    width = max(prose_width(), indent + 20)
    margin = " " * indent
    lines = wrap(text, width, subsequent_indent=margin, break_on_hyphens=False)
    return "\n".join(lines) or text


def table_width() -> int:
    """Columns for a table: the terminal's, at least 40; unlimited without a terminal."""
    return max(40, shutil.get_terminal_size().columns) if is_terminal(sys.stdout) else TABLE_WIDTH


def render(*parts: RenderableType, width: int) -> str:
    """The text that rich makes of these parts; bold and colours only if `styled`."""
    from rich.console import Console

    colours = styled()
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=colours,
        color_system="auto" if colours else None,
        no_color=not colours,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


_results: list[TextIO] = []
"""The stream for results while `answers_alone` redirects everything else; [] otherwise."""


@contextmanager
def answers_alone() -> Iterator[None]:
    """Reserve standard output for what this module writes.

    What plugins and their child processes print in the meantime goes to standard error. Within
    another such block it does nothing.
    """
    if _results:
        yield
        return
    standard = sys.stdout
    try:
        descriptor = standard.fileno()
        error_descriptor = sys.stderr.fileno()
        copy = os.dup(descriptor)
    except (OSError, ValueError):  # a stream without a file, as in tests, or one that is closed
        with _writing_results_to(standard), redirect_stdout(sys.stderr):
            yield
        return
    reserved = open(copy, "w", encoding=standard.encoding, errors=standard.errors)  # noqa: SIM115
    try:
        standard.flush()
        os.dup2(error_descriptor, descriptor)
        with _writing_results_to(reserved), redirect_stdout(sys.stderr):
            yield
    finally:
        with suppress(OSError):
            standard.flush()
        os.dup2(copy, descriptor)
        with suppress(OSError):  # an error was reported when it was written
            reserved.close()


def nothing_follows() -> None:
    """Redirect standard output to standard error until the process ends.

    Called when the JSON is complete: a plugin's exit handler, or a buffer in C, may still print.
    """
    with suppress(OSError, ValueError):  # a stream without a file, or one that is closed
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr


@contextmanager
def _writing_results_to(stream: TextIO) -> Iterator[None]:
    _results.append(stream)
    try:
        yield
    finally:
        _results.remove(stream)


def standard_output() -> TextIO:
    """The stream that results are written to."""
    return _results[-1] if _results else sys.stdout


def write(text: str = "") -> None:
    """Write one or more lines to standard output."""
    _write_line(standard_output(), text)


def note(text: str = "") -> None:
    """Write one or more lines to standard error."""
    _write_line(sys.stderr, text)


def write_json(value: object) -> None:
    """Write one JSON value to standard output, indented."""
    encoding = getattr(standard_output(), "encoding", None) or "utf-8"
    ascii_only = "utf" not in encoding.lower()
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only, allow_nan=False, default=_plain)
    write(text.translate(_JSON_ESCAPES))


def _plain(value: Any) -> Any:
    """A value for JSON: numbers of NumPy as numbers, sets as lists, anything else as text."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def complain(message: str, hint: str = "") -> None:
    """Write a line ``error: ...``, and ``hint: ...`` if there is one, to standard error."""
    label = click.style("error:", fg="red", bold=True) if styled(sys.stderr) else "error:"
    note(f"{label} {visible(message)}")
    if hint:
        note(f"hint: {visible(hint)}")


def settle(*, quietly: bool = False) -> None:
    """Flush both streams, so that a full disk is an error here, not a traceback at exit.

    quietly: raise no error if a stream cannot be flushed.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _discard(stream)
            if not quietly and not isinstance(error, BrokenPipeError):
                raise


def _write_line(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        _discard(stream)


def _discard(stream: TextIO) -> None:
    """Discard everything written to this stream from now on: nobody reads it, or it is full."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
