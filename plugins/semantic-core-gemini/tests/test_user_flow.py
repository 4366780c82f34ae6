"""What a user writes: two keys, one import in the background, and interactive calls in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_gemini import FakeGemini
from semantic_core_gemini import GoogleKeyring

from semantic_core import SemanticCore
from semantic_core.batch import BatchManager


@pytest.fixture
def book(tmp_path: Path, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", gemini.url)
    book = tmp_path / "book.md"
    book.write_text(
        "\n\n".join(f"# Chapter {number}\n\nBeans climb {'a pole ' * 40}" for number in range(20))
    )
    return book


def test_a_book_is_stored_at_once_and_found_by_meaning_when_its_job_is_done(
    book: Path, gemini: FakeGemini
) -> None:
    keys = GoogleKeyring(default="every-day-key", batch="PAID_KEY")
    with SemanticCore(keys=keys) as core:
        report = core.ingest_file("book.md", mode="async")
        assert report.added == 1 and report.pending >= 20 and gemini.requests == []
        manager: BatchManager = core.batch_manager
        (job,) = manager.flush_queue()
        assert job.status == "SUBMITTED" and job.provider_job.startswith("batches/")
        assert manager.queue_stats().submitted == report.pending
        gemini.finish()
        (done,) = manager.sync_status()
        assert done.status == "COMPLETED" and manager.queue_stats().ready == report.pending
        assert core.search("beans", mode="vector")
    assert gemini.bill("PAID_KEY").job_texts == report.pending
    assert gemini.bill("every-day-key").job_texts == 0


def test_a_book_of_one_passage_waits_for_more_or_for_force(book: Path) -> None:
    book.write_text("One passage.")
    with SemanticCore(keys=GoogleKeyring(default="d", batch="b")) as core:
        core.ingest_file("book.md", mode="async")
        assert core.batch_manager.flush_queue() == ()
        assert core.batch_manager.queue_stats().pending == 1
        (job,) = core.batch_manager.flush_queue(force=True)
        assert (job.status, job.sent) == ("SUBMITTED", 1)


@pytest.mark.parametrize("chapters", ["few", "many"])
@pytest.mark.parametrize("force", [False, True])
def test_without_a_second_key_nothing_is_flushed(
    book: Path, gemini: FakeGemini, force: bool, chapters: str
) -> None:
    if chapters == "few":
        book.write_text("One passage.")
    with SemanticCore(keys=GoogleKeyring(default="every-day-key")) as core:
        core.ingest_file("book.md", mode="async")
        with pytest.raises(ValueError, match="Batch operations require a dedicated API key"):
            core.batch_manager.flush_queue(force=force)
        assert core.batch_manager.queue_stats().pending > 0 and gemini.requests == []
