"""Where words go: answers to standard output, everything said about the work to standard error.

Nothing a document holds reaches a terminal as a command: `visible` shows control characters instead
of sending them. A reader that went away (``| head``) ends the output, never the work.
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
"""Widest text column: longer lines are hard to read."""
TABLE_WIDTH = 10_000
"""Width of a table nobody looks at in a terminal: nothing is cut."""

_apart: list[TextIO] = []
"""Standard output, as long as it is kept for answers."""
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_C1 = range(0x80, 0xA0)
_SURROGATES = range(0xD800, 0xE000)
_SHOWN: Mapping[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "␡",
    **dict.fromkeys([*_C1, *_SURROGATES, *_BIDI], "�"),
    0x2028: " ",
    0x2029: " ",
    0x09: " ",
    0x0A: " ",
    0x0D: " ",
}
_SHOWN_IN_LINES: Mapping[int, str] = {
    **_SHOWN,
    0x09: "    ",
    0x0A: "\n",
    0x0D: "",
    0x2028: "\n",
    0x2029: "\n",
}
_ESCAPED = {code: f"\\u{code:04x}" for code in (0x7F, *_C1, *_SURROGATES, *_BIDI, 0x2028, 0x2029)}
"""JSON may hold these as they are, a terminal or an encoder may not."""


def visible(text: object, *, lines: bool = False) -> str:
    """The text for a terminal: control characters as pictures (␛),
    surrogates and writing-direction overrides as "�".

    lines: whether line breaks stay; otherwise they, and tabs, become spaces.
    """
    return str(text).translate(_SHOWN_IN_LINES if lines else _SHOWN)


def counted(count: int, what: str) -> str:
    """1 hit, 2 hits, 1,000 hits."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def prepare_streams() -> None:
    """Characters the terminal's encoding does not have are written as escapes;
    a stream that is closed takes everything.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Lives as long as the process.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def styled(stream: TextIO | None = None) -> bool:
    """Whether bold and colours may be sent: to a terminal that knows them,
    unless NO_COLOR says no.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream or sys.stdout)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person is at the other end; False for a closed stream."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def prose_width() -> int:
    """Columns for text: the terminal's, between 20 and PROSE_WIDTH; 80 where there is none."""
    return max(20, min(shutil.get_terminal_size().columns, PROSE_WIDTH))


def fitted(text: str, *, indent: int = 0) -> str:
    """The text broken between words to fit the terminal, further lines indented;
    as it is where a program reads.
    """
    if not is_terminal(sys.stdout):
        return text
    from textwrap import wrap

    width = max(prose_width(), indent + 20)
    margin = " " * indent
    lines = wrap(
        text, width, subsequent_indent=margin, break_on_hyphens=False, drop_whitespace=True
    )
    return "\n".join(lines) or text


def table_width() -> int:
    """Columns for a table: the terminal's; as many as it needs where the output is
    read by a program.
    """
    return max(40, shutil.get_terminal_size().columns) if is_terminal(sys.stdout) else TABLE_WIDTH


def render(*parts: RenderableType, width: int) -> str:
    """What rich makes of these, as text; with bold and colours only where they may be sent."""
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


@contextmanager
def answers_alone() -> Iterator[None]:
    """Keeps standard output for what is written here: what anybody else prints meanwhile, plugins
    and their child processes too, goes to standard error.
    """
    others = sys.stdout
    try:
        place = others.fileno()
        elsewhere = sys.stderr.fileno()
        copy = os.dup(place)
    except (OSError, ValueError):  # a stream without a file, as in tests, or one that is closed
        with _answering(others), redirect_stdout(sys.stderr):
            yield
        return
    apart = open(copy, "w", encoding=others.encoding, errors=others.errors)  # noqa: SIM115
    try:
        others.flush()
        os.dup2(elsewhere, place)
        with _answering(apart), redirect_stdout(sys.stderr):
            yield
    finally:
        with suppress(OSError):
            others.flush()
        os.dup2(copy, place)
        with suppress(OSError):  # it was said when it was written
            apart.close()


def nothing_follows() -> None:
    """The answer is complete: what is printed until the process has ended, by a plugin's exit
    handler or out of a buffer of C, goes to standard error.
    """
    with suppress(OSError, ValueError):  # a stream without a file, or one that is closed
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr


@contextmanager
def _answering(stream: TextIO) -> Iterator[None]:
    _apart.append(stream)
    try:
        yield
    finally:
        _apart.remove(stream)


def standard_output() -> TextIO:
    """Where answers go."""
    return _apart[-1] if _apart else sys.stdout


def write(text: str = "") -> None:
    """A line, or several, to standard output."""
    _put(standard_output(), text)


def note(text: str = "") -> None:
    """A line to standard error."""
    _put(sys.stderr, text)


def write_json(value: object) -> None:
    """One JSON value to standard output, indented."""
    plain = "utf" not in (getattr(standard_output(), "encoding", None) or "utf-8").lower()
    write(
        json.dumps(value, indent=2, ensure_ascii=plain, allow_nan=False, default=_plain).translate(
            _ESCAPED
        )
    )


def _plain(value: Any) -> Any:
    """Numbers of other libraries as numbers, sets and tuples as lists, anything else as text."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def complain(message: str, hint: str = "") -> None:
    """``error: ...`` and, where there is something to do, ``hint: ...``, one line each,
    to standard error.
    """
    label = click.style("error:", fg="red", bold=True) if styled(sys.stderr) else "error:"
    note(f"{label} {visible(message)}")
    if hint:
        note(f"hint: {visible(hint)}")


def settle(*, quietly: bool = False) -> None:
    """Send what still waits, so that a full disk is an error here and not a traceback at the end
    of the process.

    quietly: no error for what cannot be sent.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _give_up(stream)
            if not quietly and not isinstance(error, BrokenPipeError):
                raise


def _put(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Nobody reads any more, or nothing can be written: let the rest go nowhere, quietly."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
