"""`FakeEmbeddings`, an embedding service in OpenAI's wire form that misbehaves on command.

Tested by tests/contracts/test_fake_embeddings.py.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from typing import Any, Final

import attrs

from semantic_core.errors import InputError
from semantic_core.testing.fake_embeddings.faults import FAULTS, Fault
from semantic_core.testing.fake_embeddings.jobs import (
    RESULT_SHAPES,
    FakeJob,
    FakeState,
    KeyBill,
    ResultShape,
)
from semantic_core.testing.fake_embeddings.routes import ROUTE_NAMES, Handler

MOST_INPUTS: Final = 2_048
MOST_TOKENS: Final = 8_192
CALL_TOKENS: Final = 300_000
JOB_ITEMS: Final = 50_000
JOB_BYTES: Final = 200_000_000


@attrs.frozen
class FakeRequest:
    """A request that the service got. headers: with names in lower case."""

    route: str
    key: str
    path: str
    headers: Mapping[str, str]


class _Server(ThreadingHTTPServer):
    """Answers each connection in a thread, and takes no notice of clients that break off."""

    daemon_threads = True

    def __init__(self, service: FakeEmbeddings) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.service = service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error in a thread on standard error, unless the client broke off."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class FakeEmbeddings:
    """A service of embeddings and batch jobs on this machine, for tests of clients. It is reached
    over real connections, has vectors that are the same on every machine (see `HashEmbedder`), and
    a bill. Use it in a ``with``, or call `start` and `stop`.

    dimensions: of the vectors, unless a request asks for fewer.

    requests: every request, in order. bodies: what was sent as JSON to embed, and to create jobs.
    keys: those that are accepted; empty, as at first: any, and none. accounts: which account a key
    belongs to; a key that is not in it has one of its own. Files and jobs belong to an account.

    Attributes to set: characters_a_token, by which it bills; file_seconds, how long it keeps files
    (thirty days). poison, texts with this string are refused; blank, they get a vector of
    zeros. most_inputs, most_tokens, call_tokens: inputs of a call, tokens of a text, tokens of a
    call at most. shortens: whether requests may ask for fewer dimensions. enqueued_limit: tokens in
    jobs of an account that have not ended; a job beyond it is accepted, and has failed when it is
    looked at. job_items, job_bytes: of a job at most. late_results: how many attempts to download
    results fail first. redirect_to: where the fault "redirect" leads. absent: routes that there are
    not, as at a server without batch jobs.
    """

    def __init__(self, dimensions: int = 64) -> None:
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.state = FakeState(dimensions)
        self.requests: list[FakeRequest] = []
        self.bodies: list[Any] = []
        self.keys: set[str] = set()
        self.accounts: dict[str, str] = {}
        self.poison = ""
        self.blank = ""
        self.most_inputs = MOST_INPUTS
        self.most_tokens = MOST_TOKENS
        self.call_tokens = CALL_TOKENS
        self.shortens = True
        self.enqueued_limit: int | None = None
        self.job_items = JOB_ITEMS
        self.job_bytes = JOB_BYTES
        self.late_results = 0
        self.redirect_to = "http://192.0.2.1/elsewhere"
        self.absent: set[str] = set()
        self._plans: dict[str, list[tuple[Fault, str | None]]] = defaultdict(list)
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def characters_a_token(self) -> int:
        """Characters of a token that is billed."""
        return self.state.characters_a_token

    @characters_a_token.setter
    def characters_a_token(self, value: int) -> None:
        self.state.characters_a_token = value

    @property
    def file_seconds(self) -> float:
        """How long files are kept."""
        return self.state.file_seconds

    @file_seconds.setter
    def file_seconds(self, value: float) -> None:
        self.state.file_seconds = value

    @property
    def url(self) -> str:
        """The address to give to a client, such as ``http://127.0.0.1:40001/v1``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def start(self) -> FakeEmbeddings:
        """Begin to answer; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the service and all its connections."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def __enter__(self) -> FakeEmbeddings:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def misbehave(
        self, route: str, fault: str | Fault, *, times: int = 1, key: str | None = None
    ) -> None:
        """The next so many requests of this route (with this key) go wrong in this way.

        route: embeddings, upload, file, download, delete_file, create, list, job or cancel. fault:
        a name in `FakeEmbeddings.faults`. Raises InputError for an unknown one.
        """
        if route not in ROUTE_NAMES:
            raise InputError(f"route must be one of {', '.join(ROUTE_NAMES)}, got {route!r}.")
        if isinstance(fault, str) and fault not in FAULTS:
            raise InputError(f"fault must be one of {', '.join(FAULTS)}, got {fault!r}.")
        chosen = FAULTS[fault] if isinstance(fault, str) else fault
        with self.lock:
            self._plans[route] += [(chosen, key)] * times

    @staticmethod
    def faults(route: str = "embeddings") -> list[str]:
        """The names of the faults that an answer of this route can have."""
        download = route == "download"
        names = []
        for fault in FAULTS.values():
            readable = not (download and fault.billed and fault.name not in _OF_FILES)
            if fault.route in ("", route) and readable:
                names.append(fault.name)
        return names

    def behave(self) -> None:
        """From now on nothing goes wrong any more."""
        with self.lock:
            self._plans.clear()

    @property
    def pending_faults(self) -> int:
        """How many faults are planned that no request has met yet."""
        with self.lock:
            return sum(map(len, self._plans.values()))

    def count(self, route: str = "embeddings", key: str | None = None) -> int:
        """How many requests of this route came (with this key)."""
        with self.lock:
            found = [one for one in self.requests if one.route == route and key in (None, one.key)]
            return len(found)

    def bill(self, key: str = "") -> KeyBill:
        """What this key has to pay for."""
        with self.lock:
            return self.state.bill(key)

    @property
    def jobs(self) -> list[FakeJob]:
        """All batch jobs, oldest first."""
        with self.lock:
            return list(self.state.jobs.values())

    @property
    def files(self) -> list[str]:
        """The ids of all files that there are."""
        with self.lock:
            return list(self.state.files)

    def start_jobs(self) -> None:
        """Begin with every job that waits."""
        with self.lock:
            for job in self.state.jobs.values():
                self.state.look(job)
                if job.status == "validating":
                    job.status = "in_progress"

    def finish(
        self, job: str | None = None, *, status: str = "completed", shape: ResultShape = "whole"
    ) -> int:
        """End this job (None: all that have not ended), and bill the results; returns how many
        ended.

        status: "completed"; or "failed", "expired" or "cancelled", without results unless a shape
        other than "whole" is given. shape: of the results. "whole": all, in order. "shuffled": in
        another order. "doubled": every result twice. "partial": every other one did not come in
        time. "errors": every other one is refused. "busy": every other one failed for a temporary
        reason. "invalid": every other vector is zero. "foreign": results of other jobs in between.
        """
        if shape not in RESULT_SHAPES:
            raise InputError(f"shape must be one of {', '.join(RESULT_SHAPES)}, got {shape!r}.")
        ended = 0
        with self.lock:
            for one in list(self.state.jobs.values()):
                self.state.look(one)
                if job not in (None, one.id) or one not in self.state.open_jobs(one.owner):
                    continue
                ended += 1
                if status == "completed" or shape != "whole":
                    self.state.finish(one, status, shape)
                else:
                    self.state.end(one, status)
        return ended

    def turn(self, hours: float) -> None:
        """Let time go by at the service, which removes old files."""
        with self.lock:
            self.state.ahead += hours * 3_600
            self.state.forget_old_files()

    def heard(self, route: str, key: str, path: str, headers: Mapping[str, str]) -> Fault | None:
        """Record a request; returns what goes wrong with its answer, None for nothing."""
        with self.lock:
            self.requests.append(FakeRequest(route, key, path, headers))
            plan = self._plans[route]
            for place, (fault, whose) in enumerate(plan):
                if whose in (None, key):
                    del plan[place]
                    return fault
        return None


_OF_FILES: Final = ("cut_body", "reset_after")
"""Faults that come after the work and concern a file as well as JSON."""
