"""What the fake remembers: files on disk, jobs, and a bill per key.

Files and jobs belong to the project of the key that made them.
"""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fake_gemini._meaning import tokens_of, vector_of

MOST_READ = {"gemini-embedding-001": 2_048, "gemini-embedding-2": 8_192}
KEPT_SECONDS = 48 * 3_600.0
"""How long a file is kept, the results of a job included."""
JOB_ID = 36
"""Characters of the name of a job; its result file is called ``batch-`` and the same again."""
UPLOAD_ID = 12
OPEN_STATES = ("BATCH_STATE_PENDING", "BATCH_STATE_RUNNING")


def _id(length: int) -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))


@dataclass
class Bill:
    """What one key has to pay for. cut: texts longer than the model reads,
    which were billed for what it reads.
    """

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    job_texts: int = 0
    job_tokens: int = 0
    counted: int = 0
    cut: int = 0


@dataclass
class File:
    """owner: a project. created: when it was made, seconds since 1970."""

    name: str
    owner: str
    display_name: str
    path: Path
    source: str = "UPLOADED"
    size: int = 0
    created: float = 0.0

    def shown(self) -> dict[str, Any]:
        told = {
            "name": self.name,
            "displayName": self.display_name,
            "mimeType": "application/jsonl",
            "state": "ACTIVE",
        }
        told |= {
            "sizeBytes": str(self.size),
            "source": self.source,
            "uri": f"http://fake/v1beta/{self.name}",
        }
        if self.source == "GENERATED":
            told["downloadUri"] = f"http://fake/v1beta/{self.name}:download?alt=media"
        return told


@dataclass
class Job:
    """owner: a project. key: the one of its keys that pays. tokens: of all its texts, as far as
    they were counted. names_input: whether its input file is told with it.
    """

    name: str
    owner: str
    key: str
    display_name: str
    model: str
    file_name: str | None
    requests: list[dict[str, Any]] | None
    state: str = "BATCH_STATE_PENDING"
    error: dict[str, Any] | None = None
    output: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    created: float = 0.0
    updated: float = 0.0
    names_input: bool = False

    def shown(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.EmbedContentBatch",
            "model": f"models/{self.model}",
            "displayName": self.display_name,
            "state": self.state,
            "createTime": _stamp(self.created),
            "updateTime": _stamp(self.updated),
            "name": self.name,
        }
        if self.state not in OPEN_STATES:
            metadata["endTime"] = _stamp(self.updated)
        if self.file_name and self.names_input:
            metadata["inputConfig"] = {"fileName": self.file_name}
        if self.stats:
            metadata["batchStats"] = self.stats
        if self.output:
            metadata["output"] = self.output
        told: dict[str, Any] = {"name": self.name, "metadata": metadata}
        if self.error:
            told["error"] = self.error
        if self.state not in OPEN_STATES:
            told["done"] = True
        return told


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class State:
    """Everything that outlives a request. Guarded by the server's lock.

    ahead: seconds the service's clock is ahead of this machine's. token_count: whether results tell
    their tokens as ``tokenCount`` instead of in ``usageMetadata``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, File] = {}
        self.jobs: dict[str, Job] = {}
        self.uploads: dict[str, File] = {}
        self.bills: dict[str, Bill] = {}
        # Whether all texts have one vector, where only their number is of interest.
        self.cheap_vectors = False
        self.token_count = False
        self.ahead = 0.0
        self._cheap: dict[int, str] = {}

    def bill(self, key: str) -> Bill:
        return self.bills.setdefault(key, Bill())

    def now(self) -> float:
        return time.time() + self.ahead

    def new_file(self, owner: str, display_name: str, source: str, id: str = "") -> File:
        name = id or _id(UPLOAD_ID)
        file = File(f"files/{name}", owner, display_name, self.folder / name, source)
        file.created = self.now()
        file.path.touch()
        return file

    def new_job(self, owner: str, key: str, model: str, batch: dict[str, Any]) -> Job:
        """A job that is not there yet: see `jobs`."""
        config = batch["inputConfig"]
        inline = (config.get("requests") or {}).get("requests")
        file_name = config.get("fileName") or config.get("file_name")
        name = f"batches/{_id(JOB_ID)}"
        job = Job(name, owner, key, batch.get("displayName", ""), model, file_name, inline)
        job.created = job.updated = self.now()
        return job

    def open_jobs(self, owner: str) -> list[Job]:
        """The jobs of a project that have not ended."""
        return [
            job for job in self.jobs.values() if job.owner == owner and job.state in OPEN_STATES
        ]

    def tokens_of(self, job: Job) -> int:
        """Tokens of all texts of a job."""
        return sum(
            tokens_of("".join(part.get("text", "") for part in one["request"]["content"]["parts"]))
            for one in self.lines_of(job)
        )

    def forget_old_files(self) -> None:
        """Throw away what was kept for long enough."""
        for file in list(self.files.values()):
            if self.now() - file.created > KEPT_SECONDS:
                del self.files[file.name]
                file.path.unlink()

    def embed(
        self, key: str, model: str, request: dict[str, Any], tier: str
    ) -> tuple[list[float], int]:
        """The numbers and the tokens of one request, billed."""
        text = "".join(part.get("text", "") for part in request["content"]["parts"])
        tokens = tokens_of(text)
        bill = self.bill(key)
        if tokens > MOST_READ[model]:
            bill.cut += 1
            tokens = MOST_READ[model]
        if tier == "job":
            bill.job_texts += 1
            bill.job_tokens += tokens
        else:
            bill.texts += 1
            bill.tokens += tokens
        size = request.get("outputDimensionality") or request.get("output_dimensionality") or 3_072
        meaning = "cheap" if self.cheap_vectors else text
        return [round(float(number), 7) for number in vector_of(meaning, model, size)], tokens

    def lines_of(self, job: Job) -> Iterator[dict[str, Any]]:
        """(key, request) of a job, one by one."""
        if job.requests is not None:
            for one in job.requests:
                yield {"key": (one.get("metadata") or {}).get("key"), "request": one["request"]}
            return
        with self.files[job.file_name or ""].path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)

    def answer_lines(self, job: Job) -> Iterator[str]:
        """The results of a job as lines, one by one, billed."""
        for one in self.lines_of(job):
            if self.cheap_vectors:
                yield self._cheap_line(job, one)
                continue
            values, tokens = self.embed(job.key, job.model, one["request"], "job")
            response = {"embedding": {"values": values}, **self._told(tokens)}
            yield json.dumps({"key": one["key"], "response": response})

    def _told(self, tokens: int) -> dict[str, Any]:
        if self.token_count:
            return {"tokenCount": str(tokens)}
        return {"usageMetadata": {"promptTokenCount": tokens}}

    def _cheap_line(self, job: Job, one: dict[str, Any]) -> str:
        """A line with always the same numbers, for jobs so large that only their size
        is of interest.
        """
        size = one["request"].get("outputDimensionality", 128)
        if size not in self._cheap:
            self._cheap[size] = json.dumps(
                [round(float(number), 7) for number in vector_of("cheap", job.model, size)]
            )
        tokens = tokens_of(one["request"]["content"]["parts"][0]["text"])
        bill = self.bill(job.key)
        bill.job_texts += 1
        bill.job_tokens += tokens
        numbers = self._cheap[size]
        key, told = json.dumps(one["key"]), json.dumps(self._told(tokens))[1:]
        return f'{{"key": {key}, "response": {{"embedding": {{"values": {numbers}}}, {told}}}'
