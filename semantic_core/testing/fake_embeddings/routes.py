"""The routes of the fake service: what a request is answered when nothing goes wrong.

Tested by tests/contracts/test_fake_embeddings.py.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from semantic_core.testing.fake_embeddings.faults import error_body, packed_numbers
from semantic_core.testing.fake_embeddings.jobs import UNDER_WAY, FakeJob, StoredFile

if TYPE_CHECKING:
    from semantic_core.testing.fake_embeddings.service import FakeEmbeddings

ROUTES: Final = (
    ("POST", r".*/embeddings", "embeddings"),
    ("POST", r".*/files", "upload"),
    ("GET", r".*/files/([\w-]+)", "file"),
    ("GET", r".*/files/([\w-]+)/content", "download"),
    ("DELETE", r".*/files/([\w-]+)", "delete_file"),
    ("POST", r".*/batches", "create"),
    ("GET", r".*/batches", "list"),
    ("GET", r".*/batches/([\w-]+)", "job"),
    ("POST", r".*/batches/([\w-]+)/cancel", "cancel"),
)
"""(method, path, name) of each route. The path may have any beginning."""
ROUTE_NAMES: Final = tuple(name for _, _, name in ROUTES)
PAGE: Final = 20
_KIND = "invalid_request_error"


class Refused(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, message: str, kind: str = _KIND, code: str | None = None):
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind, code)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def service(self) -> FakeEmbeddings:
        """The service that this is a connection to."""
        service: FakeEmbeddings = self.server.service  # type: ignore[attr-defined]
        return service

    @property
    def account(self) -> str:
        """Whom the key of this request belongs to."""
        return self.service.accounts.get(self.key, f"the account of {self.key}")

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time at the service, which every answer tells."""
        return super().date_time_string(
            self.service.state.now() if timestamp is None else timestamp
        )

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        """Answer a request with this method."""
        self._serve()

    def do_POST(self) -> None:
        """Answer a request with this method."""
        self._serve()

    def do_DELETE(self) -> None:
        """Answer a request with this method."""
        self._serve()

    def _serve(self) -> None:
        address = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.key = self.headers.get("api-key", "")
        self.key = self.key or self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.route = self.what = ""
        for method, pattern, route in ROUTES:
            match = re.fullmatch(pattern, address.path)
            if method == self.command and match:
                self.route = route
                self.what = match[1] if match.groups() else ""
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.service.heard(self.route, self.key, self.path, headers)
        if not self.route or self.route in self.service.absent:
            message = f"Invalid URL ({self.command} {address.path})"
            self.send_json(404, error_body(message, _KIND))
        elif fault is not None:
            fault.act(self)
        else:
            self._answer_normally()

    def _answer_normally(self) -> None:
        try:
            body = self.answer()
        except Refused as refused:
            self.send_json(refused.status, refused.body)
            return
        if isinstance(body, bytes):
            self.send_bytes(200, body, {"Content-Type": "application/octet-stream"})
        else:
            self.send_json(200, body)

    def answer(self) -> Any:
        """The body of a normal answer; the work is done, and billed. Raises Refused."""
        keys = self.service.keys
        if keys and self.key not in keys:
            raise Refused(401, "Incorrect API key provided: sk-***.", _KIND, "invalid_api_key")
        with self.service.lock:
            return getattr(self, f"_on_{self.route}")()

    def _json(self) -> Any:
        try:
            return json.loads(self.raw)
        except ValueError as error:
            raise Refused(400, "We could not parse the JSON body of your request.") from error

    def _on_embeddings(self) -> dict[str, Any]:
        service = self.service
        body = self._json()
        service.bodies.append(body)
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise Refused(400, "'$.input' is invalid. Please check the API reference.")
        self._check(body, texts)
        tokens = service.state.pay_call(self.key, texts)
        size = body.get("dimensions") or service.state.dimensions
        in_base64 = body.get("encoding_format") == "base64"
        data = []
        for place, text in enumerate(texts):
            vector = service.state.vector(text, size)
            if service.blank and service.blank in text:
                vector = [0.0] * size
            shown = packed_numbers(vector) if in_base64 else vector
            data.append({"object": "embedding", "index": place, "embedding": shown})
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}

    def _check(self, body: Mapping[str, Any], texts: list[Any]) -> None:
        service = self.service
        if len(texts) > service.most_inputs:
            raise Refused(400, f"'$.input' is invalid: at most {service.most_inputs} inputs.")
        for text in texts:
            if not isinstance(text, str) or not text:
                raise Refused(400, "'$.input' is invalid: an input must not be empty.")
            if service.poison and service.poison in text:
                raise Refused(400, "The input is not accepted.")
            tokens = service.state.tokens_of(text)
            if tokens > service.most_tokens:
                raise Refused(400, _too_long(service.most_tokens, tokens))
        total = sum(map(service.state.tokens_of, texts))
        if total > service.call_tokens:
            limit = f"Requested {total} tokens, max {service.call_tokens} tokens per request"
            raise Refused(400, limit, "max_tokens_per_request", "max_tokens_per_request")
        if "dimensions" in body and not service.shortens:
            raise Refused(400, "This model does not support specifying dimensions.")

    def _on_upload(self) -> dict[str, Any]:
        fields = _form_of(self.headers.get("Content-Type", ""), self.raw)
        if "file" not in fields or fields.get("purpose", (b"", ""))[0] != b"batch":
            raise Refused(400, "A file and the purpose batch are needed.")
        content, name = fields["file"]
        if len(content) > self.service.job_bytes:
            raise Refused(413, "The file is too large.")
        file = self.service.state.new_file(self.account, name, "batch", content)
        return file.shown()

    def _on_file(self) -> dict[str, Any]:
        return self._file(self.what).shown()

    def _on_download(self) -> bytes:
        file = self._file(self.what)
        if file.purpose == "batch_output" and self.service.late_results > 0:
            self.service.late_results -= 1
            raise Refused(503, "The file is not available yet.", "server_error")
        return file.content

    def _on_delete_file(self) -> dict[str, Any]:
        file = self._file(self.what)
        del self.service.state.files[file.id]
        return {"id": file.id, "object": "file", "deleted": True}

    def _on_create(self) -> dict[str, Any]:
        service = self.service
        body = self._json()
        service.bodies.append(body)
        file = self._file(str(body.get("input_file_id")))
        if body.get("endpoint") != "/v1/embeddings" or body.get("completion_window") != "24h":
            raise Refused(400, "endpoint or completion_window is not supported.")
        try:
            job = service.state.new_job(self.account, self.key, file, body.get("metadata") or {})
        except (ValueError, KeyError) as error:
            raise Refused(400, "The file is not valid.") from error
        enqueued = sum(other.tokens for other in service.state.open_jobs(self.account))
        limit = service.enqueued_limit
        if len(job.passages) > service.job_items:
            raise Refused(400, f"A batch has at most {service.job_items} requests.")
        if limit is not None and enqueued + job.tokens > limit:
            # As the real one: it is accepted, and has failed when somebody looks at it.
            job.refused = (
                f"Enqueued token limit reached for this model in organization org-x. Limit: "
                f"{limit:,} enqueued tokens. Please try again once some in_progress batches have "
                "been completed."
            )
        service.state.jobs[job.id] = job
        return job.shown()

    def _on_list(self) -> dict[str, Any]:
        mine = [job for job in self.service.state.jobs.values() if job.owner == self.account]
        mine.reverse()
        ids = [job.id for job in mine]
        after = self.query.get("after")
        start = ids.index(after) + 1 if after in ids else 0
        end = start + int(self.query.get("limit", PAGE))
        page = mine[start:end]
        for job in page:
            self.service.state.look(job)
        return {
            "object": "list",
            "data": [job.shown() for job in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": end < len(mine),
        }

    def _on_job(self) -> dict[str, Any]:
        job = self._job()
        self.service.state.look(job)
        return job.shown()

    def _on_cancel(self) -> dict[str, Any]:
        job = self._job()
        if job.status not in UNDER_WAY:
            raise Refused(409, f"Cannot cancel a batch with status '{job.status}'.")
        self.service.state.end(job, "cancelled")
        return job.shown()

    def _job(self) -> FakeJob:
        job = self.service.state.jobs.get(self.what)
        if job is None or job.owner != self.account:
            raise Refused(404, f"No batch found with id '{self.what}'.")
        return job

    def _file(self, id: str) -> StoredFile:
        file = self.service.state.files.get(id)
        if file is None or file.owner != self.account:
            raise Refused(404, f"No such File object: {id}")
        return file

    def send_json(self, status: int, body: Any, headers: Mapping[str, str] = {}) -> None:
        """Answer with JSON."""
        content = json.dumps(body).encode()
        self.send_bytes(status, content, {"Content-Type": "application/json", **headers})

    def send_bytes(self, status: int, content: bytes, headers: Mapping[str, str] = {}) -> None:
        """Answer with these bytes."""
        self.begin(status, len(content), headers)
        self.try_write(content)

    def begin(self, status: int, length: int, headers: Mapping[str, str] = {}) -> None:
        """Send what comes before the body."""
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    def try_write(self, content: bytes) -> bool:
        """Send a part of the body; False if nobody listens any more."""
        try:
            self.wfile.write(content)
        except OSError:
            return False
        return True

    def reset(self) -> None:
        """Cut the connection without another word."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True
        self.wfile = open("/dev/null", "wb")  # noqa: SIM115 - the server flushes and closes it


def _too_long(most: int, given: int) -> str:
    return (
        f"This model's maximum context length is {most} tokens, however you requested {given} "
        f"tokens ({given} in your prompt; 0 for the completion). Please reduce your prompt; or "
        "completion length."
    )


def _form_of(content_type: str, body: bytes) -> dict[str, tuple[bytes, str]]:
    """(content, file name) of each field of a form with files."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    fields: dict[str, tuple[bytes, str]] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = (content, part.get_filename() or "")
    return fields
