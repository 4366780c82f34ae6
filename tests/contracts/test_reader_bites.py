"""The contract of readers: sound ones pass, and for each check there is a broken one that it
catches.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any
from unittest import SkipTest

import attrs
import pytest
from mutants import CaughtBy

from semantic_core import Document, Ref
from semantic_core._plugins.builtin import read_text
from semantic_core._validation import MAX_TEXT
from semantic_core.errors import FileUnreadable
from semantic_core.testing import Check, reader_checks
from semantic_core.types import FileContent

MAIL = (
    b"LINES 1\nTitle: Your order\nDear Ann, the beans have left.\n--\ninvoice\nTwo bags.\n--\nx\n"
)
PHRASES = ["Dear Ann, the beans have left.", "Two bags."]
Read = Callable[[FileContent], Any]
caught_by = CaughtBy()


def checks(seconds: float = 10.0) -> list[Check]:
    return reader_checks(
        name="order.lines",
        data=MAIL,
        phrases=PHRASES,
        too_much=lambda: b"LINES 1\n" + b"beans " * (MAX_TEXT // 6 + 1),
        seconds=seconds,
        module="semantic_core.types",
        tries=40,
    )


CHECKS = checks()


def failed(made_by: Read, only: str = "", all_of: Sequence[Check] = CHECKS) -> dict[str, str]:
    """The checks that fail, and why."""
    told = {}
    for check in all_of:
        if only and str(check) != only:
            continue
        try:
            check(made_by)
        except SkipTest:
            continue
        except Exception as error:  # noqa: BLE001 - what is broken may break in any way
            told[str(check)] = f"{type(error).__name__}: {error}"
    return told


def read_lines(file: FileContent) -> list[Document]:
    """Sound: a letter and its enclosures, each with a name and a text."""
    text = file.text()
    if not text.startswith("LINES 1"):
        raise FileUnreadable(f"{file.name!r} is no file of lines.")
    head, *parts = text.split("\n--\n")
    title = ""
    lines = head.splitlines()[1:]
    if lines and lines[0].startswith("Title: "):
        title = lines.pop(0).removeprefix("Title: ")
    documents = [file.document("\n".join(lines), title=title, metadata={"parts_in_text": 1})]
    for number, part in enumerate(parts, 1):
        name, _, rest = part.partition("\n")
        documents.append(file.document(rest, part=str(number), title=name))
    return documents


def test_a_sound_reader_passes() -> None:
    assert failed(read_lines) == {}


def test_what_the_kit_was_not_given_is_skipped_with_the_reason() -> None:
    by_name = {str(check): check for check in reader_checks(name="a", data=b"a", phrases=["a"])}
    with pytest.raises(SkipTest, match="too_much"):
        by_name["too_much_is_refused"](read_text)
    unknown: Read = lambda file: file.document("a")  # noqa: E731
    unknown.__module__ = "__main__"
    with pytest.raises(SkipTest, match="does not know the module"):
        by_name["its_module_is_light"](unknown)


def test_a_kit_without_phrases_says_so() -> None:
    found = reader_checks(name="a", data=b"a", phrases=[])
    assert list(failed(read_text, all_of=found)) == ["the_text_is_there_in_reading_order"]


# --- mutants --------------------------------------------------------------------------------------


@caught_by("the_text_is_there_in_reading_order")
def loses_enclosures(file: FileContent) -> Document:
    return read_lines(file)[0]


@caught_by("the_text_is_there_in_reading_order")
def turns_lines_around(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    whole = "\n".join(part.text for part in [*reversed(parts), first])
    return [attrs.evolve(first, text=whole)]


@caught_by("documents_are_of_the_file")
def names_its_documents_itself(file: FileContent) -> list[Document]:
    return [Document(Ref("files", file.name), part.text) for part in read_lines(file)[:1]]


@caught_by("documents_are_of_the_file")
def forgets_the_tenant(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [first, *[attrs.evolve(part, ref=attrs.evolve(part.ref, tenant="")) for part in parts]]


@caught_by("documents_are_of_the_file")
def gives_two_parts_one_name(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [first, *[attrs.evolve(part, ref=parts[0].ref) for part in parts]]


@caught_by("documents_are_of_the_file")
def yields(file: FileContent) -> Any:
    yield from read_lines(file)


NUMBERS = count()


@caught_by("the_same_file_gives_the_same_documents")
def counts_its_calls(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [attrs.evolve(first, metadata={"read": next(NUMBERS)}), *parts]


@caught_by("the_same_file_gives_the_same_documents")
def writes_the_key_into_the_text(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [attrs.evolve(first, text=f"{first.text}\n{file.ref}"), *parts]


@caught_by("what_it_reads_can_be_stored")
def writes_fields_of_the_kernel(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [attrs.evolve(first, metadata={"path": file.name}), *parts]


@caught_by("what_it_reads_can_be_stored")
def has_titles_of_two_lines(file: FileContent) -> list[Document]:
    first, *parts = read_lines(file)
    return [attrs.evolve(first, title="Your\norder"), *parts]


@caught_by("the_name_is_only_a_name")
def needs_a_suffix(file: FileContent) -> list[Document]:
    assert file.name.index(".") >= 0
    return read_lines(file)


@caught_by("an_empty_file_is_read_or_refused")
def needs_a_byte(file: FileContent) -> list[Document]:
    assert file.data[0] >= 0
    return read_lines(file)


@caught_by("an_empty_file_is_read_or_refused")
def gives_nothing_for_nothing(file: FileContent) -> list[Document]:
    return read_lines(file) if file.data.strip() else []


@caught_by("damaged_files_are_read_or_refused")
def trusts_the_version(file: FileContent) -> list[Document]:
    if file.data.startswith(b"LINES ") and file.data.isascii():
        int(file.data[6:].split(b"\n")[0])
    return read_lines(file)


@caught_by("damaged_files_are_read_or_refused")
def takes_long_for_a_long_number(file: FileContent) -> list[Document]:
    if file.data.startswith(b"LINES ") and not file.data.startswith(b"LINES 1\n"):
        sleep(0.3)
    return read_lines(file)


@caught_by("any_bytes_are_read_or_refused")
def decodes_strictly(file: FileContent) -> list[Document]:
    file.data.decode("utf-8")
    return read_lines(file)


@caught_by("any_bytes_are_read_or_refused")
def calls_exit(file: FileContent) -> list[Document]:
    if not file.data.startswith(b"LINES"):
        sys.exit("no lines")
    return read_lines(file)


@caught_by("too_much_is_refused")
def takes_the_beginning_silently(file: FileContent) -> list[Document]:
    return read_lines(attrs.evolve(file, data=file.data[:MAX_TEXT]))


STATE: dict[str, FileContent] = {}


@caught_by("threads_do_not_disturb_each_other")
def keeps_the_file_in_a_global(file: FileContent) -> list[Document]:
    STATE["file"] = file
    if threading.current_thread() is not threading.main_thread():
        sleep(0.002)
    return read_lines(STATE["file"])


@caught_by("it_touches_no_file_and_no_network")
def writes_a_file(file: FileContent) -> list[Document]:
    Path("order.tmp.lines").write_bytes(file.data)
    return read_lines(file)


@caught_by("it_touches_no_file_and_no_network")
def deletes_a_file(file: FileContent) -> list[Document]:
    Path("order.tmp.lines").unlink(missing_ok=True)
    return read_lines(file)


@caught_by("it_touches_no_file_and_no_network")
def opens_the_file_of_that_name(file: FileContent) -> list[Document]:
    try:
        data = Path(file.name).read_bytes()
    except OSError:
        data = file.data
    return read_lines(attrs.evolve(file, data=data))


@caught_by("it_touches_no_file_and_no_network")
def fetches_a_picture(file: FileContent) -> list[Document]:
    with socket.socket() as line:
        line.settimeout(0.1)
        line.connect_ex(("127.0.0.1", 9))
    return read_lines(file)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mutants that write do so in a folder outside of that for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("mutant", caught_by, ids=lambda mutant: mutant.__name__)
def test_a_broken_reader_is_caught(mutant: Read) -> None:
    rule = caught_by[mutant]
    slow = mutant is takes_long_for_a_long_number
    told = failed(mutant, rule, checks(seconds=0.2) if slow else CHECKS)
    assert rule in told
    assert told[rule].startswith("AssertionError: "), "the kit says itself what is wrong"


def test_a_module_that_imports_a_parser_at_the_top_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parser_of_lines.py").write_text("")
    (tmp_path / "heavy_reader.py").write_text("import parser_of_lines, json, attrs\n")
    (tmp_path / "broken_reader.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def told(module: str, *imports: str) -> str:
        found = reader_checks(name="a", data=b"a", phrases=["a"], module=module, imports=imports)
        return failed(read_text, "its_module_is_light", found).get("its_module_is_light", "")

    assert "load no library, found ['parser_of_lines']" in told("heavy_reader")
    assert "import broken_reader fails" in told("broken_reader")
    assert told("heavy_reader", "parser_of_lines") == told("parser_of_lines") == ""


def test_every_check_of_readers_has_a_mutant() -> None:
    assert {*caught_by.values(), "its_module_is_light"} == {str(check) for check in CHECKS}
