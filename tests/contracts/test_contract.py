"""The stores, embedders and readers of the kernel keep their contracts; a plugin's test is as
short as these.
"""

from __future__ import annotations

from unittest import SkipTest

import pytest

from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.builtin import read_markdown, read_text
from semantic_core._text import split_text
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import EmbedderError, EmbedderUnavailable
from semantic_core.protocols import Outbox
from semantic_core.testing import (
    HashEmbedder,
    MemoryOutbox,
    analyser_checks,
    embedder_checks,
    reader_checks,
    splitter_checks,
    store_checks,
)
from semantic_core.types import Ref

READER = reader_checks(
    name="beans.txt",
    data="# Beans\n\nThey climb. Ünïcödé.\n".encode(),
    phrases=["Beans", "They climb.", "Ünïcödé"],
    too_much=lambda: b"word " * 10_000_001,
)


@pytest.mark.parametrize("check", READER, ids=str)
@pytest.mark.parametrize("read", [read_text, read_markdown])
def test_the_readers_of_the_kernel_keep_the_contract(read, check):
    check(read)


@pytest.mark.parametrize("check", store_checks(), ids=str)
def test_memory_store_keeps_the_contract(check):
    check(lambda space, name="index", **options: MemoryStore(space, **options))


class StoreAlone(MemoryStore):
    """A store without full-text search and without a queue, as a store may be."""

    words = pending = fill = None


@pytest.mark.parametrize("check", store_checks(), ids=str)
def test_a_store_without_further_abilities_keeps_the_contract_or_skips_with_the_reason(check):
    try:
        check(lambda space, name="index", **options: StoreAlone(space, **options))
    except SkipTest as reason:
        lacking = (
            "This store has no full-text search",
            "This store has no queue",
            "This store has no batch jobs",
        )
        assert str(reason).startswith(lacking)


def test_checks_say_their_name_and_their_rule():
    checks = [
        *store_checks(persistent=True),
        *embedder_checks(),
        *analyser_checks(),
        *splitter_checks(),
        *READER,
    ]
    names = [str(check) for check in checks]
    assert len(set(names)) == len(names)
    for check in checks:
        assert (repr(check), bool(check.__doc__)) == (f"<check {check}>", True)


def test_an_outbox_hands_out_each_change_until_it_is_done():
    outbox = MemoryOutbox(attempts=2)
    assert isinstance(outbox, Outbox)
    first, second, third = (outbox.put(Ref("notes", key)) for key in ("1", "2", "1"))
    assert outbox.take(2) == [(first, Ref("notes", "1")), (second, Ref("notes", "2"))]
    assert outbox.take(5) == [(third, Ref("notes", "1"))]
    assert outbox.take(5) == []
    outbox.done([first])
    outbox.failed([second, first], "no network")
    assert (outbox.take(5), outbox.reasons) == (
        [(second, Ref("notes", "2"))],
        {second: "no network"},
    )
    outbox.failed([second], "still none")
    assert (outbox.take(5), outbox.given_up, outbox.leased) == (
        [],
        {second: Ref("notes", "2")},
        {third: Ref("notes", "1")},
    )
    outbox.expire()
    assert outbox.take(5) == [(third, Ref("notes", "1"))]


def test_the_hash_embedder_counts_and_fails_on_command():
    embedder = HashEmbedder(16, batch_size=2)
    embedder.embed_documents(["a", "b"])
    embedder.embed_query("q")
    assert (embedder.calls, embedder.texts, embedder.queries) == (1, ["a", "b"], ["q"])
    embedder.fail_with = EmbedderUnavailable("away")
    for call in (lambda: embedder.embed_documents(["c"]), lambda: embedder.embed_query("c")):
        with pytest.raises(EmbedderUnavailable):
            call()
    embedder.fail_with = None
    with pytest.raises(EmbedderError, match="at most 2 passages in a call, got 3"):
        embedder.embed_documents(["a", "b", "c"])
    assert (embedder.calls, embedder.texts, embedder.queries) == (1, ["a", "b"], ["q"])


def test_the_hash_embedder_gives_the_same_vector_on_every_machine():
    vector = HashEmbedder(8).embed_query("The same vector, everywhere")
    assert (
        vector.tobytes().hex() == "e4cc043f00000000538e133fea16ec3dea166c3e00000000ea16ec3e3011b1be"
    )


@pytest.mark.parametrize("check", embedder_checks(), ids=str)
def test_hash_embedder_keeps_the_contract(check):
    check(HashEmbedder)


@pytest.mark.parametrize("check", splitter_checks(foreign=None), ids=str)
def test_plain_text_splitter_keeps_the_contract(check):
    check(split_text)


@pytest.mark.parametrize("check", analyser_checks(), ids=str)
def test_the_analyser_of_words_keeps_the_contract_or_skips_with_the_reason(check):
    try:
        check(WordAnalyser)
    except SkipTest as reason:
        assert str(reason) == "This analyser has no analyse for many texts."
