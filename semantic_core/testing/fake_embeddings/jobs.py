"""What the fake service remembers: files, batch jobs, and a bill for each key.

Tested by tests/contracts/test_fake_embeddings.py.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal, get_args

import attrs

from semantic_core.testing.fakes import HashEmbedder

CHARACTERS_A_TOKEN: Final = 4
FILE_SECONDS: Final = 30 * 86_400.0
"""How long a file is kept."""
UNDER_WAY: Final = ("validating", "in_progress", "finalizing", "cancelling")
"""States of a job that has not ended."""

ResultShape = Literal[
    "whole", "shuffled", "doubled", "partial", "errors", "foreign", "busy", "invalid"
]
"""How the results of a job come back, see `FakeEmbeddings.finish`."""


@attrs.define
class KeyBill:
    """What one key has to pay for. passages: how often each text was paid for."""

    calls: int = 0
    texts: int = 0
    tokens: int = 0
    job_texts: int = 0
    job_tokens: int = 0
    passages: Counter[str] = attrs.field(factory=Counter)


@attrs.define
class StoredFile:
    """A file. owner: the account it belongs to."""

    id: str
    owner: str
    name: str
    purpose: str
    content: bytes
    created: float

    def shown(self) -> dict[str, Any]:
        """The file as the service describes it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": int(self.created),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@attrs.define
class FakeJob:
    """A batch job. key: the one that pays. passages: its texts by ``custom_id``. tokens: of all of
    them.

    refused: why it fails as soon as somebody looks at it; "" if it does not.
    """

    id: str
    owner: str
    key: str
    input_file: str
    metadata: Mapping[str, str]
    passages: dict[str, str]
    tokens: int
    created: float
    status: str = "validating"
    refused: str = ""
    errors: list[dict[str, Any]] = attrs.field(factory=list)
    output_file: str | None = None
    error_file: str | None = None
    completed: int = 0
    failed: int = 0
    ended: float | None = None

    @property
    def name(self) -> str:
        """The name in its metadata; "" if there is none."""
        return self.metadata.get("name", "")

    def shown(self) -> dict[str, Any]:
        """The job as the service describes it."""
        errors = {"object": "list", "data": self.errors} if self.errors else None
        ended = None if self.ended is None else int(self.ended)
        known = self.status not in ("validating", "failed")
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/embeddings",
            "errors": errors,
            "input_file_id": self.input_file,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "created_at": int(self.created),
            "completed_at": ended if self.status == "completed" else None,
            "failed_at": ended if self.status == "failed" else None,
            "expired_at": ended if self.status == "expired" else None,
            "cancelled_at": ended if self.status == "cancelled" else None,
            "request_counts": {
                "total": len(self.passages) if known else 0,
                "completed": self.completed,
                "failed": self.failed,
            },
            "metadata": dict(self.metadata) or None,
        }


class FakeState:
    """Everything that outlives a request. ahead: seconds the service's clock is ahead of ours.

    dimensions: of a vector, unless a request asks for fewer. characters_a_token, file_seconds: see
    `FakeEmbeddings`.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.bills: dict[str, KeyBill] = {}
        self.ahead = 0.0
        self.characters_a_token = CHARACTERS_A_TOKEN
        self.file_seconds = FILE_SECONDS
        self._embedders: dict[int, HashEmbedder] = {}
        self._numbers = count(1)

    def now(self) -> float:
        """Seconds since 1970, by the service's clock."""
        return time.time() + self.ahead

    def bill(self, key: str) -> KeyBill:
        """The bill of a key."""
        return self.bills.setdefault(key, KeyBill())

    def tokens_of(self, text: str) -> int:
        """The tokens that are billed for a text."""
        return max(1, -(-len(text) // self.characters_a_token))

    def vector(self, text: str, dimensions: int) -> list[float]:
        """The vector of a text, of length 1. Texts with the same words have similar ones."""
        if dimensions not in self._embedders:
            self._embedders[dimensions] = HashEmbedder(dimensions, max_chars=1_000_000)
        vector = self._embedders[dimensions].embed_query(text)
        return [round(float(number), 8) for number in vector]

    def pay_call(self, key: str, texts: Sequence[str]) -> int:
        """Bill the texts of a call; returns their tokens."""
        tokens = sum(map(self.tokens_of, texts))
        bill = self.bill(key)
        bill.calls += 1
        bill.texts += len(texts)
        bill.tokens += tokens
        bill.passages.update(texts)
        return tokens

    def new_file(self, owner: str, name: str, purpose: str, content: bytes) -> StoredFile:
        """A stored file."""
        id = f"file-{next(self._numbers):022d}"
        self.files[id] = StoredFile(id, owner, name, purpose, content, self.now())
        return self.files[id]

    def new_job(
        self, owner: str, key: str, file: StoredFile, metadata: Mapping[str, str]
    ) -> FakeJob:
        """A job with the lines of this file, which is not among the jobs yet.

        Raises ValueError for a file that has no valid lines.
        """
        passages: dict[str, str] = {}
        for line in file.content.splitlines():
            request = json.loads(line)
            text = request["body"]["input"]
            passages[request["custom_id"]] = text if isinstance(text, str) else text[0]
        if not passages:
            raise ValueError("The file is empty.")
        id = f"batch_{next(self._numbers):024d}"
        tokens = sum(map(self.tokens_of, passages.values()))
        return FakeJob(id, owner, key, file.id, metadata, passages, tokens, self.now())

    def open_jobs(self, owner: str) -> list[FakeJob]:
        """The jobs of an account that have not ended."""
        return [job for job in self.jobs.values() if job.owner == owner and _is_open(job)]

    def look(self, job: FakeJob) -> None:
        """What happens to a job when somebody looks at it: a refused one has failed."""
        if job.refused and job.status == "validating":
            self.end(job, "failed")
            job.errors = [
                {
                    "code": "token_limit_exceeded",
                    "message": job.refused,
                    "param": None,
                    "line": None,
                }
            ]

    def end(self, job: FakeJob, status: str) -> None:
        """End a job without results."""
        job.status = status
        job.ended = self.now()

    def finish(self, job: FakeJob, status: str, shape: ResultShape) -> None:
        """End a job with results, and bill them."""
        lines = list(self._lines(job, shape))
        good = [line for line in lines if line[1]]
        bad = [line for line in lines if not line[1]]
        if shape == "shuffled":
            good = [*good[1::2], *good[::2]][::-1]
        if shape == "doubled":
            good = [*good, *good[::-1]]
        if shape == "foreign":
            good = [(id[::-1], True, line.replace(id, id[::-1])) for id, _, line in good] + good
        if good:
            job.output_file = self._results(job, "output", good)
        if bad:
            job.error_file = self._results(job, "error", bad)
        job.completed = len({id for id, _, _ in good} & set(job.passages))
        job.failed = len(bad)
        self.end(job, status)

    def forget_old_files(self) -> None:
        """Remove what was kept for long enough."""
        for file in list(self.files.values()):
            if self.now() - file.created > self.file_seconds:
                del self.files[file.id]

    def _results(self, job: FakeJob, kind: str, lines: Sequence[tuple[str, bool, str]]) -> str:
        content = "".join(f"{line}\n" for _, _, line in lines).encode()
        return self.new_file(job.owner, f"{job.id}_{kind}.jsonl", "batch_output", content).id

    def _lines(self, job: FakeJob, shape: ResultShape) -> Iterator[tuple[str, bool, str]]:
        """(custom_id, whether it succeeded, line) of each request of a job, billed."""
        requests = self._requests(job)
        for place, (id, body) in enumerate(requests):
            spoiled = shape in ("partial", "errors", "busy") and place % 2 == 1
            if spoiled:
                yield (
                    id,
                    False,
                    json.dumps({"custom_id": id, **_SPOILED[shape]}),
                )
                continue
            text = job.passages[id]
            tokens = self.tokens_of(text)
            bill = self.bill(job.key)
            bill.job_texts += 1
            bill.job_tokens += tokens
            bill.passages[text] += 1
            vector = self.vector(text, body.get("dimensions", self.dimensions))
            if shape == "invalid" and place % 2 == 1:
                vector = [0.0] * len(vector)
            answer = {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": vector}],
                "model": body.get("model", ""),
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
            response = {"status_code": 200, "request_id": f"q-{place}", "body": answer}
            line = {"id": f"r-{place}", "custom_id": id, "response": response, "error": None}
            yield id, True, json.dumps(line)

    def _requests(self, job: FakeJob) -> list[tuple[str, Mapping[str, Any]]]:
        """(custom_id, body) of each request. Without its file, of what is known of them."""
        file = self.files.get(job.input_file)
        if file is None:
            return [(id, {}) for id in job.passages]
        lines = map(json.loads, file.content.splitlines())
        return [(line["custom_id"], line["body"]) for line in lines]


def _is_open(job: FakeJob) -> bool:
    return job.status in UNDER_WAY


def _refusal(status: int, message: str, kind: str) -> dict[str, Any]:
    error = {"message": message, "type": kind, "param": None, "code": None}
    return {"response": {"status_code": status, "body": {"error": error}}, "error": None}


_SPOILED: Final[Mapping[str, dict[str, Any]]] = {
    "partial": {
        "response": None,
        "error": {
            "code": "batch_expired",
            "message": "This request could not be executed before the completion window expired.",
        },
    },
    "errors": _refusal(400, "The input is not accepted.", "invalid_request_error"),
    "busy": _refusal(500, "The server had an error.", "server_error"),
}
"""What stands instead of a result, by the shape of the results."""
RESULT_SHAPES: Final[tuple[ResultShape, ...]] = get_args(ResultShape)
