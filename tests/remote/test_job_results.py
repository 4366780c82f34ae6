"""Results that were paid for are read, and what cannot be had is told from what is lost."""

from __future__ import annotations

from typing import IO

import numpy as np
import pytest

from semantic_core.errors import EmbedderError
from semantic_core.remote import (
    AccessDenied,
    KeyRefused,
    ModelUnknown,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceTimeout,
    UsageMeter,
    counted_results,
    fetched_lines,
)


def lines(content: bytes | Exception, *, gone: bool = False) -> list[object]:
    def download(into: IO[bytes]) -> None:
        if isinstance(content, Exception):
            raise content
        into.write(content)

    return list(fetched_lines(download, "job-1", lambda: gone))


def test_a_file_is_downloaded_and_read_line_by_line() -> None:
    assert lines(b'{"a": 1}\n\n{"b": 2}') == [{"a": 1}, {"b": 2}]


def test_nothing_is_downloaded_before_the_first_line_is_wanted() -> None:
    fetched_lines(lambda into: pytest.fail("downloaded"), "job-1", lambda: False)


@pytest.mark.parametrize(
    ("failure", "gone", "raised", "told"),
    [
        (ModelUnknown("404"), True, ResultsGone, "Submit its texts again"),
        (AccessDenied("403"), True, ResultsGone, "Submit its texts again"),
        (ModelUnknown("404"), False, ResultsUnavailable, "a key that may see the job"),
        (AccessDenied("403"), False, ResultsUnavailable, "a key that may see the job"),
        (ServiceDown("503"), True, ResultsUnavailable, "try again later"),
        (ServiceTimeout("slow"), True, ResultsUnavailable, "try again later"),
        (OSError("disk full"), True, ResultsUnavailable, "Free disk space"),
        (KeyRefused("401"), True, KeyRefused, ""),
    ],
)
def test_what_is_lost_is_told_from_what_cannot_be_had_now(
    failure: Exception, gone: bool, raised: type[EmbedderError], told: str
) -> None:
    with pytest.raises(raised) as caught:
        lines(failure, gone=gone)
    assert type(caught.value) is raised
    assert told in (caught.value.hint or "")


def test_each_result_is_counted_before_it_is_given_and_only_if_it_may_have_cost_something() -> None:
    meter = UsageMeter()
    vector = np.ones(1, dtype=np.float32)
    results = counted_results(
        [("a", vector, 5), None, ("b", ValueError("refused"), None), ("c", vector, 0)], meter
    )
    assert meter.read().job_texts == 0
    assert next(results)[0] == "a"
    assert (meter.read().job_texts, meter.read().job_tokens) == (1, 5)
    assert [key for key, _ in results] == ["b", "c"]
    assert (meter.read().job_texts, meter.read().job_tokens) == (2, 5)
