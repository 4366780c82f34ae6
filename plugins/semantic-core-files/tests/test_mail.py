"""E-mail: what its writer wrote, who wrote to whom, what is attached, and a lasting identity."""

from __future__ import annotations

from typing import Any

import pytest
from making import MESSAGE, mailbox, message
from semantic_core_files import limits
from semantic_core_files.mail_text import flowed, own_text

from semantic_core.errors import FileUnreadable

NESTED = b"""\
From: a@example.org
Subject: Outer
Message-ID: <outer@x>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

See below.
--b
Content-Type: message/rfc822

From: b@example.org
Subject: Inner
Message-ID: <inner@x>
Content-Type: multipart/mixed; boundary=c

--c
Content-Type: text/plain

The inner text.
--c
Content-Type: text/csv; name="t.csv"
Content-Disposition: attachment

k,v
p,1
--c--
--b--
"""


def keys(documents: Any) -> list[str]:
    return [document.ref.key for document in documents]


def test_a_message_is_its_text_with_its_headers_as_metadata(read: Any) -> None:
    first, *_ = read("post.eml", MESSAGE)
    assert first.text == "Hallo Ann,\n\n> Kommst du?\n\nJa, um drei. Die Zahlen hängen an."
    assert first.title == "Zahlen für Mai"
    assert first.media_type == "text/plain"
    assert dict(first.metadata) == {
        "attachments": ("Zahlen ü.csv", "bild.png"),
        "cc": ("carl@example.org",),
        "date": "2024-05-31T09:30:00+02:00",
        "from": "joerg@example.org",
        "from_name": "Jörg",
        "in_reply_to": "1@example.org",
        "message_id": "2@example.org",
        "thread": "0@example.org",
        "to": ("ann@example.org", "bob@example.org"),
        "unread_attachments": ("bild.png: no reader for image/png.",),
    }


def test_attachments_are_documents_read_by_their_own_reader(read: Any) -> None:
    _, table, first, second = read("post.eml", MESSAGE)
    assert keys([table, first, second]) == [
        "post.eml#Zahlen ü.csv",
        "post.eml#Zahlen ü.csv/id=a",
        "post.eml#Zahlen ü.csv/id=b",
    ]
    assert first.metadata["betrag"] == 7
    assert first.metadata["attached_to"] == "2@example.org"
    assert first.metadata["file_name"] == "Zahlen ü.csv"


def test_an_attached_message_is_read_with_its_own_attachments(read: Any) -> None:
    documents = read("x.eml", NESTED)
    assert keys(documents) == [
        "x.eml",
        "x.eml#Inner.eml",
        "x.eml#Inner.eml/t.csv",
        "x.eml#Inner.eml/t.csv/row 1",
    ]
    assert documents[1].text == "The inner text."
    assert documents[1].metadata["message_id"] == "inner@x"
    assert documents[1].metadata["attached_to"] == "outer@x"


def test_html_is_read_where_there_is_no_text(read: Any) -> None:
    data = b"Subject: S\nFrom: a@b\nContent-Type: text/html\n\n"
    data += b"<h2>Hi</h2><p>Text</p><blockquote>old</blockquote>"
    (document,) = read("x.eml", data)
    assert (document.text, document.media_type) == ("## Hi\n\nText", "text/markdown")
    empty = data.replace(b"text/html", b"multipart/alternative; boundary=b").replace(
        b"<h2>", b"--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<h2>"
    )
    (document,) = read("x.eml", empty)
    assert document.text == "## Hi\n\nText"


def test_names_of_attachments_are_unique_and_without_folders(read: Any) -> None:
    part = b'--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="%s"\n\nx\n'
    data = b"From: a@b\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n" + b"".join(
        part % name for name in (b"../../etc/a.txt", b"C:\\\\a.txt", b"", b"a.txt")
    )
    documents = read("x.eml", data + b"--b--")
    assert keys(documents)[1:] == [
        "x.eml#a.txt",
        "x.eml#a.txt (2)",
        "x.eml#attachment 3",
        "x.eml#a.txt (3)",
    ]


def test_attachments_beyond_the_limit_are_named(read: Any, monkeypatch: Any) -> None:
    part = b"--b\nContent-Type: text/plain; name=a%d.txt\nContent-Disposition: attachment\n\nx\n"
    many = limits.MAX_ATTACHMENTS + 3
    data = b"From: a@b\nContent-Type: multipart/mixed; boundary=b\n\n" + b"".join(
        part % number for number in range(many)
    )
    documents = read("x.eml", data + b"--b--")
    assert len(documents) == limits.MAX_ATTACHMENTS + 1
    assert documents[0].metadata["unread_attachments"] == tuple(
        f"a{number}.txt" for number in range(limits.MAX_ATTACHMENTS, many)
    )


def test_a_mailbox_has_a_document_for_each_message(read: Any) -> None:
    first, *rest = read("post.mbox", mailbox([message(1), message(2, reply_to=1)]))
    assert (first.text, first.title, dict(first.metadata)) == ("", "post", {"messages": 2})
    assert keys(rest) == ["post.mbox#1@example.org", "post.mbox#2@example.org"]
    assert rest[1].metadata["thread"] == "1@example.org"
    assert rest[0].metadata["thread"] == "1@example.org"


def test_a_message_keeps_its_identity_when_others_come_and_go(read: Any) -> None:
    nameless = message(9, message_id=False)
    before = read("post.mbox", mailbox([message(1), nameless, message(3)]))[1:]
    after = read("post.mbox", mailbox([message(0), message(3), nameless]))[1:]
    by_key = {document.ref.key: document.text for document in after}
    kept = [document for document in before if document.ref.key in by_key]
    assert [document.text for document in kept] == ["This is text 9.", "This is text 3."]
    assert all(by_key[document.ref.key] == document.text for document in kept)


def test_a_message_that_is_there_twice_is_one_document(read: Any) -> None:
    other = message(1, body="Another text with the same id.")
    first, *rest = read("post.mbox", mailbox([message(1), other, message(1), other]))
    assert dict(first.metadata) == {"messages": 2, "repeated_messages": 2}
    assert [document.text for document in rest] == [
        "This is text 1.",
        "Another text with the same id.",
    ]
    assert keys(rest)[1].startswith("post.mbox#1@example.org~")


def test_lines_that_begin_with_from_divide_no_message(read: Any) -> None:
    body = "first\n\nFrom here on it rains.\n>From quoted\nlast"
    first, document = read("post.mbox", mailbox([message(1, body=body)]))
    assert document.text == "first\n\nFrom here on it rains.\n>From quoted\nlast"


def test_a_broken_message_in_a_mailbox_is_counted(read: Any) -> None:
    first, document = read("post.mbox", mailbox([message(1), b"no header\n\nat all\n"]))
    assert dict(first.metadata) == {"messages": 1, "unreadable_messages": 1}


@pytest.mark.parametrize("data", [b"hello\n", b"no: header\n\nx", b"From nobody\n\n", b"\x89PNG"])
def test_what_is_no_mail_is_refused(read: Any, data: bytes) -> None:
    with pytest.raises(FileUnreadable):
        read("x.eml", data)
    if not data.startswith(b"From "):
        with pytest.raises(FileUnreadable):
            read("x.mbox", data)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\n\n> b\n\nc\n", "a\n\n> b\n\nc\n"),
        ("a\n\nOn Monday, Ann wrote:\n> b\n> c\n", "a\n"),
        ("a\n\nAm 3. Mai 2024 um 10:00 schrieb\nAnn <a@b>:\n> b\n", "a\n"),
        ("a\n> b\n", "a\n"),
        ("> b\n", "> b\n"),
        ("a\n-- \nAnn\nTel. 1\n", "a\n"),
        ("a\n\n-----Original Message-----\nFrom: x\nb\n", "a\n"),
        ("a\n\nVon: Ann\nGesendet: Montag\nAn: Bob\nBetreff: x\n\nb\n", "a\n"),
        ("From: a place\nwe know\n", "From: a place\nwe know\n"),
        ("", ""),
    ],
)
def test_what_is_answered_is_left_out_at_the_end_only(text: str, wanted: str) -> None:
    assert own_text(text) == wanted


def test_what_is_forwarded_is_read(read: Any) -> None:
    data = b"From: a@b\nSubject: Fwd: x\n\nsee\n\n-----Original Message-----\nFrom: c\n\nold text\n"
    (document,) = read("x.eml", data)
    assert "old text" in document.text


def test_flowed_lines_are_joined_to_paragraphs() -> None:
    assert flowed("one \ntwo\n> q \n> r\n-- \nme", joins_words=False) == "one two\n> q r\n-- \nme"
    assert flowed("over \nlap", joins_words=True) == "overlap"
