"""Events: listeners hear what was done, after the commit, and stop nobody."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import Document, Ref, SemanticCore, hookimpl
from semantic_core.errors import AccessRefused, EmbedderUnavailable, InputError
from semantic_core.events import Embedded, Event, Failed, Removed, Searched, Written
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder, JobEmbedder, MemoryOutbox


class Listener:
    """Keeps what it hears."""

    def __init__(self, name: str = "listener") -> None:
        self.__name__ = name
        self.heard: list[Event] = []

    @hookimpl
    def semantic_event(self, event: Event) -> None:
        self.heard.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


def opened(*plugins: Any, **options: Any) -> SemanticCore:
    options.setdefault("embedder", HashEmbedder())
    return SemanticCore(store="memory", plugins=plugins, **options)


def note(key: str, text: str = "", **fields: Any) -> Document:
    return Document(Ref("notes", key), text or f"beans number {key}", **fields)


def refs(*keys: str) -> tuple[Ref, ...]:
    return tuple(Ref("notes", key) for key in keys)


def test_what_was_added_changed_and_removed_is_announced_and_what_stayed_is_not() -> None:
    listener = Listener()
    core = opened(listener)
    core.ingest(note("1"), note("2"))
    core.ingest(note("1"), note("2", "peas"), note("3"))
    assert [(event.added, event.updated) for event in listener.of(Written)] == [
        (refs("1", "2"), ()),
        (refs("3"), refs("2")),
    ]
    core.ingest(note("1"))
    assert len(listener.of(Written)) == 2
    assert core.remove(*refs("1", "9", "1", "3")) == 2
    assert [event.refs for event in listener.of(Removed)] == [refs("1", "3")]
    core.remove(*refs("9"))
    assert len(listener.of(Removed)) == 1
    assert all(abs(datetime.now(UTC) - event.at) < timedelta(hours=1) for event in listener.heard)


def test_processed_rows_are_announced_like_documents() -> None:
    listener = Listener()
    core = opened(listener)
    outbox = MemoryOutbox()
    rows = {"1": "walrus", "2": "otter"}

    def read(wanted: Sequence[Ref]) -> list[Document]:
        return [Document(ref, rows[ref.key]) for ref in wanted if ref.key in rows]

    for key in ("1", "2", "gone before it was read"):
        outbox.put(Ref("notes", key))
    core.sync(outbox, {"notes": read})
    rows["1"] = "seal"
    del rows["2"]
    for key in ("1", "2"):
        outbox.put(Ref("notes", key))
    core.sync(outbox, {"notes": read})
    assert [(event.added, event.updated) for event in listener.of(Written)] == [
        (refs("1", "2"), ()),
        ((), refs("1")),
    ]
    assert [event.refs for event in listener.of(Removed)] == [refs("2")]


def test_a_change_that_came_too_late_is_not_announced() -> None:
    listener = Listener()
    core = opened(listener)
    core.ingest(note("1"))
    core.store.replace([(note("1", "newer"), [])], {Ref("notes", "1"): 9})
    outbox = MemoryOutbox()
    outbox.put(Ref("notes", "1"))
    core.sync(outbox, {"notes": lambda wanted: []})
    assert core.get(Ref("notes", "1")) is not None
    assert listener.of(Removed) == []


def test_a_write_is_announced_when_every_reader_sees_it() -> None:
    seen: list[object] = []

    class Reads(Listener):
        @hookimpl
        def semantic_event(self, event: Event) -> None:
            if isinstance(event, Written):
                other = threading.Thread(target=lambda: seen.append(core.get(Ref("notes", "1"))))
                other.start()
                other.join()

    core = opened(Reads())
    core.ingest(note("1"))
    assert [document.text for document in seen] == ["beans number 1"]  # type: ignore[attr-defined]


def test_a_search_is_announced_with_what_it_found_and_who_asked() -> None:
    listener = Listener()
    core = opened(listener)
    core.ingest(note("1"), note("2"))
    answer = core.search(
        "beans number 2", limit=1, collections=["notes"], context={"user": "ann", "token": "s3cret"}
    )
    [event] = listener.of(Searched)
    assert (event.query, event.collections, event.mode) == ("beans number 2", ("notes",), "hybrid")
    assert event.hits == tuple(hit.id for hit in answer)
    assert event.milliseconds == answer.timings["total"] > 0
    assert event.context == {"user": "ann", "token": "s3cret"}
    assert "s3cret" not in repr(event)
    core.search_chunks("beans", mode="text")
    assert listener.of(Searched)[1].mode == "text"


def test_a_degraded_answer_is_announced_with_its_reason() -> None:
    class Away(HashEmbedder):
        def embed_query(self, text: str) -> Any:
            raise EmbedderUnavailable("offline")

    listener = Listener()
    core = opened(listener, embedder=Away())
    core.ingest(note("1"))
    answer = core.search("beans")
    [event] = listener.of(Searched)
    assert event.degraded and event.reason == answer.reason != ""


def test_what_fails_is_announced() -> None:
    listener = Listener()
    core = opened(listener, Permissions())
    with pytest.raises(AccessRefused):
        core.search("beans")
    with pytest.raises(InputError):
        core.search(" ", context={"user": "ann"})
    failed = listener.of(Failed)
    assert [(event.step, event.what, event.code) for event in failed] == [
        ("search", "'beans'", "AccessRefused"),
        ("search", "' '", "InputError"),
    ]
    assert "who asks" in failed[0].reason
    assert listener.of(Searched) == []


def test_documents_that_were_left_out_and_an_embedder_that_is_away_are_announced() -> None:
    class Splits:
        @hookimpl
        def semantic_split(self, document: Document, max_chars: int) -> None:
            if document.ref.key == "bad":
                raise ValueError("cannot split")

    class Away(HashEmbedder):
        def embed_documents(self, passages: Sequence[str]) -> Any:
            raise EmbedderUnavailable("offline")

    listener = Listener()
    core = opened(listener, Splits(), embedder=Away())
    core.ingest(note("bad"), note("good"))
    assert [(event.step, event.what, event.code) for event in listener.of(Failed)] == [
        ("ingest", "notes/bad", "HookFailed"),
        ("ingest", "embedder", "EmbedderUnavailable"),
    ]
    assert listener.of(Embedded) == []
    with pytest.raises(EmbedderUnavailable):
        core.embed_pending()
    assert (listener.of(Failed)[-1].step, listener.of(Failed)[-1].reason) == ("embed", "offline")


def test_vectors_are_announced_once_they_are_stored_now_later_or_by_a_job() -> None:
    listener = Listener()
    embedder = JobEmbedder()
    core = opened(listener, embedder=embedder)
    core.ingest(note("1"), note("2"))
    assert [event.passages for event in listener.of(Embedded)] == [2]
    core.ingest(note("3"), mode="async")
    assert len(listener.of(Embedded)) == 1
    assert core.embed_pending() == 1
    assert [event.passages for event in listener.of(Embedded)] == [2, 1]
    core.ingest(note("4"), note("5"), note("6"), mode="async")
    core.batch_manager.flush_queue(1)
    embedder.start()
    embedder.finish()
    core.batch_manager.sync_status()
    assert [event.passages for event in listener.of(Embedded)] == [2, 1, 3]
    assert listener.of(Embedded)[0].space == embedder.space


def test_a_listener_that_raises_stops_nobody_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Listener):
        @hookimpl
        def semantic_event(self, event: Event) -> None:
            raise SystemExit("the webhook is down")

    first = Listener("a")
    last = Listener("z")
    core = opened(first, Broken("broken"), last)
    with caplog.at_level(logging.WARNING, "semantic_core.plugins"):
        report = core.ingest(note("1"))
    assert report.complete and len(core.search("beans")) == 1
    assert len(first.heard) == len(last.heard) == 3
    assert "Plugin 'broken' raised in semantic_event: SystemExit: the webhook" in caplog.text
    errors = {info.name: info.last_error for info in core.plugins()}
    assert errors["broken"] == "semantic_event: SystemExit: the webhook is down"
    assert errors["a"] == errors["z"] == ""


def test_ctrl_c_in_a_listener_is_no_fault_of_it() -> None:
    class Interrupted(Listener):
        @hookimpl
        def semantic_event(self, event: Event) -> None:
            raise KeyboardInterrupt

    core = opened(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        core.ingest(note("1"))
    assert core.get(Ref("notes", "1")) is not None  # the write had happened


def test_a_listener_is_not_told_of_what_it_does_itself_and_others_are() -> None:
    class Copies(Listener):
        @hookimpl
        def semantic_event(self, event: Event) -> None:
            self.heard.append(event)
            if isinstance(event, Written):
                core.ingest(Document(Ref("copies", "1"), "a copy"))

    copies = Copies("copies")
    other = Listener("other")
    core = opened(copies, other)
    core.ingest(note("1"))
    assert [event.added for event in copies.of(Written)] == [refs("1")]
    assert {ref.collection for event in other.of(Written) for ref in event.added} == {
        "notes",
        "copies",
    }
    core.ingest(note("2"))
    assert len(copies.of(Written)) == 2


def test_a_twin_in_memory_and_a_client_of_a_tenant_announce_too() -> None:
    listener = Listener()
    core = opened(listener)
    core.in_memory().ingest(note("1"))
    assert len(listener.of(Written)) == 1
    shared = opened(listener, multi_tenant=True)
    shared.tenant("acme").ingest(note("1"))
    assert listener.of(Written)[-1].added == (Ref("notes", "1", "acme"),)
    shared.tenant("acme").search("beans")
    assert listener.of(Searched)[-1].tenant == "acme"


def test_nothing_is_looked_up_when_nobody_listens() -> None:
    core = opened()
    core.ingest(note("1"))
    asked: list[Ref] = []
    get = core.store.get
    core.store.get = lambda ref: (asked.append(ref), get(ref))[1]  # type: ignore[method-assign]
    assert core.remove(*refs("1")) == 1
    assert asked == []


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ingest", "remove"]),
            st.lists(st.sampled_from("abcd"), min_size=1, max_size=4),
            st.sampled_from(["beans", "peas"]),
        ),
        max_size=12,
    )
)
def test_a_listener_that_follows_the_events_knows_what_is_there(
    steps: list[tuple[str, list[str], str]],
) -> None:
    listener = Listener()
    core = opened(listener)
    for what, keys, text in steps:
        if what == "ingest":
            core.ingest(note(key, text) for key in keys)
        else:
            core.remove(*refs(*keys))
    there: set[Ref] = set()
    for event in listener.heard:
        if isinstance(event, Written):
            assert not there & set(event.added) and there >= set(event.updated)
            there |= set(event.added)
        elif isinstance(event, Removed):
            assert there >= set(event.refs)
            there -= set(event.refs)
    assert there == {summary.ref for summary in core.documents()}


def test_events_are_frozen_and_told_apart() -> None:
    kinds = [Written, Removed, Searched, Embedded, Failed]
    assert set(Event.__args__) == set(kinds)
    event = Removed(refs=refs("1"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.refs = ()  # type: ignore[misc]
    assert re.match(r"Removed\(refs=\(Ref\(", repr(event))
