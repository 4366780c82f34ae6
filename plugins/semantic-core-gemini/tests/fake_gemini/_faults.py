"""Misbehaviour by name.

Each acts in place of a normal answer; one that says "after" does the work first, and bills it.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_gemini._server import Handler

STALL_SECONDS = 5.0
"""Longest a stalled answer takes; the client gives up long before."""
HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """name: as it is asked for. billed: whether the texts are paid for,
    although the answer is of no use.

    route: the only one it makes sense on; "" for any.
    """

    name: str
    act: Callable[[Handler], None]
    billed: bool = False
    route: str = ""


def error(
    code: int, status: str, message: str, *details: dict[str, Any], headers: Any = None
) -> Callable[[Handler], None]:
    """An error in Google's form. headers: a mapping, or what makes one."""
    body = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    return lambda handler: handler.send(code, body, headers() if callable(headers) else headers)


def _quota(metric: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": metric}],
    }


def _retry_info(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def spoiled(change: Callable[[dict[str, Any]], Any]) -> Callable[[Handler], None]:
    """The normal answer, changed on its way out.

    What comes back as bytes or text is sent as it is.
    """

    def act(handler: Handler) -> None:
        changed = change(handler.answer())
        handler.send(
            200, changed.encode() if isinstance(changed, str) else changed, handler.extra_headers()
        )

    return act


def each_vector(
    change: Callable[[list[Any]], Any], only: int | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Changes the numbers of every vector, or of the one at that place."""

    def whole(answer: dict[str, Any]) -> dict[str, Any]:
        for place, one in enumerate(answer["embeddings"]):
            if only is None or place == only % len(answer["embeddings"]):
                one["values"] = change(one["values"])
        return answer

    return whole


def _reset_after(handler: Handler) -> None:
    handler.answer()
    handler.reset()


def _stall(handler: Handler) -> None:
    handler.gemini.closing.wait(STALL_SECONDS)
    handler.reset()


def _drip(handler: Handler) -> None:
    """A body that comes steadily and never ends: no single read times out."""
    body = json.dumps(handler.answer()).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    until = time.monotonic() + STALL_SECONDS
    try:
        for place in range(len(body)):
            if time.monotonic() > until or handler.gemini.closing.wait(0.02):
                break
            handler.wfile.write(body[place : place + 1])
    except OSError:
        pass
    handler.close_connection = True


def _cut_body(handler: Handler) -> None:
    body = json.dumps(handler.answer()).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def _cut_download(handler: Handler) -> None:
    body = handler.answer().path.read_bytes()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def _garbled(handler: Handler) -> None:
    handler.send(200, json.dumps(handler.answer()).encode(), {"Content-Encoding": "gzip"})


def _packed(handler: Handler) -> None:
    body = gzip.compress(json.dumps(handler.answer()).encode())
    handler.send(200, body, {"Content-Encoding": "gzip", **handler.extra_headers()})


def _endless(handler: Handler) -> None:
    handler.answer()
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**10))
    handler.end_headers()
    try:
        while not handler.gemini.closing.is_set():
            handler.wfile.write(b" " * (1 << 20))
    except OSError:
        pass
    handler.close_connection = True


def _echo_key(handler: Handler) -> None:
    told = f"API key {handler.key} is bad, see https://x.invalid/?key={handler.key}"
    body = {
        "error": {
            "code": 400,
            "message": told,
            "status": "INVALID_ARGUMENT",
            "details": [{"reason": handler.key}],
        }
    }
    handler.send(400, body, {"X-Debug": f"key={handler.key}"})


def _echo_key_garbled(handler: Handler) -> None:
    handler.answer()
    handler.send(200, f"not JSON, and it quotes {handler.key}".encode())


def _echo_key_packed(handler: Handler) -> None:
    told = {"error": {"code": 500, "message": f"key {handler.key} broke it", "status": "INTERNAL"}}
    handler.send(500, gzip.compress(json.dumps(told).encode()), {"Content-Encoding": "gzip"})


def _redirect(handler: Handler) -> None:
    handler.send(302, b"", {"Location": "http://192.0.2.1/elsewhere"})


def _clock_ahead() -> dict[str, str]:
    return {"Retry-After": formatdate(time.time() - 3_600, usegmt=True)}


def _in_a_while() -> dict[str, str]:
    return {"Retry-After": formatdate(time.time() + 7, usegmt=True)}


_BUSY = "Resource has been exhausted (e.g. check quota)."
_MINUTE = _quota("EmbedContentRequestsPerMinutePerProjectPerModel")
_DAY = _quota("EmbedContentRequestsPerDayPerProjectPerModel-FreeTier")

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in [
        Fault("throttled", error(429, "RESOURCE_EXHAUSTED", _BUSY, _MINUTE)),
        Fault(
            "throttled_seconds",
            error(429, "RESOURCE_EXHAUSTED", _BUSY, _MINUTE, headers={"Retry-After": "7"}),
        ),
        Fault(
            "throttled_date", error(429, "RESOURCE_EXHAUSTED", _BUSY, _MINUTE, headers=_in_a_while)
        ),
        Fault(
            "throttled_past", error(429, "RESOURCE_EXHAUSTED", _BUSY, _MINUTE, headers=_clock_ahead)
        ),
        Fault(
            "throttled_info", error(429, "RESOURCE_EXHAUSTED", _BUSY, _MINUTE, _retry_info("7.5s"))
        ),
        Fault(
            "throttled_nonsense",
            error(429, "RESOURCE_EXHAUSTED", _BUSY, headers={"Retry-After": "soon"}),
        ),
        Fault("quota_of_the_day", error(429, "RESOURCE_EXHAUSTED", _BUSY, _DAY)),
        Fault("internal", error(500, "INTERNAL", "An internal error has occurred.")),
        Fault("html", lambda handler: handler.send(502, HTML, {"Content-Type": "text/html"})),
        Fault("unavailable", error(503, "UNAVAILABLE", "The model is overloaded.")),
        Fault(
            "unavailable_seconds",
            error(503, "UNAVAILABLE", "Later.", headers={"Retry-After": "11"}),
        ),
        Fault("gateway_timeout", error(504, "DEADLINE_EXCEEDED", "Deadline expired.")),
        Fault("request_timeout", error(408, "DEADLINE_EXCEEDED", "Too slow.")),
        Fault("reset", lambda handler: handler.reset()),
        Fault("reset_after", _reset_after, billed=True),
        Fault("stall", _stall),
        Fault("drip", _drip, billed=True),
        Fault("cut_body", _cut_body, billed=True),
        Fault("cut_json", spoiled(lambda answer: json.dumps(answer)[:-20]), billed=True),
        Fault("empty", spoiled(lambda answer: b""), billed=True),
        Fault("not_json", spoiled(lambda answer: HTML), billed=True),
        Fault("other_json", spoiled(lambda answer: {"hello": "world"}), billed=True),
        Fault("a_list", spoiled(lambda answer: b"[1, 2]"), billed=True),
        Fault("garbled_gzip", _garbled, billed=True),
        Fault("packed", _packed, billed=True),
        Fault("endless", _endless, billed=True),
        Fault(
            "fewer",
            spoiled(lambda answer: {"embeddings": answer["embeddings"][:-1]}),
            billed=True,
            route="embed",
        ),
        Fault(
            "more",
            spoiled(lambda answer: {"embeddings": answer["embeddings"] * 2}),
            billed=True,
            route="embed",
        ),
        Fault(
            "nan",
            spoiled(each_vector(lambda values: [float("nan"), *values[1:]], only=-1)),
            billed=True,
            route="embed",
        ),
        Fault(
            "infinite",
            spoiled(each_vector(lambda values: [float("inf"), *values[1:]], only=0)),
            billed=True,
            route="embed",
        ),
        Fault(
            "huge_numbers",
            spoiled(each_vector(lambda values: [1e300] * len(values))),
            billed=True,
            route="embed",
        ),
        Fault(
            "zero",
            spoiled(each_vector(lambda values: [0.0] * len(values), only=-1)),
            billed=True,
            route="embed",
        ),
        Fault(
            "tiny",
            spoiled(each_vector(lambda values: [1e-23] * len(values), only=-1)),
            billed=True,
            route="embed",
        ),
        Fault(
            "other_size",
            spoiled(each_vector(lambda values: values[:-1])),
            billed=True,
            route="embed",
        ),
        Fault(
            "no_numbers",
            spoiled(each_vector(lambda values: None, only=-1)),
            billed=True,
            route="embed",
        ),
        Fault(
            "words_for_numbers",
            spoiled(each_vector(lambda values: ["much"] * len(values))),
            billed=True,
            route="embed",
        ),
        Fault(
            "bad_request", error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        ),
        Fault(
            "too_large", error(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit.")
        ),
        Fault("teapot", error(418, "UNKNOWN", "I am a teapot.")),
        Fault(
            "key_refused",
            error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
        ),
        Fault("forbidden", error(403, "PERMISSION_DENIED", "The caller does not have permission.")),
        Fault("not_found", error(404, "NOT_FOUND", "Requested entity was not found.")),
        Fault("redirect", _redirect),
        Fault("echo_key", _echo_key),
        Fault("echo_key_garbled", _echo_key_garbled, billed=True),
        Fault("echo_key_packed", _echo_key_packed),
        Fault(
            "no_name",
            spoiled(
                lambda answer: {name: value for name, value in answer.items() if name != "name"}
            ),
            route="create",
        ),
        Fault("no_file", spoiled(lambda answer: {"file": {}}), route="piece"),
        Fault(
            "no_upload_address", lambda handler: handler.send(200, handler.answer()), route="upload"
        ),
        Fault("cut_download", _cut_download, route="download"),
    ]
}
