"""Records as JSON. The keys are part of the product: programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semantic_core.batch import BatchJob, Cost, Estimate, QueueStats
    from semantic_core.types import (
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
    """A search answer. explain: with the score of every tier.

    "reason" is there when it is degraded.
    """
    answer: dict[str, Any] = {
        "query": results.query,
        "mode": results.mode,
        "degraded": results.degraded,
    }
    if results.degraded:
        answer["reason"] = results.reason
    answer["timings_ms"] = dict(results.timings)
    answer["hits"] = [hit_json(hit, explain=explain) for hit in results]
    return answer


def hit_json(hit: SearchHit, *, explain: bool = False) -> dict[str, Any]:
    """One hit; start and end count characters of the document's text."""
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
    }
    if explain:
        answer["scores"] = dict(hit.scores)
    return answer


def chunk_json(stored: StoredChunk) -> dict[str, Any]:
    """A neighbour of a hit."""
    chunk = stored.chunk
    return {
        "position": chunk.id.position,
        "headings": list(chunk.headings),
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
    }


def failures_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """What was left out, and why."""
    return [
        {"what": failure.what, "code": failure.code, "reason": failure.reason}
        for failure in failures
    ]


def report_json(report: IngestReport) -> dict[str, Any]:
    """What an ingest did; timings in seconds."""
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
    """How much there is; bytes on disk."""
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
    """Chunks by state, and jobs by status."""
    chunks = {
        "ready": stats.ready,
        "pending": stats.pending,
        "submitted": stats.submitted,
        "failed": stats.failed,
    }
    return {
        **chunks,
        "passages": stats.passages,
        "oldest_at": _moment(stats.oldest_at),
        "jobs_by_status": dict(stats.jobs),
    }


def job_json(job: BatchJob) -> dict[str, Any]:
    """A batch job; times are ISO 8601, null for what has not happened."""
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
        "created_at": _moment(job.created_at),
        "submitted_at": _moment(job.submitted_at),
        "cancelled_at": _moment(job.cancelled_at),
        "ended_at": _moment(job.ended_at),
        "updated_at": _moment(job.updated_at),
        "cleaned": job.cleaned,
    }


def cost_json(cost: Cost) -> dict[str, Any]:
    """A row of the ledger of money; amounts are texts, so that no digit is lost."""
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
    """What embedding takes; amounts are texts, seconds per tier."""
    return {
        "passages": estimate.passages,
        "tokens": estimate.tokens,
        "amounts": {tier: str(amount) for tier, amount in estimate.amounts.items()},
        "currency": estimate.currency,
        "seconds": dict(estimate.seconds),
    }


def _moment(seconds: float) -> str | None:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None
