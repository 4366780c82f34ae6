"""Embedders that take jobs, broken on purpose, and the check of the kit that catches each."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from semantic_core._jobs import JobState
from semantic_core.errors import JobLost
from semantic_core.testing import JobEmbedder, batch_embedder_checks

CHECKS = {str(check): check for check in batch_embedder_checks()}


class FoundByTheBeginning(JobEmbedder):
    def find(self, name):
        return next((job for job, one in self.jobs.items() if one.name.startswith(name)), None)


class ResultsByPlace(JobEmbedder):
    def _lines(self, there):
        lines = list(super()._lines(there))
        vectors = [vector for _, vector in lines]
        return zip(there.passages, vectors[::-1], strict=True)


class ResultsOnce(JobEmbedder):
    def results(self, job):
        yield from super().results(job)
        self.jobs[job].passages = {}


class CountsFirst(JobEmbedder):
    def submit(self, passages, name):
        assert sum(1 for _ in passages) > 0
        return super().submit(passages, name)


class UnknownIsRunning(JobEmbedder):
    """A job that is gone is waited for for ever."""

    def state(self, job):
        try:
            return super().state(job)
        except JobLost:
            return JobState("PROCESSING")


class RemovingFails(JobEmbedder):
    def clean_up(self, job):
        self._there(job)
        super().clean_up(job)


class RemovesByName(JobEmbedder):
    def clean_up(self, job):
        name = self.jobs[job].name if job in self.jobs else ""
        self.jobs = {key: one for key, one in self.jobs.items() if one.name != name}


class CancelsWhatHasEnded(JobEmbedder):
    def cancel(self, job):
        self._there(job).state = JobState("FAILED", "CANCELLED")


class ResultsCostAtTheEnd(JobEmbedder):
    def results(self, job):
        paid, self._meter.paid = self._meter.paid, lambda passages, tokens: None
        yield from super().results(job)
        self._meter.paid = paid
        there = self.jobs[job].passages.values()
        self._meter.paid(len(there), sum(map(self.counted, there)))


class OnlyTheFirstReadingCosts(JobEmbedder):
    def results(self, job):
        first = not self.jobs[job].reads
        for result in super().results(job):
            if not first:
                self._meter.paid(-1, -1)
            yield result


class AllThreadsAreOne(JobEmbedder):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self._meter._local = SimpleNamespace()


class QueriesAreFree(JobEmbedder):
    def embed_query(self, text):
        return self._vector(text)


class InnerBlocksKeepItAll(JobEmbedder):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        blocks = self._meter._blocks
        self._meter._blocks = lambda: blocks() if self._entering() else blocks()[-1:]

    @staticmethod
    def _entering():
        return sys._getframe(2).f_code.co_name != "paid"


CAUGHT_BY = {
    ResultsCostAtTheEnd: "results_report_what_they_cost",
    OnlyTheFirstReadingCosts: "results_report_what_they_cost",
    AllThreadsAreOne: "results_report_what_they_cost",
    QueriesAreFree: "answers_report_what_they_cost",
    InnerBlocksKeepItAll: "answers_report_what_they_cost",
    FoundByTheBeginning: "a_job_is_found_by_its_name",
    ResultsByPlace: "results_are_those_of_their_passages",
    ResultsOnce: "results_are_those_of_their_passages",
    CountsFirst: "passages_are_read_once_and_may_be_fewer",
    UnknownIsRunning: "a_job_nobody_knows_is_lost",
    RemovingFails: "a_job_nobody_knows_is_lost",
    RemovesByName: "one_job_is_removed_and_no_other",
    CancelsWhatHasEnded: "a_job_can_be_cancelled",
}


def opening(kind: type[JobEmbedder]) -> Any:
    def opened() -> Any:
        embedder = kind(8)
        return embedder, embedder.finish

    return opened


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_the_stand_in_keeps_the_contract(check) -> None:
    check(opening(JobEmbedder))


@pytest.mark.parametrize("mutant", CAUGHT_BY, ids=lambda mutant: mutant.__name__)
def test_a_broken_embedder_is_caught(mutant) -> None:
    with pytest.raises((AssertionError, JobLost)):
        CHECKS[CAUGHT_BY[mutant]](opening(mutant))


def test_every_check_has_a_mutant() -> None:
    assert set(CAUGHT_BY.values()) == set(CHECKS)
