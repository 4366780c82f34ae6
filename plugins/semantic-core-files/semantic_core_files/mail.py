"""Reads e-mail: one message (EML) or a mailbox of them (MBOX), with what is attached.

Tested by tests/test_mail.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as policy
from email.utils import getaddresses
from hashlib import sha256

import attrs

from semantic_core.errors import FileUnreadable
from semantic_core_files import limits
from semantic_core_files.dates import iso_date
from semantic_core_files.encodings import check_not_empty, decoded, looks_like, wrong_format
from semantic_core_files.mail_text import flowed, own_text
from semantic_core_files.parts import (
    MARKDOWN,
    PLAIN,
    FilePart,
    FileSource,
    Value,
    check_size,
    one_line,
    part_name,
    part_of,
    without_unwanted,
)
from semantic_core_files.web_pages import markup_body

_HEAD_BYTES = 8_000
_KNOWN = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|received|return-path|mime-version|content-type"
    rb"|delivered-to|x-[\w-]+)[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
_FROM_LINE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_FORWARDS = re.compile(r"(?:fwd?|wg|tr|rv|i)\s*:", re.IGNORECASE)
_ID = re.compile(r"<([^<>\s]{1,400})>")
_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the standard library raises for headers and bodies that break the rules."""
_MOST_ADDRESSES = 500
_UNNAMED = "attachment"


@attrs.define
class _Message:
    """A message taken apart. fields: its metadata. text, media_type: what its writer wrote."""

    subject: str
    fields: dict[str, object]
    text: str
    media_type: str
    language: str
    attachments: list[tuple[str, str, bytes]]


def read(source: FileSource) -> list[FilePart]:
    """The message as the first document, then one for each attachment that can be read. Raises
    FileUnreadable for what is no message.
    """
    check_not_empty(source)
    if looks_like(source.data) or not _KNOWN.search(source.data[:_HEAD_BYTES]):
        raise wrong_format(source, "e-mail message")
    return list(_parts_of(source, source.data, ""))


def read_mailbox(source: FileSource) -> list[FilePart]:
    """A document that names the mailbox, then one for each message and each attachment that can
    be read. A message that is there twice becomes one document.

    A message is known by its Message-ID, so it keeps its identity when others are added or
    removed; one that has none, by a hash of its bytes. Raises FileUnreadable for what is no
    mailbox.
    """
    check_not_empty(source)
    begins = [(found.start(), found.end()) for found in _FROM_LINE.finditer(source.data)]
    if not begins or begins[0][0] != 0:
        raise wrong_format(source, "mailbox")
    ends = [start for start, _ in begins[1:]] + [len(source.data)]
    seen: dict[str, str] = {}
    parts: list[FilePart] = []
    unreadable = 0
    repeated = 0
    chars = 0
    for (_, start), end in zip(begins, ends, strict=True):
        data = _QUOTED_FROM.sub(rb"\1", source.data[start:end].rstrip(b"\r\n") + b"\n")
        digest = sha256(data).hexdigest()[:16]
        name = part_name(_message_id(data) or f"sha256:{digest}")
        if seen.get(name) == digest:
            repeated += 1
            continue
        if name in seen:  # two messages have the same id
            name = part_name(f"{name}~{digest}")
            if name in seen:
                repeated += 1
                continue
        seen[name] = digest
        if not _KNOWN.search(data[:_HEAD_BYTES]):
            unreadable += 1
            continue
        try:
            found = list(_parts_of(source, data, name))
        except FileUnreadable:
            unreadable += 1
            continue
        chars += sum(len(part.text) for part in found)
        check_size(source, chars)
        parts += found
        if len(parts) > limits.MAX_DOCUMENTS:
            raise FileUnreadable(
                f"{source.name!r} has more than {limits.MAX_DOCUMENTS:,} messages and attachments.",
                hint="Split it into several mailboxes, for example one for each year.",
            )
    fields = {
        "messages": len(seen) - unreadable,
        "repeated_messages": repeated or None,
        "unreadable_messages": unreadable or None,
    }
    first = part_of(source, "", title=source.stem, media_type=PLAIN, metadata=fields)
    return [first, *parts]


def _message_id(data: bytes) -> str:
    """The Message-ID in the headers of a message, without its brackets; "" if it has none."""
    head = data[:64_000].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    found = re.search(rb"^message-id[ \t]*:\s*([^\n]+)", head, re.MULTILINE | re.IGNORECASE)
    if not found:
        return ""
    text = decoded(found[1], "").strip()
    inside = _ID.search(text)
    return inside[1] if inside else text


def _parts_of(source: FileSource, data: bytes, name: str) -> Iterator[FilePart]:
    """The document of a message, and those of its attachments. name: of its part; "" for the file
    itself.
    """
    message = _taken_apart(source, data)
    names = [one_line(attached[0]) for attached in message.attachments]
    message.fields["attachments"] = names
    documents: list[FilePart] = []
    unread: list[str] = []
    taken: set[str] = set()
    for shown, media_type, content in message.attachments[: limits.MAX_ATTACHMENTS]:
        label = part_name(shown, taken)
        taken.add(label)
        try:
            found = _attached(source, shown, media_type, content)
        except FileUnreadable as error:
            unread.append(f"{shown}: {error.message}")
            continue
        for part in found:
            inner = part_name(f"{label}/{part.part}") if part.part else label
            full = part_name(f"{name}/{inner}") if name else inner
            metadata: dict[str, Value] = {
                **part.metadata,
                "attached_to": str(message.fields.get("message_id") or message.subject),
                "file_name": part.metadata.get("file_name") or one_line(shown),
            }
            documents.append(attrs.evolve(part, part=full, metadata=metadata))
    unread += [one_line(attached[0]) for attached in message.attachments[limits.MAX_ATTACHMENTS :]]
    message.fields["unread_attachments"] = unread
    yield part_of(
        source,
        message.text,
        part=name,
        title=message.subject or source.stem,
        media_type=message.media_type,
        metadata=message.fields,
        language=message.language,
    )
    yield from documents


def _attached(source: FileSource, name: str, media_type: str, content: bytes) -> list[FilePart]:
    """The documents of an attachment. Raises FileUnreadable if no reader reads it."""
    from semantic_core_files.formats import format_of, read_here

    inner = FileSource(content, name, media_type, source.depth + 1)
    format_name = format_of(inner.suffix, media_type)
    if format_name is None and media_type == "text/plain":
        check_not_empty(inner)
        text = decoded(content, "")
        return [part_of(inner, text, title=name, media_type=PLAIN)]
    if format_name is None:
        raise FileUnreadable(f"no reader for {media_type or inner.suffix}.")
    if inner.depth > limits.MAX_MIME_NESTING:
        raise FileUnreadable(f"is inside of more than {limits.MAX_MIME_NESTING} files.")
    return read_here(format_name, inner)


def _taken_apart(source: FileSource, data: bytes) -> _Message:
    try:
        message = message_from_bytes(data, policy=policy)
    except RecursionError as error:
        raise _too_deep(source) from error
    except _ERRORS as error:
        raise FileUnreadable(
            f"{source.name!r} is a broken message: {type(error).__name__}.",
            hint="Save it again in the mail program.",
        ) from error
    texts: list[tuple[str, EmailMessage]] = []
    attachments: list[tuple[str, str, bytes]] = []
    for part in _leaves(source, message):
        kind = part.get_content_type()
        is_text = kind in ("text/plain", "text/html") and not _file_name(part)
        if is_text and part.get_content_disposition() != "attachment":
            texts.append((kind, part))
            continue
        attachments.append(_attachment(part, kind, len(attachments) + 1))
    headers = _Headers(message)
    subject = headers.text("subject")
    # What is forwarded may be nowhere else.
    text, media_type = _body(source, texts, whole=bool(_FORWARDS.match(subject)))
    return _Message(
        subject=subject,
        fields=headers.fields(),
        text=text,
        media_type=media_type,
        language=headers.text("content-language").split(",")[0],
        attachments=attachments,
    )


def _leaves(source: FileSource, message: EmailMessage) -> Iterator[EmailMessage]:
    """The parts of a message that have content, in order; an attached message is one part."""
    waiting: list[tuple[EmailMessage, int]] = [(message, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > limits.MAX_MIME_NESTING:
            raise _too_deep(source)
        inside = _inside(part)
        if part.get_content_maintype() == "multipart" and inside is not None:
            chosen = _alternatives(part, inside)
            waiting.extend((child, depth + 1) for child in reversed(chosen))
        else:
            yield part


def _too_deep(source: FileSource) -> FileUnreadable:
    return FileUnreadable(
        f"{source.name!r} has parts nested deeper than {limits.MAX_MIME_NESTING}.",
        hint="No mail program writes such a message; leave it out.",
    )


def _alternatives(part: EmailMessage, inside: list[EmailMessage]) -> list[EmailMessage]:
    """Of versions of the same content, the plain text if it says anything, and everything that is
    no text; of all other parts, all.
    """
    if part.get_content_subtype() != "alternative":
        return inside
    plain = [child for child in inside if child.get_content_type() == "text/plain"]
    if not any(_content_text(child).strip() for child in plain):
        return [child for child in inside if child not in plain]
    others = [child for child in inside if child.get_content_type() != "text/html"]
    kept: list[EmailMessage] = []
    for child in others:
        is_page = child.get_content_type() == "multipart/related"
        kept.append(child) if not is_page else kept.extend(_not_pages(child))
    return kept


def _not_pages(part: EmailMessage) -> list[EmailMessage]:
    inside = _inside(part) or []
    return [child for child in inside if child.get_content_maintype() not in ("text", "image")]


def _inside(part: EmailMessage) -> list[EmailMessage] | None:
    """The parts of a part; None if it has content of its own."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return None
    return [child for child in payload if isinstance(child, EmailMessage)]


def _body(
    source: FileSource, texts: list[tuple[str, EmailMessage]], *, whole: bool
) -> tuple[str, str]:
    """What the writer of a message wrote, and its media type. whole: with what it quotes."""
    is_page = any(kind == "text/html" for kind, _ in texts)
    pieces: list[str] = []
    for kind, part in texts:
        raw = _content_text(part)
        if not raw.strip():
            continue
        if kind == "text/html":
            page = markup_body(source, raw)
            pieces.append(page if whole else own_text(page))
            continue
        plain = without_unwanted(raw)
        if (part.get_param("format") or "") == "flowed":
            delsp = str(part.get_param("delsp") or "").lower() == "yes"
            plain = flowed(plain, joins_words=delsp)
        pieces.append(plain if whole else own_text(plain))
    text = "\n\n".join(piece.strip("\n") for piece in pieces if piece.strip())
    return text, MARKDOWN if is_page else PLAIN


def _content_text(part: EmailMessage) -> str:
    """The text of a part, in the encoding that it names, or a likely one."""
    charset = ""
    try:
        charset = str(part.get_content_charset() or "")
        payload = part.get_payload(decode=True)
    except _ERRORS:
        payload = None
    if isinstance(payload, bytes):
        return decoded(payload, charset)
    raw = part.get_payload()
    return raw if isinstance(raw, str) else ""


def _attachment(part: EmailMessage, kind: str, number: int) -> tuple[str, str, bytes]:
    """Name, media type and bytes of an attachment."""
    name = _file_name(part)
    if part.get_content_maintype() == "message":
        inside = _inside(part)
        if inside:
            subject = _Headers(inside[0]).text("subject")
            try:
                content = inside[0].as_bytes()
            except _ERRORS:
                content = b""
            return name or f"{subject or _UNNAMED}.eml", kind, content
    try:
        payload = part.get_payload(decode=True)
    except _ERRORS:
        payload = None
    content = payload if isinstance(payload, bytes) else b""
    return name or f"{_UNNAMED} {number}", kind, content


def _file_name(part: EmailMessage) -> str:
    """The name of an attachment without folders; "" if it has none."""
    try:
        name = part.get_filename() or ""
    except _ERRORS:
        return ""
    return one_line(re.split(r"[/\\]", str(name))[-1], 300)


class _Headers:
    """The headers of a message, whatever is wrong with them."""

    def __init__(self, message: EmailMessage) -> None:
        self._message = message

    def text(self, name: str) -> str:
        """A header in one line; "" if it is missing or cannot be decoded."""
        try:
            value = self._message.get(name, "")
        except _ERRORS:
            return ""
        return one_line(value, 2_000)

    def fields(self) -> dict[str, object]:
        """What the message says about itself, as metadata."""
        senders = self._addresses("from")
        replies = _ID.findall(self.text("in-reply-to"))
        references = _ID.findall(self.text("references"))
        message_id = _ID.findall(self.text("message-id")) or [self.text("message-id")]
        thread = (references or replies or message_id)[0]
        return {
            "from": senders[0][1] if senders else "",
            "from_name": senders[0][0] if senders else "",
            "to": [address for _, address in self._addresses("to")],
            "cc": [address for _, address in self._addresses("cc")],
            "date": iso_date(self.text("date")),
            "message_id": message_id[0],
            "in_reply_to": replies[0] if replies else "",
            "thread": thread,
            "list_id": self.text("list-id"),
        }

    def _addresses(self, name: str) -> list[tuple[str, str]]:
        """Name and address of everyone in a header; addresses in lower case."""
        try:
            raw = [str(value) for value in self._message.get_all(name, [])]
            pairs = getaddresses(raw[:50])
        except _ERRORS:
            return []
        kept = [(shown, address.lower()) for shown, address in pairs if "@" in address]
        return kept[:_MOST_ADDRESSES]
