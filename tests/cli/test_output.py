"""What is written to a terminal, to a pipe and to a program."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from semantic_core.cli import _output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    for shown in (_output.visible(text), _output.visible(text, lines=True).replace("\n", "")):
        assert not any(
            ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000
            for char in shown
        )


def test_visible_text_keeps_its_lines_when_asked() -> None:
    assert _output.visible("a\tb\r\nc\u2028d", lines=True) == "a    b\nc\nd"
    assert _output.visible("a\tb\nc") == "a b c"


def test_marks_are_sent_to_a_terminal_only(plain_environment: pytest.MonkeyPatch) -> None:
    marked = Text("repeat", "bold underline")
    plain_environment.setattr(sys, "stdout", Terminal())
    assert _output.render(marked, width=20) == "\x1b[1;4mrepeat\x1b[0m"
    plain_environment.setattr(sys, "stdout", io.StringIO())
    assert _output.render(marked, width=20) == "repeat"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_nothing_is_marked_where_that_is_not_wanted(
    plain_environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    plain_environment.setattr(sys, "stdout", Terminal())
    plain_environment.setenv(name, value)
    assert _output.render(Text("repeat", "bold red"), width=20) == "repeat"


def test_square_brackets_of_a_document_are_no_markup(plain_environment: pytest.MonkeyPatch) -> None:
    plain_environment.setattr(sys, "stdout", io.StringIO())
    assert _output.render(Text("[bold]x[/bold] :smile:"), width=40) == "[bold]x[/bold] :smile:"


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3),
    )
)
def test_json_is_read_back_as_it_was_and_holds_no_control_characters(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(sys, "stdout", stream)
        _output.write_json(value)
    written = stream.getvalue()
    assert json.loads(written) == value
    assert not any(ord(char) < 32 and char != "\n" or 0x7F <= ord(char) < 0xA0 for char in written)
    written.encode("utf-8")


def test_json_is_ascii_where_the_stream_is(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    _output.write_json({"text": "日本é"})
    assert json.loads(raw.getvalue().decode("ascii")) == {"text": "日本é"}


def test_a_reader_that_went_away_ends_the_output_and_not_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    _output.write("nobody reads this")
    _output.settle()


@pytest.mark.parametrize(("count", "shown"), [(0, "0 hits"), (1, "1 hit"), (1234, "1,234 hits")])
def test_counts_are_said_in_words(count: int, shown: str) -> None:
    assert _output.counted(count, "hit") == shown
