"""The records: what they refuse, with which message, and that they are values."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import _validation, types
from semantic_core.errors import InputError, TextInvalid
from semantic_core.filters import Filter
from semantic_core.testing import documents, metadata, refs
from semantic_core.types import (
    Chunk,
    ChunkId,
    Completion,
    Document,
    DocumentSummary,
    Entry,
    Failure,
    FileContent,
    IngestReport,
    Page,
    PendingChunk,
    Ranking,
    Ref,
    ReplaceReport,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
    Space,
    StoredChunk,
    StoreStats,
)

REF = Ref("notes", "5", "acme")
CHUNK = Chunk(ChunkId(REF, 2), "text", 3, 7, "code", ("Guide", "Part"), {"language": "python"})
HIT = SearchHit(
    REF,
    2,
    "Title",
    ("Guide",),
    "text",
    3,
    7,
    0.5,
    {"words": 1},
    {"words": 2.5},
    "code",
    {"lang": "en"},
)
SUMMARY = DocumentSummary(
    REF, "Title", "text/plain", "en", {"lang": "en"}, 10, 2, 1, "2026-01-01", "2026-01-02"
)
SPACE = Space("model", 4, "search", "r1", {"prefix": "p", "cut": "no"})
RECORDS: tuple[Any, ...] = (
    REF,
    Document(REF, "some text", "Title", "text/markdown", {"n": 1, "tags": ["a", "b"]}, "en"),
    ChunkId(REF, 2),
    CHUNK,
    SPACE,
    PendingChunk(3, ChunkId(REF, 2), "some text", "0" * 64),
    Scope("acme", ("notes",), Filter.parse({"lang": "en"})),
    Ranking("words", (ChunkId(REF, 2),), (1.5,)),
    StoredChunk(CHUNK, "Title", {"lang": "en"}, True),
    HIT,
    SearchResults("query", (HIT,), "text", True, "no embedder", {"words": 0.1}),
    Completion("search", "word", 3),
    SUMMARY,
    Page((SUMMARY,), 7),
    StoreStats(1, 2, 1, {"notes": 1}, SPACE, True),
    ReplaceReport(((REF, "added"),)),
    Failure("notes/5", "TextInvalid", "why"),
    IngestReport(added=1, failed=(Failure("a", "b", "c"),), timings={"store": 0.1}),
)
BY_IDENTITY = (
    FileContent(b"x", "a.txt", REF),
    Entry(CHUNK, "passage", "0" * 32, np.ones(4, dtype=np.float32)),
    SearchRequest("text", Scope(), "text", 5, 0, 100),
)


def name_of(record: object) -> str:
    return type(record).__name__


def refusal(error: type[Exception], make: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        make(*arguments, **options)
    assert isinstance(caught.value, InputError) and isinstance(caught.value, ValueError)
    return str(caught.value)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("", "5"), "Ref.collection must not be empty."),
        (("notes", ""), "Ref.key must not be empty."),
        (("notes", 5), "Ref.key must be a str, got int: 5. Use str(...)."),
        ((None, "5"), "Ref.collection must be a str, got NoneType: None. Use str(...)."),
        (("notes", "5", None), "Ref.tenant must be a str, got NoneType: None. Use str(...)."),
        (("notes", "a\x00b"), r"Ref.key must not hold control characters: 'a\x00b'."),
        (("notes", "a\nb"), r"Ref.key must not hold control characters: 'a\nb'."),
        (("notes", "a\x85b"), r"Ref.key must not hold control characters: 'a\x85b'."),
        (("notes", "5", "\x7f"), r"Ref.tenant must not hold control characters: '\x7f'."),
        (("notes", "x" * 501), f"Ref.key has 501 characters, the most is 500: '{'x' * 58}…."),
        (
            ("notes", "a\ud800"),
            (
                "Ref.key holds a lone surrogate (U+D800) at character 1. Decode the source with "
                'errors="replace", or repair it.'
            ),
        ),
    ],
)
def test_a_ref_says_what_is_wrong_with_a_name(fields, message):
    assert refusal(InputError, Ref, *fields) == message


def test_what_is_no_ref_has_no_order_with_one():
    ref = Ref("notes", "1")
    for one, other in ((ref, "notes/1"), (ChunkId(ref, 0), ref), (ChunkId(ref, 0), 0)):
        with pytest.raises(TypeError):
            one < other  # noqa: B015
    assert not ref < Ref("notes", "1") and not ChunkId(ref, 0) < ChunkId(ref, 0)


def test_a_ref_takes_the_longest_name_and_what_only_looks_like_control_characters():
    assert Ref("c" * 500, "k" * 500, "t" * 500).key == "k" * 500
    for key in ("\u200b", "\u2028", "\ue000", "\U0010ffff", " "):
        assert Ref("notes", key).key == key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "A Document takes a Ref and a text, or source_id= and content=."),
        ({"ref": REF}, "A Document takes a Ref and a text, or source_id= and content=."),
        ({"text": "t"}, "A Document takes a Ref and a text, or source_id= and content=."),
        (
            {"ref": REF, "source_id": 5, "text": "t"},
            "A Document takes a Ref and a text, or source_id= and content=.",
        ),
        (
            {"ref": REF, "text": "t", "content": "c"},
            "A Document takes a Ref and a text, or source_id= and content=.",
        ),
        (
            {"ref": "notes/5", "text": "t"},
            'Document.ref must be a Ref such as Ref("notes", "1"), got \'notes/5\'.',
        ),
        ({"ref": REF, "text": b"bytes"}, "Document.text must be a str, got bytes: b'bytes'."),
        ({"ref": REF, "text": 5}, "Document.text must be a str, got int: 5."),
        (
            {"ref": REF, "text": "t", "title": None},
            "Document.title must be a str, got NoneType: None.",
        ),
        ({"ref": REF, "text": "t", "media_type": ""}, "Document.media_type must not be empty."),
        ({"ref": REF, "text": "t", "language": ""}, "Document.language must not be empty."),
        (
            {"ref": REF, "text": "t", "language": 5},
            "Document.language must be a str, got int: 5. Use str(...).",
        ),
        ({"ref": REF, "text": "t", "metadata": [1]}, "metadata must be a mapping, got list."),
        ({"source_id": "", "content": "t"}, "Ref.key must not be empty."),
    ],
)
def test_a_document_says_what_it_wants(options, message):
    assert refusal(InputError, Document, **options) == message


def test_a_document_names_the_place_of_a_lone_surrogate():
    message = refusal(TextInvalid, Document, REF, "ab\udfffc")
    assert message.startswith(
        "Document.text holds a lone surrogate (U+DFFF) at character 2. Decode the source"
    )


def test_a_document_longer_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(_validation, "MAX_TEXT", 10)
    assert Document(REF, "x" * 10).text == "x" * 10
    message = refusal(TextInvalid, Document, REF, "x" * 11)
    assert (
        message
        == "Document.text has 11 characters, the most is 10. Split it into several documents."
    )


SCALARS = "must be a str, a bool, a finite float, an int within 64 bits, a date, or a list of str"


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"k": None}, f"metadata['k'] {SCALARS}, got NoneType: None. Leave the key out instead."),
        ({"k": float("nan")}, f"metadata['k'] {SCALARS}, got float: nan."),
        ({"k": float("-inf")}, f"metadata['k'] {SCALARS}, got float: -inf."),
        ({"k": 2**63}, f"metadata['k'] {SCALARS}, got int: 9223372036854775808."),
        ({"k": b"x"}, f"metadata['k'] {SCALARS}, got bytes: b'x'."),
        ({"k": {"a": 1}}, f"metadata['k'] {SCALARS}, got dict: {{'a': 1}}."),
        ({"k": ["a", 1]}, "metadata['k']: a list may only hold str, got ['a', 1]."),
        ({"k": [None]}, "metadata['k']: a list may only hold str, got [None]."),
        (
            {"": 1},
            "A metadata key is a str of 1 to 128 characters without control characters, got ''.",
        ),
        (
            {5: 1},
            "A metadata key is a str of 1 to 128 characters without control characters, got 5.",
        ),
        (
            {"a\n": 1},
            (
                r"A metadata key is a str of 1 to 128 characters without control "
                r"characters, got 'a\n'."
            ),
        ),
    ],
)
def test_metadata_names_the_key_at_fault(held, message):
    assert refusal(InputError, Document, REF, "text", metadata=held) == message


def test_surrogates_are_refused_in_metadata_too():
    for held in ({"k": "\ud800"}, {"k": ["a", "\ud800"]}, {"\ud800": 1}):
        assert "lone surrogate (U+D800)" in refusal(
            TextInvalid, Document, REF, "text", metadata=held
        )


def test_messages_do_not_grow_with_what_was_handed_over():
    for make in (
        lambda: Ref("notes", "x" * 10**6),
        lambda: Document(REF, "t", metadata={"k": b"x" * 10**6}),
    ):
        assert len(refusal(InputError, make)) < 250


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("", 4), "Space.model must not be empty."),
        (("m", 0), "Space.dimensions must be a whole number from 1 to 65,536, got 0."),
        (("m", 65_537), "Space.dimensions must be a whole number from 1 to 65,536, got 65537."),
        (("m", "4"), "Space.dimensions must be a whole number from 1 to 65,536, got '4'."),
        (("m", 4.0), "Space.dimensions must be a whole number from 1 to 65,536, got 4.0."),
        (("m", True), "Space.dimensions must be a whole number from 1 to 65,536, got True."),
        (("m", 4, 5), "Space.task must be a str, got int: 5. Use str(...)."),
        (("m", 4, "", None), "Space.revision must be a str, got NoneType: None. Use str(...)."),
        (
            ("m", 4, "", "", {"truncated": 5}),
            "Space.settings['truncated'] must be a str, got int: 5.",
        ),
        (("m", 4, "", "", {5: "x"}), "A key of Space.settings must be a str, got int: 5."),
        (("m", 4, "", "", "x"), "Space.settings must be a mapping, got str."),
    ],
)
def test_a_space_says_what_it_wants(fields, message):
    assert refusal(InputError, Space, *fields) == message


def test_a_ranking_has_a_score_for_every_id():
    message = refusal(InputError, Ranking, "words", (ChunkId(REF, 0), ChunkId(REF, 1)), (1.0,))
    assert message == "A Ranking has a score for every id, got 2 ids, 1 scores."


# --- spellings and contents -----------------------------------------------------------------------


def test_source_id_and_content_are_another_spelling():
    document = Document(source_id=5, content="text", metadata={"model": "Article"})
    assert document == Document(Ref("Article", "5"), "text", metadata={"model": "Article"})
    assert Document(source_id="5", content="").ref == Ref("documents", "5")
    assert Document(REF, content="text").text == "text"


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(metadata())
def test_legal_metadata_is_kept_with_its_kinds_and_in_order(held):
    kept = Document(REF, "text", metadata=held).metadata
    assert list(kept) == sorted(held)
    for key, value in held.items():
        wanted = tuple(value) if isinstance(value, list) else value
        assert (type(kept[key]), kept[key]) == (type(wanted), wanted)


def test_metadata_is_copied():
    held = {"tags": ["a"]}
    document = Document(REF, "text", metadata=held)
    held["tags"].append("b")
    held["more"] = []
    assert document.metadata == {"tags": ("a",)}


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(documents())
def test_any_text_a_document_takes_can_be_stored_as_utf8(document):
    assert document.text.encode("utf-8").decode("utf-8") == document.text


def test_refs_are_told_as_paths_and_chunks_with_their_place():
    assert (str(REF), str(Ref("notes", "5")), str(ChunkId(REF, 2))) == (
        "acme/notes/5",
        "notes/5",
        "acme/notes/5#2",
    )


def test_a_space_is_told_in_full_and_its_settings_have_no_order():
    assert str(SPACE) == "model (4 dimensions, search, r1, cut=no, prefix=p)"
    assert str(Space("model", 4)) == "model (4 dimensions)"
    assert Space("m", 4, settings={"a": "1", "b": "2"}) == Space(
        "m", 4, settings={"b": "2", "a": "1"}
    )
    assert str(Space("m", 4, settings={"b": "2", "a": "1"})) == "m (4 dimensions, a=1, b=2)"


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.builds(ChunkId, refs(tenants=st.sampled_from(["", "acme"])), st.integers(0, 30)),
        max_size=8,
    )
)
def test_refs_and_chunk_ids_sort_by_their_fields(ids):
    def fields(id: ChunkId) -> tuple[str, str, str, int]:
        return id.ref.collection, id.ref.key, id.ref.tenant, id.position

    assert [fields(id) for id in sorted(ids)] == sorted(map(fields, ids))


def test_a_hit_knows_its_chunk():
    assert HIT.id == ChunkId(REF, 2)


def test_results_and_pages_are_sequences():
    results, page = SearchResults("query", (HIT, HIT), "hybrid"), Page((SUMMARY,), 7)
    assert (len(results), results[0], results[:1], list(results)) == (2, HIT, (HIT,), [HIT, HIT])
    assert (len(page), page[-1], page[1:], list(page), page.total) == (1, SUMMARY, (), [SUMMARY], 7)
    assert not SearchResults("", (), "text")
    assert (results.degraded, results.reason, len(Ranking("words"))) == (False, "", 0)


def test_reports_count():
    report = ReplaceReport(((REF, "added"), (Ref("a", "1"), "stale"), (Ref("a", "2"), "added")))
    assert (report.count("added"), report.count("stale"), report.count("updated")) == (2, 1, 0)
    assert IngestReport(added=1).complete
    assert not IngestReport(added=1, pending=1).complete
    assert not IngestReport(failed=(Failure("a", "b", "c"),)).complete


# --- values ---------------------------------------------------------------------------------------


def test_every_record_is_looked_at_here():
    made = {type(record) for record in (*RECORDS, *BY_IDENTITY)}
    assert made == {
        value
        for value in vars(types).values()
        if attrs.has(value) and value.__module__ == types.__name__
    }


@pytest.mark.parametrize("record", [*RECORDS, *BY_IDENTITY], ids=name_of)
def test_records_cannot_be_changed(record):
    for field in attrs.fields(type(record)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        record.not_a_field = 1


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_records_are_equal_by_value_and_hashable(record):
    twin = copy.deepcopy(record)
    assert twin is not record
    assert (twin == record, hash(twin) == hash(record)) == (True, True)
    assert {record: 1}[twin] == 1


@pytest.mark.parametrize("record", [*RECORDS, *BY_IDENTITY], ids=name_of)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_records_travel_between_processes_and_can_be_copied(record, protocol):
    travelled = pickle.loads(pickle.dumps(record, protocol))  # noqa: S301 - our own bytes
    for twin in (travelled, copy.copy(record), copy.deepcopy(record)):
        assert type(twin) is type(record)
        for field in attrs.fields(type(record)):
            np.testing.assert_equal(getattr(twin, field.name), getattr(record, field.name))


def test_entries_and_requests_are_compared_by_identity():
    for record in BY_IDENTITY:
        assert record == record and record != copy.copy(record)
        assert {record: 1}[record] == 1


def test_a_difference_in_any_field_makes_another_record():
    base = Document(REF, "text", metadata={"n": 1})
    for other in (
        Document(Ref("notes", "6", "acme"), "text", metadata={"n": 1}),
        Document(REF, "text ", metadata={"n": 1}),
        Document(REF, "text", "Title", metadata={"n": 1}),
        Document(REF, "text", media_type="text/markdown", metadata={"n": 1}),
        Document(REF, "text", metadata={"n": 2}),
        Document(REF, "text", metadata={"n": 1}, language="en"),
    ):
        assert other != base


# --- files ----------------------------------------------------------------------------------------


def test_a_file_makes_its_document_and_those_of_its_parts():
    file = FileContent(b"caf\xc3\xa9", "report.final.pdf", REF, "application/pdf")
    assert (file.text(), file.stem) == ("café", "report.final")
    assert file.document("text") == Document(REF, "text")
    part = file.document("text", part="a#b", title="A", metadata={"page": 1}, language="en")
    expected = Ref(REF.collection, f"{REF.key}#a#b", REF.tenant)
    assert part == Document(expected, "text", "A", metadata={"page": 1}, language="en")
    assert "caf" not in repr(file), "a message never has the content of a file"
    with pytest.raises(InputError, match=r"Ref.key has 502 characters"):
        file.document("text", part="x" * (500 - len(REF.key) + 1))
