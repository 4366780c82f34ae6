"""What every embedder that calls a service over the network needs, and none should have to write:
pacing, retries, a circuit breaker, keys that are never shown, packing, caches, prices.

For authors of plugins. Needs ``pip install "semantic-core-kernel[remote]"``; importing this loads
none of that. No figure of a provider is in here: limits, prices, and the meaning of an error are
given by the plugin.

Modules: `embedder` (the classes to derive from), `clock`, `pacing` (the rate limit), `breaker`,
`calls` (one call with its retries), `per_process` (a connection), `errors`, `keys` (a secret),
`key_place` and `wire` (the key on the wire), `passages` (documents to calls), `tokens` (estimates),
`recent` (vectors held in memory), `vectors`, `json_lines` and `job_results` (the files of batch
jobs), `prices`, `usage`, `options`, `extra`.

Tested by tests/remote/test_import.py.
"""

from typing import TYPE_CHECKING

from semantic_core.remote.breaker import Breaker
from semantic_core.remote.calls import Calls, Size
from semantic_core.remote.clock import Clock, ServiceClock
from semantic_core.remote.embedder import (
    BatchJobs,
    RemoteBatchEmbedder,
    RemoteEmbedder,
    TextForms,
    text_to_send,
)
from semantic_core.remote.errors import (
    AccessDenied,
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobFailed,
    JobTooLarge,
    JobUnknown,
    KeyMalformed,
    KeyMissing,
    KeyRefused,
    ModelUnknown,
    PassageRefused,
    PassageTooLong,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
    bounded_wait,
    connection_failure,
    is_quotable,
    never_arrived,
    quoted,
    raised_in,
    seconds_named,
)
from semantic_core.remote.extra import require_extra
from semantic_core.remote.job_results import JobResult, counted_results, fetched_lines
from semantic_core.remote.json_lines import JobLines, read_lines, write_lines
from semantic_core.remote.key_place import KeyPlace
from semantic_core.remote.keys import MASK, Secret, as_secret, key_fault, read_key
from semantic_core.remote.options import positive_seconds, whole_number
from semantic_core.remote.pacing import Allowance, Pace, Silence, silence_of
from semantic_core.remote.passages import PassageBatches, cut_to_fit
from semantic_core.remote.per_process import PerProcess
from semantic_core.remote.prices import MILLION, Price, price_of
from semantic_core.remote.recent import Queries, Recent
from semantic_core.remote.tokens import TokenRule, packed
from semantic_core.remote.usage import Usage, UsageMeter
from semantic_core.remote.vectors import vector_of

if TYPE_CHECKING:
    from semantic_core.remote.wire import KeyedTransport, http_client

__all__ = [
    "MASK",
    "MILLION",
    "AccessDenied",
    "Allowance",
    "AnswerInvalid",
    "BatchJobs",
    "Breaker",
    "Calls",
    "Clock",
    "ItemFailed",
    "ItemUnavailable",
    "JobFailed",
    "JobLines",
    "JobResult",
    "JobTooLarge",
    "JobUnknown",
    "KeyMalformed",
    "KeyMissing",
    "KeyPlace",
    "KeyRefused",
    "KeyedTransport",
    "ModelUnknown",
    "Pace",
    "PassageBatches",
    "PassageRefused",
    "PassageTooLong",
    "PerProcess",
    "Price",
    "Queries",
    "QuotaExhausted",
    "RateLimited",
    "Recent",
    "RemoteBatchEmbedder",
    "RemoteEmbedder",
    "RequestRefused",
    "ResultsGone",
    "ResultsUnavailable",
    "Secret",
    "ServiceClock",
    "ServiceDown",
    "ServiceResting",
    "ServiceTimeout",
    "Silence",
    "Size",
    "TextForms",
    "TokenRule",
    "Usage",
    "UsageMeter",
    "as_secret",
    "bounded_wait",
    "connection_failure",
    "counted_results",
    "cut_to_fit",
    "fetched_lines",
    "http_client",
    "is_quotable",
    "key_fault",
    "never_arrived",
    "packed",
    "positive_seconds",
    "price_of",
    "quoted",
    "raised_in",
    "read_key",
    "read_lines",
    "require_extra",
    "seconds_named",
    "silence_of",
    "text_to_send",
    "vector_of",
    "whole_number",
    "write_lines",
]

_WIRE = ("KeyedTransport", "http_client")
"""Names of `wire`, which loads the HTTP client when one of them is first used."""

if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _WIRE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        require_extra()
        from semantic_core.remote import wire

        return getattr(wire, name)
