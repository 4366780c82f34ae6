"""What the fake remembers: files on disk, jobs, and a bill per key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_gemini._meaning import tokens_of, vector_of

MOST_READ = {"gemini-embedding-001": 2_048, "gemini-embedding-2": 8_192}


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
    name: str
    owner: str
    display_name: str
    path: Path
    source: str = "UPLOADED"
    size: int = 0

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
    name: str
    owner: str
    display_name: str
    model: str
    file_name: str | None
    requests: list[dict[str, Any]] | None
    state: str = "BATCH_STATE_PENDING"
    error: dict[str, Any] | None = None
    output: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.EmbedContentBatch",
            "model": f"models/{self.model}",
            "displayName": self.display_name,
            "state": self.state,
            "createTime": "2026-11-20T10:00:00.000000Z",
            "updateTime": "2026-11-20T10:05:00.000000Z",
            "name": self.name,
        }
        if self.file_name:
            metadata["inputConfig"] = {"fileName": self.file_name}
        if self.stats:
            metadata["batchStats"] = self.stats
        if self.output:
            metadata["output"] = self.output
        told: dict[str, Any] = {"name": self.name, "metadata": metadata}
        if self.error:
            told["error"] = self.error
        if self.state not in ("BATCH_STATE_PENDING", "BATCH_STATE_RUNNING"):
            told["done"] = True
        return told


class State:
    """Everything that outlives a request. Guarded by the server's lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, File] = {}
        self.jobs: dict[str, Job] = {}
        self.uploads: dict[str, File] = {}
        self.bills: dict[str, Bill] = {}
        # Whether all texts have one vector, where only their number is of interest.
        self.cheap_vectors = False
        self._numbers = itertools.count(1)
        self._cheap: dict[int, str] = {}

    def bill(self, key: str) -> Bill:
        return self.bills.setdefault(key, Bill())

    def new_file(self, owner: str, display_name: str, source: str) -> File:
        number = next(self._numbers)
        file = File(f"files/f{number}", owner, display_name, self.folder / f"f{number}", source)
        file.path.touch()
        return file

    def new_job(self, owner: str, model: str, batch: dict[str, Any]) -> Job:
        config = batch["inputConfig"]
        inline = (config.get("requests") or {}).get("requests")
        file_name = config.get("fileName") or config.get("file_name")
        name = f"batches/b{next(self._numbers)}"
        job = Job(name, owner, batch.get("displayName", ""), model, file_name, inline)
        self.jobs[name] = job
        return job

    def embed(
        self, owner: str, model: str, request: dict[str, Any], lane: str
    ) -> tuple[list[float], int]:
        """The numbers and the tokens of one request, billed."""
        text = "".join(part.get("text", "") for part in request["content"]["parts"])
        tokens = tokens_of(text)
        bill = self.bill(owner)
        if tokens > MOST_READ[model]:
            bill.cut += 1
            tokens = MOST_READ[model]
        if lane == "job":
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
            values, tokens = self.embed(job.owner, job.model, one["request"], "job")
            answer = {
                "key": one["key"],
                "response": {"embedding": {"values": values}, "tokenCount": str(tokens)},
            }
            yield json.dumps(answer)

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
        bill = self.bill(job.owner)
        bill.job_texts += 1
        bill.job_tokens += tokens
        numbers = self._cheap[size]
        key = json.dumps(one["key"])
        return (
            f'{{"key": {key}, "response": {{"embedding": {{"values": {numbers}}}, '
            f'"tokenCount": "{tokens}"}}}}'
        )
