"""Whether the embedder covers the texts of an index: what ``doctor``, ``ingest`` and ``reindex``
say if it does not.

Tested by tests/cli/test_coverage.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from semantic_core.cli._output import counted
from semantic_core.coverage import POORLY_COVERED
from semantic_core.errors import SemanticCoreError
from semantic_core.protocols import CoversTexts
from semantic_core.types import Ref, Scope

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.protocols import Store

MOST_DOCUMENTS = 200
"""Documents that are looked at, spread over the index: enough for a share to within 7 %, and less
than a second.
"""
PLACES = 20
"""Places of the index from which they are taken."""
BEGINNING = 2_000
"""Characters of each that are looked at."""
MANY = 0.1
"""A tenth of the documents: with fewer that are not covered, nothing is said."""
MULTILINGUAL = "use"
"""The embedder to use instead."""


@attrs.frozen
class Uncovered:
    """What an embedder does not cover.

    message: what was found. remedy: what to do about it.
    """

    message: str
    remedy: str


def uncovered(
    core: SemanticCore, collections: Sequence[str] | None = None, tenant: str = ""
) -> Uncovered | None:
    """What the embedder of this client does not cover: languages of the settings, or documents of
    these collections (None: all), of which a sample is looked at. None if it covers them, or does
    not say what it covers. Of a store that separates tenants, only the documents of the tenant are
    read, and none without a tenant.
    """
    embedder = core.embedder
    if not isinstance(embedder, CoversTexts):
        return None
    name = embedder.space.model
    remedy = _remedy(name)
    unknown = [code for code in core.languages if code not in embedder.languages]
    if embedder.languages and unknown:
        made_for = ", ".join(sorted(embedder.languages))
        message = f"{name} was not made for {', '.join(unknown)}, but for {made_for}"
        return Uncovered(f"{message}: search by meaning finds little in these texts", remedy)
    if core.store.multi_tenant and not tenant:
        return None
    only = None if collections is None else tuple(collections)
    texts = list(_sample(core.store, Scope(tenant, only)))
    try:
        shares = embedder.coverage(texts)
    except SemanticCoreError:
        return None  # whatever the embedder lacks is reported when it embeds
    poor = sum(share < POORLY_COVERED for share in shares)
    if not texts or poor < MANY * len(texts):
        return None
    message = (
        f"{name} does not cover the language of {poor:,} of {counted(len(texts), 'document')} "
        "looked at: search by meaning finds little of them"
    )
    return Uncovered(message, remedy)


def _remedy(model: str) -> str:
    from semantic_core._plugins.distributions import home_of, installs, version_of

    if model.startswith(MULTILINGUAL):
        return "Use an embedder for their language, such as one of the plugin semantic-core-onnx."
    steps = f'set embedder = "{MULTILINGUAL}", which covers 16 languages, and fill a new index.'
    if version_of(home_of(MULTILINGUAL)):
        return f"{steps[0].upper()}{steps[1:]}"
    return f"{installs(MULTILINGUAL)}, {steps}"


def _sample(store: Store, scope: Scope) -> Iterator[str]:
    """The beginnings of documents that are spread over this part of the store."""
    total = store.documents(scope, limit=0).total
    size = max(1, -(-min(total, MOST_DOCUMENTS) // PLACES))
    step = max(size, total // PLACES)
    for offset in range(0, total, step):
        for summary in store.documents(scope, offset, size):
            yield from _beginning(store, summary.ref)


def _beginning(store: Store, ref: Ref) -> Iterator[str]:
    """The beginning of a document; nothing if it was removed in the meantime."""
    document = store.get(ref)
    if document is not None:
        yield document.text[:BEGINNING]
