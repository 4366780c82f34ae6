"""The contract of an embedder that takes batch jobs, as a list of checks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping

import numpy as np

from semantic_core._text import fingerprints
from semantic_core.errors import JobLost
from semantic_core.protocols import BatchEmbedder, Metered
from semantic_core.testing.check import Check, checks_in, expect, raises, same, skip
from semantic_core.types import Vector

OpenJobs = Callable[[], tuple[BatchEmbedder, Callable[[], object]]]
"""Gives a new embedder, and what lets its provider finish all jobs under way."""

TEXTS = ("how to bake bread at home", "a", "planets and moons", "beans climb, and so do peas")
TOLERANCE = 1e-4
"""How far a vector may be from that of `Embedder.embed_documents`."""
UNKNOWN = "batches/nobody-made-this-one"


def batch_embedder_checks() -> list[Check]:
    """The rules every embedder that takes jobs keeps, beside `embedder_checks`. Give each to
    pytest, with what makes an embedder and has its provider, real or not, finish its jobs::

    @pytest.mark.parametrize("check", batch_embedder_checks(), ids=str)
    def test_jobs(check):
        check(lambda: (embedder := MyEmbedder(), embedder.finish))
    """
    return checks_in(sys.modules[__name__])


def _passages(embedder: BatchEmbedder, *texts: str) -> dict[str, str]:
    given = texts or TEXTS
    return dict(zip(fingerprints(embedder.space, given), given, strict=True))


def _results(embedder: BatchEmbedder, job: str) -> dict[str, Vector]:
    found = {}
    for name, result in embedder.results(job):
        expect(not isinstance(result, Exception), f"results: expected a vector, found {result!r}.")
        found[name] = np.asarray(result)
    return found


def _same_vectors(embedder: BatchEmbedder, job: str, passages: Mapping[str, str]) -> None:
    found = _results(embedder, job)
    same(sorted(found), sorted(passages), "fingerprints of the results")
    wanted = embedder.embed_documents(list(passages.values()))
    for name, vector in zip(passages, wanted, strict=True):
        off = float(np.abs(found[name] - vector).max())
        expect(off <= TOLERANCE, f"the vector of {passages[name]!r} is off by {off:.3g}.")


@Check
def a_job_is_found_by_its_name(open_jobs: OpenJobs) -> None:
    """`find` gives nothing before a job was submitted under that name, and then that job."""
    embedder, _ = open_jobs()
    same(embedder.find("job-a"), None, "find before anything was submitted")
    job = embedder.submit(_passages(embedder), "job-a")
    other = embedder.submit(_passages(embedder, "another"), "job-b")
    same((embedder.find("job-a"), embedder.find("job-b")), (job, other), "find")
    same(embedder.find("job"), None, "find by the beginning of a name")


@Check
def results_are_those_of_their_passages(open_jobs: OpenJobs) -> None:
    """A finished job is COMPLETED and gives the vectors of `embed_documents`, by fingerprint;
    as often as they are asked for.
    """
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    job = embedder.submit(passages, "job-a")
    expect(embedder.state(job).status in ("SUBMITTED", "PROCESSING"), "a new job has ended already")
    finish()
    same(embedder.state(job).status, "COMPLETED", "status")
    _same_vectors(embedder, job, passages)
    _same_vectors(embedder, job, passages)


@Check
def results_report_what_they_cost(open_jobs: OpenJobs) -> None:
    """Where an embedder is `Metered`: each result that was paid for counts before it is given, in
    every reading; outside of a block, and in other threads, nothing does.
    """
    embedder, finish = open_jobs()
    if not isinstance(embedder, Metered):
        skip("This embedder does not tell what its answers cost (it is not Metered).")
    job = embedder.submit(_passages(embedder), "job-a")
    finish()
    counts = []
    for _ in range(2):
        with embedder.metered() as spent:
            each = [spent.tokens for _ in embedder.results(job)]
            thread = threading.Thread(target=lambda: list(embedder.results(job)))
            thread.start()
            thread.join()
        list(embedder.results(job))
        expect(len(set(each)) == len(TEXTS), f"tokens after each of the results: {each}.")
        same((spent.passages, spent.tokens), (len(TEXTS), each[-1]), "passages and tokens paid for")
        counts.append(each[-1])
    same(counts[0], counts[1], "tokens of both readings")


@Check
def answers_report_what_they_cost(open_jobs: OpenJobs) -> None:
    """Likewise of passages and of queries; one within another block counts in both."""
    embedder, _ = open_jobs()
    if not isinstance(embedder, Metered):
        skip("This embedder does not tell what its answers cost (it is not Metered).")
    with embedder.metered() as both:
        with embedder.metered() as documents:
            embedder.embed_documents(list(TEXTS))
        with embedder.metered() as query:
            embedder.embed_query("how is bread baked?")
    same((documents.passages, query.passages), (len(TEXTS), 1), "passages paid for")
    expect(documents.tokens > 0 and query.tokens > 0, "an answer that was paid for cost nothing")
    wanted = (documents.passages + 1, documents.tokens + query.tokens)
    same((both.passages, both.tokens), wanted, "passages and tokens of both")


@Check
def passages_are_read_once_and_may_be_fewer(open_jobs: OpenJobs) -> None:
    """`submit` goes through the passages once, by ``items()``; fewer may come than ``len`` says."""
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    once = _Once(passages)
    job = embedder.submit(once, "job-a")
    same(once.read, 1, "times the passages were gone through")
    finish()
    _same_vectors(embedder, job, passages)


@Check
def a_job_nobody_knows_is_lost(open_jobs: OpenJobs) -> None:
    """`state` and `results` raise JobLost for a job the provider does not know; to remove it is no
    error.
    """
    embedder, _ = open_jobs()
    with raises(JobLost, "state of a job nobody knows"):
        embedder.state(UNKNOWN)
    with raises(JobLost, "results of a job nobody knows"):
        list(embedder.results(UNKNOWN))
    embedder.clean_up(UNKNOWN)


@Check
def one_job_is_removed_and_no_other(open_jobs: OpenJobs) -> None:
    """After `clean_up` a job is not found any more, and all others are as they were, one of the
    same name too. To do it again is no error.
    """
    embedder, finish = open_jobs()
    first = embedder.submit(_passages(embedder), "job-a")
    others = _passages(embedder, "another", "and one more")
    twin = embedder.submit(others, "job-a")
    second = embedder.submit(others, "job-b")
    finish()
    embedder.clean_up(first)
    embedder.clean_up(first)
    with raises(JobLost, "state of a job that was removed"):
        embedder.state(first)
    same(embedder.find("job-a"), twin, "find by the name of both")
    _same_vectors(embedder, twin, others)
    _same_vectors(embedder, second, others)


@Check
def a_job_can_be_cancelled(open_jobs: OpenJobs) -> None:
    """A job that is cancelled ends, with results or without; one that has ended stays as it is."""
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    cancelled, kept = (embedder.submit(passages, name) for name in ("job-a", "job-b"))
    embedder.cancel(cancelled)
    finish()
    expect(embedder.state(cancelled).status in ("COMPLETED", "FAILED"), "a cancelled job goes on")
    embedder.cancel(kept)
    same(embedder.state(kept).status, "COMPLETED", "status of a job cancelled after its end")
    _same_vectors(embedder, kept, passages)


class _Once(Mapping[str, str]):
    """Passages that count how often they are gone through, and are fewer than they seem."""

    def __init__(self, passages: Mapping[str, str]) -> None:
        self._passages = passages
        self.read = 0

    def __len__(self) -> int:
        return len(self._passages) + 1

    def __getitem__(self, name: str) -> str:
        return self._passages[name]

    def __iter__(self) -> Iterator[str]:
        self.read += 1
        return iter(self._passages)

    def items(self) -> ItemsView[str, str]:
        """Each passage once more."""
        self.read += 1
        return self._passages.items()
