"""The files of batch jobs are written and read line by line."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from semantic_core.errors import EmbedderError, InputError
from semantic_core.remote import JobTooLarge, read_lines, write_lines


def line_of(key: str, text: str) -> Mapping[str, Any]:
    return {"key": key, "text": text}


def test_lines_are_one_for_each_text_and_read_back() -> None:
    texts = [("a", "one"), ("b", "two\nlines"), ("c", "ünï \u2028 \x85 code")]
    lines = write_lines(iter(texts), line_of, 10, 10_000)
    with lines.file:
        assert [(one["key"], one["text"]) for one in lines.entries()] == texts
        assert (lines.items, lines.size) == (3, lines.file.tell())
        assert len(list(read_lines(lines.file, "job"))) == 3


def test_the_digest_is_that_of_keys_and_texts_in_any_order() -> None:
    def digest(*texts: tuple[str, str]) -> str:
        lines = write_lines(texts, line_of, 10, 10_000)
        lines.file.close()
        return lines.digest

    one, two = ("a", "one"), ("b", "two")
    assert digest(one, two) == digest(two, one) != digest(one)
    assert digest(one) != digest(("a", "two"))


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ([], InputError),
        ([("", "text")], InputError),
        ([(5, "text")], InputError),
        ([("a", "x"), ("a", "y")], InputError),
        ([(str(number), "x") for number in range(4)], JobTooLarge),
        ([("a", "x" * 500)], JobTooLarge),
    ],
)
def test_what_cannot_be_a_job_is_refused(texts: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        write_lines(texts, line_of, 3, 300)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def __init__(self, max_size: int = 0) -> None:
            super().__init__()

        def write(self, data: Any) -> int:
            raise OSError("No space left on device")

    monkeypatch.setattr("semantic_core.remote.json_lines.SpooledTemporaryFile", Full)
    with pytest.raises(EmbedderError, match="No space left") as raised:
        write_lines([("a", "x")], line_of, 3, 300)
    assert "TMPDIR" in raised.value.hint


def test_texts_that_break_off_leave_no_file() -> None:
    def broken() -> Iterator[tuple[str, str]]:
        yield "a", "x"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_lines(broken(), line_of, 3, 300)


def test_lines_that_cannot_be_read_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semantic_core.remote.json_lines.LONGEST_LINE", 50)
    content = b'{"a": 1}\n\n[1]\nnot json\n{"long": "' + b"x" * 200 + b'"}\n{"b": 2}\n{"cut": '
    assert list(read_lines(io.BytesIO(content), "job-7")) == [{"a": 1}, {"b": 2}]
    assert "4 lines of the results of job-7 cannot be read" in caplog.text
