"""Rows: each is a document that can be filtered by its columns and keeps its identity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from making import LINES, TABLE
from semantic_core_files import limits, rows
from semantic_core_files.parts import FileSource

from semantic_core.errors import FileUnreadable


def test_each_row_is_a_document_with_its_columns(read: Any) -> None:
    first, apples, pears = read("preise.csv", TABLE)
    assert first.text == "2 rows with the columns id, name, preis."
    assert dict(first.metadata) == {"columns": ("id", "name", "preis"), "rows": 2}
    assert (apples.ref.key, apples.title) == ("preise.csv#id=007", "Äpfel")
    assert apples.text == "id: 007\nname: Äpfel\npreis: 1.5"
    assert dict(apples.metadata) == {"id": "007", "name": "Äpfel", "preis": 1.5}
    assert pears.metadata["preis"] == 2.0


def test_one_row_is_one(read: Any) -> None:
    assert read("p.csv", b"name\nann\n")[0].text == "1 row with the columns name."


def test_rows_with_an_id_keep_it_when_others_come(read: Any) -> None:
    more = TABLE.replace(b"\n007", b"\n006;Kirschen;3\n007")
    before = read("p.csv", TABLE)[1:]
    after = {document.ref: document for document in read("p.csv", more)}
    assert [after[document.ref] for document in before] == before


@pytest.mark.parametrize("data", [b"id,x\n1,a\n1,b\n", b"id,x\n,a\n1,b\n", b"x,y\na,b\nc,d\n"])
def test_without_an_id_rows_are_numbered(read: Any, data: bytes) -> None:
    documents = read("x.csv", data)[1:]
    assert [document.ref.key for document in documents] == ["x.csv#row 1", "x.csv#row 2"]
    assert [document.metadata["row"] for document in documents] == [1, 2]


@pytest.mark.parametrize(
    ("data", "columns", "last"),
    [
        (b"a,b\n1,2\n", ("a", "b"), {"a": 1, "b": 2}),
        (b"a|b\n1|x,y\n2|z\n", ("a", "b"), {"a": 2, "b": "z"}),
        (b"a\n1\nx\n", ("a",), {"a": "x"}),
        (b"a,a,\n1,2,3\n", ("a", "a (2)", "column 3"), {"a": 1, "a (2)": 2, "column 3": 3}),
        (b"a,b\n1,2,3\n", ("a", "b", "column 3"), {"a": 1, "b": 2, "column 3": 3}),
        (b"\n\na,b\n\n1,\n", ("a", "b"), {"a": 1}),
        (b'a,b\n"x\ny","q ""z"""\n', ("a", "b"), {"a": "x y", "b": 'q "z"'}),
        (b"a,b\n-1.50,1e5\n", ("a", "b"), {"a": -1.5, "b": "1e5"}),
        (b"path,parts\n/x,2\n", ("path", "parts"), {"path_": "/x", "parts_": 2}),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", ("a", "b"), {"a": 1, "b": 2}),
        ("a,b\nä,ö\n".encode("utf-16"), ("a", "b"), {"a": "ä", "b": "ö"}),
        ("a,b\nä,ö\n".encode("cp1252"), ("a", "b"), {"a": "ä", "b": "ö"}),
    ],
)
def test_tables_of_all_kinds_are_understood(
    read: Any, data: bytes, columns: tuple[str, ...], last: dict[str, object]
) -> None:
    documents = read("x.csv", data)
    assert documents[0].metadata["columns"] == columns
    metadata = dict(documents[-1].metadata)
    assert metadata.pop("row") >= 1
    assert metadata == last


def test_lines_of_json_are_documents(read: Any) -> None:
    _, first, second = read("z.jsonl", LINES)
    assert first.ref.key == "z.jsonl#row 1"
    assert first.text == "id: 1\ntitle: Eins\ntags: a, b\nwho.name: Ann"
    assert dict(first.metadata) == {
        "id": 1,
        "row": 1,
        "tags": ("a", "b"),
        "title": "Eins",
        "who.name": "Ann",
    }
    assert second.text == "value: [1, 2]"


def test_long_texts_in_json_are_read_and_brackets_in_them_count_nothing(read: Any) -> None:
    text = "word [ " * 500_000
    _, document = read("z.jsonl", json.dumps({"a": text, "b": '\\"['}).encode())
    assert document.text.startswith("a: word [ word [")
    assert document.metadata["b"] == '\\"['


def test_a_broken_line_is_named(read: Any) -> None:
    with pytest.raises(FileUnreadable, match=r"no JSON in line 2: Expecting"):
        read("z.jsonl", b'{"a": 1}\n{"a": \n')


def test_a_long_table_is_one_document_of_chunks(read: Any) -> None:
    count = limits.MAX_ROWS + 1
    data = b"name,size\n" + b"".join(b"n%d,%d\n" % (n, n) for n in range(count))
    (document,) = read("long.csv", data)
    assert document.media_type == "text/markdown"
    assert document.text.startswith("| name | size |\n|---|---|\n| n0 | 0 |\n")
    assert document.metadata["rows"] == count


def test_a_wide_table_is_one_document_too(read: Any) -> None:
    header = ",".join(f"c{n}" for n in range(limits.MAX_COLUMNS + 1)).encode()
    (document,) = read("wide.csv", header + b"\n" + b"1," * limits.MAX_COLUMNS + b"1\n")
    assert document.text.startswith("| c0 | c1 |")


def test_too_many_values_are_refused_before_they_fill_the_memory() -> None:
    line = b"," * 999 + b"x\n"
    data = line * (limits.MAX_CELLS // 1_000 + 2)
    with pytest.raises(FileUnreadable, match="more than 2,000,000 values"):
        rows.read_csv(FileSource(data, "x.csv"))
