"""The server: routes, keys, and what a test can ask it to do.

Loopback only; a thread for each connection.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_gemini._faults import FAULTS, Fault
from fake_gemini._meaning import tokens_of
from fake_gemini._state import MOST_READ, OPEN_STATES, Bill, File, Job, State

MOST_TEXTS = 100
MOST_OPEN_JOBS = 100
MOST_ENQUEUED_TOKENS = 500_000
"""Tokens of all jobs of a project that have not ended, for one model. What a project is allowed is
shown in Google AI Studio only; this is of the size users of the first paid tier report.
"""
LONGEST_FILE_ID = 40
EXHAUSTED = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
INVALID_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        ],
    }
}


def problem(
    code: int, status: str, message: str, details: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """An error in Google's form."""
    return {
        "error": {
            "code": code,
            "message": message,
            "status": status,
            **({"details": details} if details else {}),
        }
    }


class Refused(Exception):
    """A request is answered with an error of the normal kind."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.body = code, problem(code, status, message)


class FakeGemini:
    """A service on this machine. Use it in a ``with``, or call `start` and `stop`.

    requests: every request as (route, key), in order. refused_keys: keys that are not known here.
    poison: texts that hold this string are refused with status 400. blank: texts that hold this
    string have a vector of zeros, each time. auto: jobs are done when they are first looked at.

    As with the real service, jobs, files and quotas are a project's. projects: which one a key is
    of; a key that is not in it has a project of its own. most_open_jobs, most_enqueued_tokens: of a
    project; 0: any number. deletes_results: whether the file of results can be deleted; the real
    service refuses it, since its name is too long. names_input: whether a job tells its input file;
    the real one does not. Results are gone after 48 hours: see `turn`.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.refused_keys: set[str] = set()
        self.poison = self.blank = ""
        self.projects: dict[str, str] = {}
        self.most_open_jobs = MOST_OPEN_JOBS
        self.most_enqueued_tokens = MOST_ENQUEUED_TOKENS
        self.deletes_results = self.names_input = False
        self.auto = False
        self.key_in_upload_url = False
        self.query_keys: list[str] = []
        self.closing = threading.Event()
        self._plans: dict[str, list[tuple[Fault, str | None]]] = defaultdict(list)
        self._folder = Path(tempfile.mkdtemp(prefix="fake-gemini-"))
        self.state = State(self._folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.gemini = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> FakeGemini:
        self._thread.start()
        return self

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> FakeGemini:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def misbehave(
        self, route: str, fault: str | Fault, *, times: int = 1, key: str | None = None
    ) -> None:
        """The next so many requests of that route (of that key) go wrong in that way."""
        chosen = FAULTS[fault] if isinstance(fault, str) else fault
        with self.lock:
            self._plans[route] += [(chosen, key)] * times

    def behave(self) -> None:
        """From now on nothing goes wrong any more."""
        with self.lock:
            self._plans.clear()

    @property
    def pending_faults(self) -> int:
        """How many planned faults nobody has run into yet."""
        with self.lock:
            return sum(map(len, self._plans.values()))

    def turn(self, hours: float) -> None:
        """Let time go by at the service."""
        with self.lock:
            self.state.ahead += hours * 3_600
            self.state.forget_old_files()

    def project(self, key: str) -> str:
        return self.projects.get(key, f"the project of {key}")

    def uploads(self) -> list[str]:
        """Names of the files people put here that are still there."""
        with self.lock:
            return [file.name for file in self.state.files.values() if file.source == "UPLOADED"]

    def bill(self, key: str) -> Bill:
        with self.lock:
            return self.state.bill(key)

    def count(self, route: str, key: str | None = None) -> int:
        """How many requests of that route came."""
        with self.lock:
            return sum(1 for one, who in self.requests if one == route and key in (None, who))

    def finish(
        self,
        job: str | None = None,
        *,
        state: str = "SUCCEEDED",
        error: dict[str, Any] | None = None,
        rewrite: Callable[[Iterable[str]], Iterable[str]] | None = None,
        output: bool | None = None,
    ) -> None:
        """Bring a job (without a name: all that wait) to an end.

        rewrite: makes other lines of its result lines. output: whether there are results; by
        default if it succeeded.
        """
        with self.lock:
            for one in [self.state.jobs[job]] if job else list(self.state.jobs.values()):
                if job or one.state in OPEN_STATES:
                    self._finish(one, state, error, rewrite, output)

    def _finish(self, job: Job, state: str, error: Any, rewrite: Any, output: bool | None) -> None:
        job.state, job.error = f"BATCH_STATE_{state}", error
        job.updated = self.state.now()
        if not (output if output is not None else "SUCCEEDED" in state):
            return
        lines = self.state.answer_lines(job)
        written = rewrite(lines) if rewrite else lines
        good = total = 0
        if job.requests is not None:
            answers = [json.loads(line) for line in written]
            total, good = len(answers), sum("response" in one for one in answers)
            for one in answers:
                if one.get("key") is not None:
                    one["metadata"] = {"key": one.pop("key")}
            job.output = {"inlinedResponses": {"inlinedResponses": answers}}
        else:
            id = f"batch-{job.name.removeprefix('batches/')}"
            file = self.state.new_file(job.owner, "", "GENERATED", id)
            with file.path.open("w", encoding="utf-8", newline="\n") as out:
                for line in written:
                    total += 1
                    good += '"response"' in line
                    out.write(line if line.endswith("\0") else f"{line}\n")
            if file.path.stat().st_size and file.path.read_bytes()[-1:] == b"\0":
                with file.path.open("r+b") as out:
                    out.truncate(file.path.stat().st_size - 1)
            file.size = file.path.stat().st_size
            self.state.files[file.name] = file
            job.output = {"responsesFile": file.name}
        job.stats = {
            "requestCount": str(total),
            "successfulRequestCount": str(good),
            "failedRequestCount": str(total - good),
        }

    def fault_for(self, route: str, key: str) -> Fault | None:
        with self.lock:
            plan = self._plans[route]
            for place, (fault, whose) in enumerate(plan):
                if whose in (None, key):
                    del plan[place]
                    return fault
        return None


ROUTES: list[tuple[str, str, str]] = [
    ("POST", r"/(?:v1|v1beta)/models/([^/:]+):embedContent", "embed_one"),
    ("POST", r"/(?:v1|v1beta)/models/([^/:]+):batchEmbedContents", "embed"),
    ("POST", r"/(?:v1|v1beta)/models/([^/:]+):countTokens", "count"),
    ("POST", r"/(?:v1|v1beta)/models/([^/:]+):asyncBatchEmbedContent", "create"),
    ("POST", r"/upload/(?:v1|v1beta)/files", "upload"),
    ("POST", r"/upload/(?:v1|v1beta)/pieces/([^/:]+)", "piece"),
    ("GET", r"/(?:v1|v1beta)/batches", "list"),
    ("GET", r"/(?:v1|v1beta)/(batches/[^/:]+)", "get"),
    ("POST", r"/(?:v1|v1beta)/(batches/[^/:]+):cancel", "cancel"),
    ("DELETE", r"/(?:v1|v1beta)/(batches/[^/:]+)", "delete"),
    ("GET", r"/(?:v1|v1beta)/files", "list_files"),
    ("GET", r"/(?:v1|v1beta)/(files/[^/:]+)", "get_file"),
    ("GET", r"/(?:v1|v1beta|download/v1beta)/(files/[^/:]+):download", "download"),
    ("DELETE", r"/(?:v1|v1beta)/(files/[^/:]+)", "delete_file"),
]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def gemini(self) -> FakeGemini:
        return self.server.gemini  # type: ignore[attr-defined, no-any-return]

    @property
    def project(self) -> str:
        return self.gemini.project(self.key)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time at the service, which every answer tells."""
        return super().date_time_string(self.gemini.state.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        address = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.key = self.headers.get("x-goog-api-key", "")
        self.raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for method, pattern, route in ROUTES:
            match = re.fullmatch(pattern, address.path)
            if method == self.command and match:
                self.route, self.what = route, match[1] if match.groups() else ""
                break
        else:
            self.send(404, problem(404, "NOT_FOUND", f"No route {self.command} {address.path}."))
            return
        with self.gemini.lock:
            self.gemini.requests.append((self.route, self.key))
        fault = self.gemini.fault_for(self.route, self.key)
        if fault is not None:
            fault.act(self)
        else:
            self.answer_normally()

    def answer_normally(self) -> None:
        """As the real service would."""
        try:
            code, body, headers = 200, self.answer(), self.extra_headers()
        except Refused as refused:
            code, body, headers = refused.code, refused.body, {}
        if isinstance(body, File):
            self.send_file(body)
        else:
            self.send(code, body, headers)

    def answer(self) -> Any:
        """The body of a normal answer; the work is done, and billed."""
        # The pieces of an upload need no key: their address is the secret.
        if self.key in self.gemini.refused_keys or (not self.key and self.route != "piece"):
            error = Refused(400, "INVALID_ARGUMENT", "")
            error.body = INVALID_KEY
            raise error
        with self.gemini.lock:
            return getattr(self, f"on_{self.route}")()

    def extra_headers(self) -> dict[str, str]:
        if self.route == "upload":
            key = f"?key={self.key}" if self.gemini.key_in_upload_url else ""
            return {
                "X-Goog-Upload-URL": f"{self.gemini.url}/upload/v1beta/pieces/{self.upload_id}{key}"
            }
        if self.route == "piece":
            return {
                "x-goog-upload-status": "final"
                if "finalize" in self.headers["X-Goog-Upload-Command"]
                else "active"
            }
        return {}

    def json(self) -> Any:
        return json.loads(self.raw)

    def model(self) -> str:
        if self.what not in MOST_READ:
            raise Refused(
                404, "NOT_FOUND", f"models/{self.what} is not found for API version v1beta."
            )
        return self.what

    def on_embed(self) -> dict[str, Any]:
        model, requests = self.model(), self.json()["requests"]
        self.gemini.bodies.append(self.json())
        if len(requests) > MOST_TEXTS:
            raise Refused(
                400,
                "INVALID_ARGUMENT",
                "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch",
            )
        self._check(requests)
        state, before = self.gemini.state, self.gemini.state.bill(self.key).tokens
        answers = [
            {"values": self._values(state.embed(self.key, model, request, "call")[0], request)}
            for request in requests
        ]
        bill = state.bill(self.key)
        bill.requests += 1
        return {"embeddings": answers, "usageMetadata": {"promptTokenCount": bill.tokens - before}}

    def on_embed_one(self) -> dict[str, Any]:
        model, request = self.model(), self.json()
        self._check([request])
        self.gemini.state.bill(self.key).requests += 1
        return {
            "embedding": {"values": self.gemini.state.embed(self.key, model, request, "call")[0]}
        }

    def _check(self, requests: list[dict[str, Any]]) -> None:
        for request in requests:
            texts = [part.get("text", "") for part in request["content"]["parts"]]
            if not "".join(texts).strip():
                raise Refused(
                    400, "INVALID_ARGUMENT", "* EmbedContentRequest.content: content is empty"
                )
            if self.gemini.poison and any(self.gemini.poison in text for text in texts):
                raise Refused(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
            if self.what == "gemini-embedding-2" and request.get("taskType"):
                raise Refused(400, "INVALID_ARGUMENT", "task_type is not supported by this model.")

    def _values(self, values: list[float], request: dict[str, Any]) -> list[float]:
        text = "".join(part.get("text", "") for part in request["content"]["parts"])
        blank = self.gemini.blank and self.gemini.blank in text
        return [0.0] * len(values) if blank else values

    def on_count(self) -> dict[str, Any]:
        self.model()
        self.gemini.state.bill(self.key).counted += 1
        texts = [part.get("text", "") for one in self.json()["contents"] for part in one["parts"]]
        return {"totalTokens": sum(map(tokens_of, texts))}

    def on_upload(self) -> dict[str, Any]:
        told = self.json()["file"]
        file = self.gemini.state.new_file(
            self.project, told.get("displayName") or told.get("display_name", ""), "UPLOADED"
        )
        self.upload_id = file.name.rpartition("/")[2]
        self.gemini.state.uploads[self.upload_id] = file
        return {}

    def on_piece(self) -> dict[str, Any]:
        if "key" in self.query:
            self.gemini.query_keys.append(self.query["key"])
        file = self.gemini.state.uploads[self.what]
        if int(self.headers["X-Goog-Upload-Offset"]) != file.size:
            raise Refused(400, "INVALID_ARGUMENT", "wrong offset")
        with file.path.open("ab") as out:
            out.write(self.raw)
        file.size += len(self.raw)
        if "finalize" not in self.headers["X-Goog-Upload-Command"]:
            return {}
        self.gemini.state.files[file.name] = self.gemini.state.uploads.pop(self.what)
        return {"file": file.shown()}

    def on_create(self) -> dict[str, Any]:
        model, batch = self.model(), self.json()["batch"]
        self.gemini.bodies.append(self.json())
        name = batch["inputConfig"].get("fileName") or batch["inputConfig"].get("file_name")
        if name:
            self._file(name)
        gemini, state = self.gemini, self.gemini.state
        job = state.new_job(self.project, self.key, model, batch)
        job.names_input = gemini.names_input
        under_way = state.open_jobs(self.project)
        if gemini.most_open_jobs and len(under_way) >= gemini.most_open_jobs:
            raise Refused(429, "RESOURCE_EXHAUSTED", EXHAUSTED)
        if gemini.most_enqueued_tokens:
            job.tokens = state.tokens_of(job)
            enqueued = sum(one.tokens for one in under_way if one.model == model)
            if enqueued + job.tokens > gemini.most_enqueued_tokens:
                raise Refused(429, "RESOURCE_EXHAUSTED", EXHAUSTED)
        state.jobs[job.name] = job
        return job.shown()

    def on_get(self) -> dict[str, Any]:
        job = self._job()
        if self.gemini.auto and job.state == "BATCH_STATE_PENDING":
            self.gemini.finish(job.name)
        return job.shown()

    def on_list(self) -> dict[str, Any]:
        mine = [
            job for job in reversed(self.gemini.state.jobs.values()) if job.owner == self.project
        ]
        page, token = self._page(mine)
        return {"operations": [job.shown() for job in page], **token}

    def on_cancel(self) -> dict[str, Any]:
        job = self._job()
        job.state, job.updated = "BATCH_STATE_CANCELLED", self.gemini.state.now()
        return {}

    def on_delete(self) -> dict[str, Any]:
        del self.gemini.state.jobs[self._job().name]
        return {}

    def on_list_files(self) -> dict[str, Any]:
        page, token = self._page(
            [file for file in self.gemini.state.files.values() if file.owner == self.project]
        )
        return {"files": [file.shown() for file in page], **token}

    def on_get_file(self) -> dict[str, Any]:
        return self._file(self.what).shown()

    def on_download(self) -> File:
        file = self._file(self.what)
        if file.source != "GENERATED":
            raise Refused(400, "INVALID_ARGUMENT", "Only generated files can be downloaded.")
        return file

    def on_delete_file(self) -> dict[str, Any]:
        if len(self.what.removeprefix("files/")) > LONGEST_FILE_ID and not (
            self.gemini.deletes_results
        ):
            raise Refused(
                400,
                "INVALID_ARGUMENT",
                "* DeleteFileRequest.name: File ID (name excluding 'files/') cannot be more than "
                f"{LONGEST_FILE_ID} characters.\n",
            )
        file = self.gemini.state.files.pop(self._file(self.what).name)
        file.path.unlink()
        return {}

    def _page(self, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        start, size = int(self.query.get("pageToken", 0)), int(self.query.get("pageSize", 50))
        following = {"nextPageToken": str(start + size)} if start + size < len(items) else {}
        return items[start : start + size], following

    def _job(self) -> Job:
        job = self.gemini.state.jobs.get(self.what)
        if job is None or job.owner != self.project:
            raise Refused(404, "NOT_FOUND", "Requested entity was not found.")
        return job

    def _file(self, name: str) -> File:
        file = self.gemini.state.files.get(name)
        if file is None or file.owner != self.project:
            raise Refused(
                403,
                "PERMISSION_DENIED",
                f"You do not have permission to access the File {name.removeprefix('files/')} "
                "or it may not exist.",
            )
        return file

    def send(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """An answer; a body that is not bytes goes as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        named = {name.lower() for name in headers or {}}
        if "content-type" not in named:
            self.send_header("Content-Type", "application/json; charset=UTF-8")
        if "content-length" not in named:
            self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_file(self, file: File) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/jsonl")
        self.send_header("Content-Length", str(file.path.stat().st_size))
        self.end_headers()
        with file.path.open("rb") as content:
            shutil.copyfileobj(content, self.wfile, 1 << 20)

    def reset(self) -> None:
        """Cut the connection without another word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True
        self.wfile = open("/dev/null", "wb")  # noqa: SIM115 - the handler flushes and closes it
