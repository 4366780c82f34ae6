"""Misbehaviour by name, as it is publicly reported of real services.

Each acts in place of a normal answer. One that is `billed` does the work first, and has to be paid.

Tested by tests/contracts/test_fake_embeddings.py.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from semantic_core.testing.fake_embeddings.routes import Handler

STALL_SECONDS: Final = 5.0
"""Longest that a stalled answer takes; the client gives up long before."""
HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
NAMED_SECONDS: Final = 7


@attrs.frozen
class Fault:
    """A way to misbehave. billed: whether the texts are paid for, although the answer is of no use.

    route: the only route on which it makes sense; "" for any.
    """

    name: str
    act: Callable[[Handler], None]
    billed: bool = False
    route: str = ""


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _refuse(
    status: int,
    message: str,
    kind: str,
    code: str | None,
    headers: Callable[[], Mapping[str, str]],
    handler: Handler,
) -> None:
    handler.send_json(status, error_body(message, kind, code), headers())


def _no_headers() -> Mapping[str, str]:
    return {}


def _refusal(
    status: int,
    message: str,
    kind: str,
    code: str | None = None,
    headers: Callable[[], Mapping[str, str]] = _no_headers,
) -> Callable[[Handler], None]:
    return partial(_refuse, status, message, kind, code, headers)


def _named_seconds() -> Mapping[str, str]:
    return {"Retry-After": str(NAMED_SECONDS)}


def _named_date() -> Mapping[str, str]:
    return {"Retry-After": formatdate(time.time() + NAMED_SECONDS, usegmt=True)}


def _named_milliseconds() -> Mapping[str, str]:
    return {"retry-after-ms": "1500"}


def _nonsense() -> Mapping[str, str]:
    return {"Retry-After": "soon"}


def _html(handler: Handler) -> None:
    handler.send_bytes(502, HTML, {"Content-Type": "text/html"})


def _reset(handler: Handler) -> None:
    handler.reset()


def _reset_after(handler: Handler) -> None:
    handler.answer()
    handler.reset()


def _stall(handler: Handler) -> None:
    handler.service.closing.wait(STALL_SECONDS)
    handler.reset()


def _drip(handler: Handler) -> None:
    """A body that comes steadily and never ends: no single read times out."""
    body = json.dumps(handler.answer()).encode()
    handler.begin(200, len(body))
    until = time.monotonic() + STALL_SECONDS
    for place in range(len(body)):
        if time.monotonic() > until or handler.service.closing.wait(0.02):
            break
        if not handler.try_write(body[place : place + 1]):
            break
    handler.close_connection = True


def _cut_body(handler: Handler) -> None:
    body = handler.answer()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.begin(200, len(content))
    handler.try_write(content[: len(content) // 2])
    handler.close_connection = True


def _send(content: Callable[[Any], bytes], handler: Handler) -> None:
    handler.send_bytes(200, content(handler.answer()))


def _instead(content: Callable[[Any], bytes]) -> Callable[[Handler], None]:
    """The normal answer, changed into these bytes."""
    return partial(_send, content)


def _cut_json(answer: Any) -> bytes:
    return json.dumps(answer).encode()[:-20]


def _nothing(answer: Any) -> bytes:
    return b""


def _not_json(answer: Any) -> bytes:
    return HTML


def _other_json(answer: Any) -> bytes:
    return b'{"hello": "world"}'


def _a_list(answer: Any) -> bytes:
    return b"[1, 2]"


def _fewer(answer: Any) -> bytes:
    return json.dumps({**answer, "data": answer["data"][:-1]}).encode()


def _more(answer: Any) -> bytes:
    return json.dumps({**answer, "data": answer["data"] * 2}).encode()


def _shuffled(answer: Any) -> bytes:
    return json.dumps({**answer, "data": answer["data"][::-1]}).encode()


def _same_index(answer: Any) -> bytes:
    return json.dumps({**answer, "data": [{**one, "index": 0} for one in answer["data"]]}).encode()


def _no_index(answer: Any) -> bytes:
    data = [{"embedding": one["embedding"]} for one in answer["data"]]
    return json.dumps({**answer, "data": data}).encode()


def _no_usage(answer: Any) -> bytes:
    return json.dumps({"data": answer["data"]}).encode()


def _in_base64(answer: Any) -> bytes:
    data = [{**one, "embedding": packed_numbers(one["embedding"])} for one in answer["data"]]
    return json.dumps({**answer, "data": data}).encode()


def packed_numbers(vector: list[float]) -> str:
    """Numbers as base64 of float32 values, little-endian: ``encoding_format: base64``."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _with_last(vector: Any) -> Callable[[Any], bytes]:
    """The answer with another vector in its last place. vector: made of the right one."""

    def changed(answer: Any) -> bytes:
        data = list(answer["data"])
        data[-1] = {**data[-1], "embedding": vector(data[-1]["embedding"])}
        return json.dumps({**answer, "data": data}).encode()

    return changed


def _nan(vector: list[float]) -> list[float]:
    return [float("nan"), *vector[1:]]


def _infinite(vector: list[float]) -> list[float]:
    return [float("inf"), *vector[1:]]


def _zero(vector: list[float]) -> list[float]:
    return [0.0] * len(vector)


def _shorter(vector: list[float]) -> list[float]:
    return vector[:-1]


def _no_numbers(vector: list[float]) -> None:
    return None


def _words(vector: list[float]) -> list[str]:
    return ["much"] * len(vector)


def _bad_base64(vector: list[float]) -> str:
    return "not base64 at all!"


def _packed(handler: Handler) -> None:
    body = gzip.compress(json.dumps(handler.answer()).encode())
    handler.send_bytes(200, body, {"Content-Encoding": "gzip"})


def _garbled_gzip(handler: Handler) -> None:
    handler.send_bytes(200, json.dumps(handler.answer()).encode(), {"Content-Encoding": "gzip"})


def _redirect(handler: Handler) -> None:
    handler.send_bytes(302, b"", {"Location": handler.service.redirect_to})


def _echo_key(handler: Handler) -> None:
    told = f"Incorrect API key provided: {handler.key}. See https://x.invalid/?key={handler.key}"
    handler.send_json(
        400, error_body(told, "invalid_request_error"), {"X-Debug": f"key={handler.key}"}
    )


_LATER = "Rate limit reached for this model on requests per min (RPM): Limit 3, Used 3."
_CONTEXT = (
    "This model's maximum context length is 8192 tokens, however you requested 10000 tokens "
    "(10000 in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
)
_LIMIT = partial(_refusal, 429)
_KIND = "invalid_request_error"

_EVERYWHERE: Final = [
    Fault("throttled", _LIMIT(_LATER, "requests", "rate_limit_exceeded")),
    Fault("throttled_seconds", _LIMIT(_LATER, "requests", "rate_limit_exceeded", _named_seconds)),
    Fault("throttled_date", _LIMIT(_LATER, "requests", "rate_limit_exceeded", _named_date)),
    Fault(
        "throttled_milliseconds",
        _LIMIT(_LATER, "tokens", "rate_limit_exceeded", _named_milliseconds),
    ),
    Fault(
        "throttled_words",
        _LIMIT(f"{_LATER} Please try again in 1m2.5s.", "tokens", "rate_limit_exceeded"),
    ),
    Fault("throttled_nonsense", _LIMIT(_LATER, "requests", "rate_limit_exceeded", _nonsense)),
    Fault(
        "quota",
        _LIMIT("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    ),
    Fault("internal", _refusal(500, "The server had an error.", "server_error")),
    Fault("html", _html),
    Fault("unavailable", _refusal(503, "The engine is currently overloaded.", "overloaded")),
    Fault(
        "unavailable_seconds", _refusal(503, "Loading model.", "unavailable", None, _named_seconds)
    ),
    Fault("gateway_timeout", _refusal(504, "Upstream request timeout.", "timeout")),
    Fault("reset", _reset),
    Fault("reset_after", _reset_after, billed=True),
    Fault("stall", _stall),
    Fault("cut_body", _cut_body, billed=True),
    Fault("bad_request", _refusal(400, "The request is not valid.", _KIND)),
    Fault(
        "key_refused",
        _refusal(401, "Incorrect API key provided: sk-***.", _KIND, "invalid_api_key"),
    ),
    Fault("forbidden", _refusal(403, "You have insufficient permissions.", _KIND)),
    Fault("not_found", _refusal(404, "The model does not exist.", _KIND, "model_not_found")),
    Fault("redirect", _redirect),
    Fault("echo_key", _echo_key),
]
_WHERE_JSON_IS: Final = [
    Fault("drip", _drip, billed=True),
    Fault("cut_json", _instead(_cut_json), billed=True),
    Fault("empty", _instead(_nothing), billed=True),
    Fault("not_json", _instead(_not_json), billed=True),
    Fault("other_json", _instead(_other_json), billed=True),
    Fault("a_list", _instead(_a_list), billed=True),
    Fault("packed", _packed, billed=True),
    Fault("garbled_gzip", _garbled_gzip, billed=True),
]
_OF_EMBEDDINGS: Final = {
    "fewer": _fewer,
    "more": _more,
    "shuffled": _shuffled,
    "same_index": _same_index,
    "no_index": _no_index,
    "no_usage": _no_usage,
    "base64": _in_base64,
    "nan": _with_last(_nan),
    "infinite": _with_last(_infinite),
    "zero": _with_last(_zero),
    "other_size": _with_last(_shorter),
    "no_numbers": _with_last(_no_numbers),
    "words_for_numbers": _with_last(_words),
    "bad_base64": _with_last(_bad_base64),
}
"""Answers to a call for embeddings that are changed on their way out, all of them billed."""


def _all_faults() -> dict[str, Fault]:
    faults = [*_EVERYWHERE, *_WHERE_JSON_IS]
    faults.append(Fault("too_long", _refusal(400, _CONTEXT, _KIND), route="embeddings"))
    for name, change in _OF_EMBEDDINGS.items():
        faults.append(Fault(name, _instead(change), billed=True, route="embeddings"))
    return {fault.name: fault for fault in faults}


FAULTS: Final[Mapping[str, Fault]] = _all_faults()
"""Every fault by name."""
