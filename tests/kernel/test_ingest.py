"""Ingest: the same call twice gives the same state, nothing is paid for twice, and what is missing
is reported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_core import Document, IngestProgress, Ref, SemanticCore, hookimpl
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import EmbedderError, EmbedderUnavailable, InputError
from semantic_core.testing import HashEmbedder


class Picky(HashEmbedder):
    """Refuses whole batches that hold a poisoned text,
    and remembers the size of every batch it was given.
    """

    def __init__(self, poison: str = "poison", batch_size: int = 4) -> None:
        super().__init__(16)
        self.poison, self.size, self.batches = poison, batch_size, []

    @property
    def batch_size(self) -> int:
        return self.size

    def embed_documents(self, passages: Sequence[str]) -> Any:
        self.batches.append(len(passages))
        if any(self.poison in passage for passage in passages):
            raise EmbedderError("too odd")
        return super().embed_documents(passages)


def opened(embedder: HashEmbedder | None = None, **options: Any) -> SemanticCore:
    embedder = embedder or HashEmbedder()
    return SemanticCore(
        store=MemoryStore(embedder.space),
        embedder=embedder,
        plugins=options.pop("plugins", []),
        **options,
    )


def note(key: str, text: str, **fields: Any) -> Document:
    return Document(Ref("notes", key), text, **fields)


def test_a_second_run_changes_nothing_and_embeds_nothing() -> None:
    core = opened()
    documents = [note(str(number), f"text number {number}") for number in range(5)]
    first = core.ingest(documents)
    assert (first.added, first.chunks, first.embedded, first.complete) == (5, 5, 5, True)
    asked = core.embedder.calls
    second = core.ingest(documents)
    assert (second.unchanged, second.added, second.embedded, second.reused) == (5, 0, 0, 5)
    assert core.embedder.calls == asked


def test_only_the_changed_passage_of_a_document_is_embedded_again() -> None:
    core = opened(max_chars=60)
    paragraphs = [f"Paragraph {number} " + "word " * 9 for number in range(4)]
    core.ingest(note("1", "\n\n".join(paragraphs)))
    paragraphs[2] = "Another thing altogether."
    report = core.ingest(note("1", "\n\n".join(paragraphs)))
    assert (report.updated, report.embedded, report.reused) == (1, 1, 3)


def test_equal_passages_are_embedded_once() -> None:
    core = opened()
    report = core.ingest(note(str(number), "the same words") for number in range(50))
    assert (report.added, report.embedded) == (50, 1)


def test_batches_are_filled_across_documents() -> None:
    embedder = Picky(batch_size=4)
    opened(embedder).ingest(note(str(number), f"text {number}") for number in range(10))
    assert embedder.batches == [4, 4, 2]


def test_batches_are_filled_across_groups_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semantic_core._ingest.GROUP_CHUNKS", 3)
    embedder = Picky(batch_size=4)
    core = opened(embedder)
    report = core.ingest(note(str(number), f"text {number}") for number in range(10))
    assert embedder.batches == [4, 4, 2]
    assert (report.added, core.stats().documents, core.stats().pending) == (10, 10, 0)


def test_an_embedder_that_is_away_leaves_texts_that_words_find() -> None:
    embedder = HashEmbedder()
    core = opened(embedder)
    embedder.fail_with = EmbedderUnavailable("no network")
    report = core.ingest(note("1", "walrus"), note("2", "otter"))
    assert (report.added, report.pending, report.complete) == (2, 2, False)
    assert [(failure.what, failure.code, failure.reason) for failure in report.failed] == [
        ("embedder", "EmbedderUnavailable", "no network")
    ]
    assert [hit.ref.key for hit in core.search("walrus", mode="text")] == ["1"]
    embedder.fail_with = None
    assert core.embed_pending() == 2
    assert core.stats().pending == 0
    assert core.ingest(note("1", "walrus")).unchanged == 1


def test_an_embedder_that_is_away_is_asked_once_a_run() -> None:
    embedder = Picky(batch_size=1)
    core = opened(embedder)
    embedder.fail_with = EmbedderUnavailable("no network")
    core.ingest(note(str(number), f"text {number}") for number in range(20))
    assert len(embedder.batches) == 1


def test_a_run_after_the_gap_closes_it() -> None:
    embedder = HashEmbedder()
    core = opened(embedder)
    embedder.fail_with = EmbedderUnavailable("no network")
    core.ingest(note("1", "walrus"))
    embedder.fail_with = None
    report = core.ingest(note("1", "walrus"))
    assert (report.embedded, report.pending, core.stats().pending) == (1, 0, 0)


def test_one_refused_passage_does_not_take_its_batch_with_it() -> None:
    embedder = Picky(batch_size=8)
    core = opened(embedder)
    report = core.ingest(
        note(str(number), "poison" if number == 5 else f"text {number}") for number in range(8)
    )
    assert (report.added, report.embedded, report.pending) == (8, 7, 1)
    assert [(failure.what, failure.code) for failure in report.failed] == [
        ("notes/5#0", "EmbedderError")
    ]


def test_an_embedder_that_refuses_everything_is_given_up() -> None:
    embedder = Picky(poison="", batch_size=64)
    report = opened(embedder).ingest(note(str(number), f"text {number}") for number in range(64))
    assert report.pending == 64
    assert report.failed[-1].what == "embedder"
    assert len(embedder.batches) < 40


def test_vectors_are_never_matched_by_guess() -> None:
    class Short(HashEmbedder):
        def embed_documents(self, passages: Sequence[str]) -> Any:
            return (
                super().embed_documents(passages)[:-1]
                if len(passages) > 1
                else super().embed_documents(passages)
            )

    core = opened(Short())
    report = core.ingest(note(str(number), f"text {number}") for number in range(4))
    assert (report.embedded, report.pending) == (4, 0)
    query = HashEmbedder().embed_query("text 3")
    assert core.store.nearest(query, 1, core._scope(None, None)).ids[0].ref.key == "3"


def test_a_document_a_plugin_fails_on_is_left_as_it_was_and_named() -> None:
    class Moody:
        angry = False

        @hookimpl
        def semantic_split(self, document: Document) -> None:
            if self.angry and document.ref.key == "2":
                raise RuntimeError("cannot read this")

    moody = Moody()
    core = opened(plugins=[moody])
    core.ingest(note("1", "walrus"), note("2", "otter"))
    moody.angry = True
    report = core.ingest(note("1", "seal"), note("2", "beaver"))
    assert report.updated == 1
    assert [(failure.what, failure.code) for failure in report.failed] == [
        ("notes/2", "HookFailed")
    ]
    assert "Moody" in report.failed[0].reason
    assert "cannot read this" in report.failed[0].reason
    assert core.get(Ref("notes", "2")).text == "otter"  # type: ignore[union-attr]


def test_what_a_document_says_of_itself_can_be_asked_for() -> None:
    class Describer:
        @hookimpl
        def semantic_describe(self, document: Document) -> Document:
            return Document(
                document.ref,
                document.text,
                title="Read",
                metadata={**document.metadata, "lang": "en"},
            )

    core = opened(plugins=[Describer()])
    core.ingest(note("1", "walrus"))
    assert [hit.title for hit in core.search("walrus", where={"lang": "en"})] == ["Read"]


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_generator_that_fails_leaves_finished_groups_and_nothing_half_done(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException], is_local: bool
) -> None:
    monkeypatch.setattr("semantic_core._ingest.GROUP_CHUNKS", 2)
    monkeypatch.setattr(Picky, "is_local", is_local)
    core = opened(Picky(batch_size=1))

    def documents() -> Iterator[Document]:
        for number in range(5):
            yield note(str(number), f"text {number}")
        raise error

    with pytest.raises(error):
        core.ingest(documents())
    kept = [document.ref.key for document in core.documents()]
    assert kept == ["0", "1", "2", "3"][: len(kept)]
    # Which waits for no vector that is not there yet.
    assert len(kept) == 4 or error is KeyboardInterrupt
    report = core.ingest(note(str(number), f"text {number}") for number in range(6))
    assert (report.unchanged, report.added) == (len(kept), 6 - len(kept))


def test_documents_are_split_while_others_are_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch waits in the embedder until the third group was asked for:
    splitting went on meanwhile.
    """
    monkeypatch.setattr("semantic_core._ingest.GROUP_CHUNKS", 2)
    asked = threading.Event()

    class Patient(HashEmbedder):
        is_local = False

        def embed_documents(self, passages: Sequence[str]) -> Any:
            assert asked.wait(10)
            return super().embed_documents(passages)

    def documents() -> Iterator[Document]:
        for number in range(6):
            if number == 3:
                asked.set()
            yield note(str(number), f"text {number}")

    core = SemanticCore(store="memory", embedder=Patient(batch_size=2), plugins=[])
    report = core.ingest(documents())
    assert (report.added, report.embedded, report.complete) == (6, 6, True)


def test_an_embedder_of_this_process_is_asked_by_the_thread_that_ingests() -> None:
    asked_in: set[str] = set()

    class Telling(HashEmbedder):
        def embed_documents(self, passages: Sequence[str]) -> Any:
            asked_in.add(threading.current_thread().name)
            return super().embed_documents(passages)

    SemanticCore(store="memory", embedder=Telling(batch_size=2), plugins=[]).ingest(
        note(str(n), f"text {n}") for n in range(6)
    )
    assert asked_in == {threading.current_thread().name}


@pytest.mark.parametrize("is_local", [True, False])
def test_progress_counts_what_is_written(monkeypatch: pytest.MonkeyPatch, is_local: bool) -> None:
    monkeypatch.setattr("semantic_core._ingest.GROUP_CHUNKS", 2)
    monkeypatch.setattr(Picky, "is_local", is_local)
    seen: list[IngestProgress] = []
    opened(Picky(batch_size=1)).ingest(
        (note(str(number), f"text {number}") for number in range(5)), progress=seen.append
    )
    written = [progress.documents for progress in seen]
    # After each group, as far as its vectors are there.
    assert len(written) == 4 and written == sorted(written)
    assert seen[-1] == IngestProgress(
        documents=5, chunks=5, characters=30, embedded=5, reused=0, failed=0
    )


def test_async_leaves_the_vectors_for_later() -> None:
    core = opened()
    report = core.ingest(note("1", "walrus"), mode="async")
    assert (report.pending, report.embedded, core.embedder.calls) == (1, 0, 0)
    assert [hit.ref.key for hit in core.search("walrus", mode="text")] == ["1"]
    assert core.embed_pending(limit=1) == 1
    assert [hit.ref.key for hit in core.search("walrus", mode="vector")] == ["1"]


@pytest.mark.parametrize("wrong", ["text", {"a": 1}, 5, None, [note("1", "x"), "y"], b"x"])
def test_what_is_no_document_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="ingest takes Documents, got"):
        opened().ingest(wrong)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match='mode must be "sync", "async" or "auto", got \'later\''):
        opened().ingest(note("1", "x"), mode="later")  # type: ignore[arg-type]


words = st.sampled_from(["alpha", "beta", "gamma", "delta", "poison"])
histories = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.lists(words, max_size=6)), max_size=5), max_size=5
)


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(1, 5))
def test_any_history_ends_as_if_only_the_last_version_had_been_ingested(
    history: list[Any], batch_size: int
) -> None:
    core = opened(Picky(batch_size=batch_size))
    last: dict[str, Document] = {}
    for batch in history:
        documents = [note(str(key), " ".join(text)) for key, text in batch]
        core.ingest(documents)
        last.update({document.ref.key: document for document in documents})
    fresh = opened(Picky(batch_size=batch_size))
    fresh.ingest(last.values())
    for query in ("alpha", "beta gamma"):
        for mode in ("text", "vector"):
            expected = {
                (hit.id, round(hit.score, 4))
                for hit in fresh.search_chunks(query, mode=mode, limit=50)
            }
            assert {
                (hit.id, round(hit.score, 4))
                for hit in core.search_chunks(query, mode=mode, limit=50)
            } == expected
    for document in last.values():
        assert core.get(document.ref) == document
    vectors = core.store.known([])
    assert vectors == {}
    assert np.isfinite(core.stats().chunks)
