"""The contract of an embedder that takes batch jobs, as a list of checks.

Tested by tests/contracts/test_batch_embedder_bites.py.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping

import numpy as np

from semantic_core._text import fingerprints
from semantic_core.errors import JobLost
from semantic_core.protocols import BatchEmbedder, Metered
from semantic_core.testing.check import Check, checks_in, expect, raises, same, same_fields, skip
from semantic_core.types import Vector

OpenJobs = Callable[[], tuple[BatchEmbedder, Callable[[], object]]]
"""Makes a new embedder, and a function that lets its provider finish all jobs."""

TEXTS = ("how to bake bread at home", "a", "planets and moons", "beans climb, and so do peas")
TOLERANCE = 1e-4
"""How far a vector may be from the one of `Embedder.embed_documents`."""
UNKNOWN = "batches/nobody-made-this-one"
"""The name of a job that does not exist."""
NOT_METERED = "This embedder does not report what its answers cost (it is not Metered)."


def batch_embedder_checks() -> list[Check]:
    """The rules that every embedder with batch jobs follows, in addition to `embedder_checks`.

    Parametrize a test with them and call each with a function that makes an embedder, and a
    function that lets its provider, real or not, finish all jobs::

        def open_jobs():
            embedder = MyEmbedder()
            return embedder, embedder.finish

        @pytest.mark.parametrize("check", batch_embedder_checks(), ids=str)
        def test_jobs(check):
            check(open_jobs)
    """
    return checks_in(sys.modules[__name__])


def _passages(embedder: BatchEmbedder, *texts: str) -> dict[str, str]:
    given = texts or TEXTS
    return dict(zip(fingerprints(embedder.space, given), given, strict=True))


def _results(embedder: BatchEmbedder, job: str) -> dict[str, Vector]:
    """The results of a job by fingerprint; fails if one of them is an error."""
    found = {}
    for name, result in embedder.results(job):
        is_error = isinstance(result, Exception)
        expect(not is_error, f"results: expected a vector, found {result!r}.")
        found[name] = np.asarray(result)
    return found


def _read(embedder: BatchEmbedder, job: str) -> None:
    """Read all results of a job."""
    for _ in embedder.results(job):
        pass


def _same_vectors(embedder: BatchEmbedder, job: str, passages: Mapping[str, str]) -> None:
    """Fail unless the results of a job are the vectors of these passages."""
    found = _results(embedder, job)
    same(sorted(found), sorted(passages), "fingerprints of the results")
    wanted = embedder.embed_documents(list(passages.values()))
    for name, vector in zip(passages, wanted, strict=True):
        off = float(np.abs(found[name] - vector).max())
        expect(
            off <= TOLERANCE,
            f"the result for {passages[name]!r}: expected the vector of embed_documents, "
            f"found one that differs by {off:.3g}.",
        )


@Check
def a_job_is_found_by_its_name(open_jobs: OpenJobs) -> None:
    """`find` gives None before a job was submitted under that name, and that job afterwards."""
    embedder, _ = open_jobs()
    same(embedder.find("job-a"), None, "find before the job was submitted")
    job = embedder.submit(_passages(embedder), "job-a")
    other = embedder.submit(_passages(embedder, "another"), "job-b")
    same(embedder.find("job-a"), job, "find by the name of the first job")
    same(embedder.find("job-b"), other, "find by the name of the second job")
    same(embedder.find("job"), None, "find by the beginning of a name")


@Check
def results_are_those_of_their_passages(open_jobs: OpenJobs) -> None:
    """A finished job is COMPLETED. `results` gives the vectors of `embed_documents` by fingerprint,
    as often as it is called.
    """
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    job = embedder.submit(passages, "job-a")
    status = embedder.state(job).status
    expect(
        status in ("SUBMITTED", "PROCESSING"),
        f"status of a new job: expected SUBMITTED or PROCESSING, found {status}.",
    )
    finish()
    same(embedder.state(job).status, "COMPLETED", "status of a finished job")
    _same_vectors(embedder, job, passages)
    _same_vectors(embedder, job, passages)


@Check
def results_report_what_they_cost(open_jobs: OpenJobs) -> None:
    """If the embedder is `Metered`, each result counts before it is given, in every reading of the
    results. Results outside of the block, and in other threads, do not count.
    """
    embedder, finish = open_jobs()
    if not isinstance(embedder, Metered):
        skip(NOT_METERED)
    job = embedder.submit(_passages(embedder), "job-a")
    finish()
    sums: list[int] = []
    for _ in range(2):
        with embedder.metered() as spent:
            each = [spent.tokens for _ in embedder.results(job)]
            thread = threading.Thread(target=_read, args=(embedder, job))
            thread.start()
            thread.join()
        _read(embedder, job)
        expect(
            len(set(each)) == len(TEXTS),
            f"tokens after each result: expected a larger number each time, found {each}.",
        )
        same_fields(spent, "what the results cost", passages=len(TEXTS), tokens=each[-1])
        sums.append(each[-1])
    same(sums[1], sums[0], "tokens of the second reading of the results")


@Check
def answers_report_what_they_cost(open_jobs: OpenJobs) -> None:
    """If the embedder is `Metered`, passages and queries that are embedded within a block count.
    Within two nested blocks they count in both.
    """
    embedder, _ = open_jobs()
    if not isinstance(embedder, Metered):
        skip(NOT_METERED)
    with embedder.metered() as both:
        with embedder.metered() as documents:
            embedder.embed_documents(list(TEXTS))
        with embedder.metered() as query:
            embedder.embed_query("how is bread baked?")
    same(documents.passages, len(TEXTS), "passages of embed_documents")
    same(query.passages, 1, "passages of embed_query")
    for what, spent in (("embed_documents", documents), ("embed_query", query)):
        expect(spent.tokens > 0, f"tokens of {what}: expected some, found {spent.tokens}.")
    same(both.passages, documents.passages + 1, "passages of the outer block")
    same(both.tokens, documents.tokens + query.tokens, "tokens of the outer block")


@Check
def passages_are_read_once_and_may_be_fewer(open_jobs: OpenJobs) -> None:
    """`submit` iterates over the passages once, with ``items()``. There may be fewer passages than
    ``len`` says.
    """
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    once = _Once(passages)
    job = embedder.submit(once, "job-a")
    same(once.read, 1, "iterations over the passages")
    finish()
    _same_vectors(embedder, job, passages)


@Check
def a_job_nobody_knows_is_lost(open_jobs: OpenJobs) -> None:
    """`state` and `results` raise JobLost for a job that the provider does not know. `clean_up` of
    such a job raises no error.
    """
    embedder, _ = open_jobs()
    with raises(JobLost, "state of an unknown job"):
        embedder.state(UNKNOWN)
    with raises(JobLost, "results of an unknown job"):
        _read(embedder, UNKNOWN)
    embedder.clean_up(UNKNOWN)


@Check
def one_job_is_removed_and_no_other(open_jobs: OpenJobs) -> None:
    """After `clean_up` the job is not found any more. All other jobs are as before, also one with
    the same name. A second `clean_up` raises no error.
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
    same(embedder.find("job-a"), twin, "find by the name of both jobs")
    _same_vectors(embedder, twin, others)
    _same_vectors(embedder, second, others)


@Check
def a_job_can_be_cancelled(open_jobs: OpenJobs) -> None:
    """A cancelled job ends, with or without results. A job that has ended does not change."""
    embedder, finish = open_jobs()
    passages = _passages(embedder)
    cancelled = embedder.submit(passages, "job-a")
    finished = embedder.submit(passages, "job-b")
    embedder.cancel(cancelled)
    finish()
    status = embedder.state(cancelled).status
    expect(
        status in ("COMPLETED", "FAILED"),
        f"status of a cancelled job: expected COMPLETED or FAILED, found {status}.",
    )
    embedder.cancel(finished)
    same(embedder.state(finished).status, "COMPLETED", "status of a job cancelled after its end")
    _same_vectors(embedder, finished, passages)


class _Once(Mapping[str, str]):
    """Passages that count the iterations over them, and whose ``len`` is one too many."""

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
        """The passages; counts as an iteration."""
        self.read += 1
        return self._passages.items()
