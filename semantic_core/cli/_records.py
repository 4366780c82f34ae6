"""Records as JSON, for ``--json``. The keys are part of the product: programs read them.

Tested by tests/cli/test_search.py, tests/cli/test_ingest.py and tests/cli/test_queue.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semantic_core.batch import BatchJob, Cost, Estimate, QueueStats
    from semantic_core.cli._reading import Skipped
    from semantic_core.types import (
        Completion,
        Document,
        DocumentSummary,
        Failure,
        IngestReport,
        SearchHit,
        SearchResults,
        StoredChunk,
        StoreStats,
    )


def results_json(results: SearchResults, *, explain: bool = False) -> dict[str, Any]:
    """A search result. explain: add each retriever's score, what each step of the ranking added,
    and the reasons in words, to every hit.

    "reason" is present if the result is degraded, "did_you_mean" and "corrected" if there is one.
    """
    answer: dict[str, Any] = {
        "query": results.query,
        "mode": results.mode,
        "degraded": results.degraded,
    }
    if results.degraded:
        answer["reason"] = results.reason
    if results.did_you_mean is not None:
        answer["did_you_mean"] = results.did_you_mean
    if results.corrected is not None:
        answer["corrected"] = results.corrected
    answer["timings_ms"] = dict(results.timings)
    answer["hits"] = [hit_json(hit, explain=explain) for hit in results]
    return answer


def hit_json(hit: SearchHit, *, explain: bool = False) -> dict[str, Any]:
    """One hit; start and end are character offsets in the document's text, matches in that of the
    hit. The snippet is plain text.
    """
    answer: dict[str, Any] = {
        "tenant": hit.ref.tenant,
        "collection": hit.ref.collection,
        "key": hit.ref.key,
        "position": hit.position,
        "title": hit.title,
        "headings": list(hit.headings),
        "text": hit.text,
        "start": hit.start,
        "end": hit.end,
        "score": hit.score,
        "ranks": dict(hit.ranks),
        "metadata": dict(hit.metadata),
        "matches": [list(span) for span in hit.matches()],
        "snippet": hit.snippet(before="", after="", escape=False),
    }
    if explain:
        answer["scores"] = dict(hit.scores)
        answer["parts"] = dict(hit.parts)
        answer["explain"] = list(hit.explain())
    return answer


def completion_json(completion: Completion) -> dict[str, Any]:
    """What a text may be completed to; "ref" is present for a title."""
    answer: dict[str, Any] = {
        "text": completion.text,
        "kind": completion.kind,
        "documents": completion.documents,
    }
    if completion.ref is not None:
        answer["ref"] = {"collection": completion.ref.collection, "key": completion.ref.key}
    return answer


def chunk_json(stored: StoredChunk) -> dict[str, Any]:
    """A passage before or after a hit."""
    chunk = stored.chunk
    return {
        "position": chunk.id.position,
        "headings": list(chunk.headings),
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
    }


def failures_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """What was left out, with error code and reason."""
    return [_failure_json(failure) for failure in failures]


def _failure_json(failure: Failure) -> dict[str, str]:
    return {"what": failure.what, "code": failure.code, "reason": failure.reason}


def skipped_json(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    """The files that no plugin reads, by suffix."""
    listed = []
    for each in skipped:
        listed.append({"suffix": each.suffix, "files": each.files, "remedy": each.remedy})
    return listed


def report_json(report: IngestReport) -> dict[str, Any]:
    """The result of an ingest; timings in seconds."""
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "failed": failures_json(report.failed),
        "chunks": report.chunks,
        "embedded": report.embedded,
        "reused": report.reused,
        "pending": report.pending,
        "complete": report.complete,
        "timings_s": {step: round(spent, 4) for step, spent in report.timings.items()},
    }


def summary_json(summary: DocumentSummary) -> dict[str, Any]:
    """A document in a list."""
    return {
        "tenant": summary.ref.tenant,
        "collection": summary.ref.collection,
        "key": summary.ref.key,
        "title": summary.title,
        "media_type": summary.media_type,
        "language": summary.language,
        "metadata": dict(summary.metadata),
        "characters": summary.characters,
        "chunks": summary.chunks,
        "pending": summary.pending,
        "created_at": summary.created_at,
        "updated_at": summary.updated_at,
    }


def document_json(document: Document) -> dict[str, Any]:
    """A document with its text."""
    return {
        "tenant": document.ref.tenant,
        "collection": document.ref.collection,
        "key": document.ref.key,
        "title": document.title,
        "media_type": document.media_type,
        "language": document.language,
        "metadata": dict(document.metadata),
        "characters": len(document.text),
        "text": document.text,
    }


def stats_json(stats: StoreStats) -> dict[str, Any]:
    """The statistics of an index; bytes on disk."""
    space = stats.space
    return {
        "documents": stats.documents,
        "chunks": stats.chunks,
        "pending": stats.pending,
        "collections": dict(stats.collections),
        "bytes": stats.bytes,
        "multi_tenant": stats.multi_tenant,
        "space": {
            "model": space.model,
            "dimensions": space.dimensions,
            "task": space.task,
            "revision": space.revision,
            "settings": dict(space.settings),
        },
        "details": dict(stats.details),
    }


def queue_json(stats: QueueStats) -> dict[str, Any]:
    """The number of chunks in each state, and of jobs in each status."""
    return {
        "ready": stats.ready,
        "pending": stats.pending,
        "submitted": stats.submitted,
        "failed": stats.failed,
        "passages": stats.passages,
        "oldest_at": _timestamp(stats.oldest_at),
        "jobs_by_status": dict(stats.jobs),
    }


def job_json(job: BatchJob) -> dict[str, Any]:
    """A batch job; times are ISO 8601 in UTC, null for what has not happened."""
    return {
        "id": job.id,
        "name": job.name,
        "status": job.status,
        "provider_job": job.provider_job,
        "sent": job.sent,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "waiting": job.waiting,
        "tokens": job.tokens,
        "account": job.account,
        "paid": job.paid,
        "paid_tokens": job.paid_tokens,
        "error": job.error,
        "created_at": _timestamp(job.created_at),
        "submitted_at": _timestamp(job.submitted_at),
        "cancelled_at": _timestamp(job.cancelled_at),
        "ended_at": _timestamp(job.ended_at),
        "updated_at": _timestamp(job.updated_at),
        "cleaned": job.cleaned,
    }


def cost_json(cost: Cost) -> dict[str, Any]:
    """The cost of one day, collection, model and tier; the amount is a text, to lose no digit."""
    return {
        "day": cost.day,
        "tenant": cost.tenant,
        "collection": cost.collection,
        "model": cost.model,
        "tier": cost.tier,
        "passages": cost.passages,
        "tokens": cost.tokens,
        "amount": str(cost.amount),
        "currency": cost.currency,
    }


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """The estimated cost and duration of embedding, per price tier; amounts are texts."""
    amounts = {tier: str(amount) for tier, amount in estimate.amounts.items()}
    return {
        "passages": estimate.passages,
        "tokens": estimate.tokens,
        "amounts": amounts,
        "currency": estimate.currency,
        "seconds": dict(estimate.seconds),
    }


def _timestamp(seconds: float) -> str | None:
    """Seconds since 1970 as ISO 8601; None for 0."""
    from datetime import UTC, datetime

    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
