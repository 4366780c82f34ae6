"""``semantic-core similar`` and ``complete``: what is like a document, and what somebody who types
may want to type.

Tested by tests/cli/test_similar.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core.cli._options import (
    as_option,
    collection_option,
    collections_option,
    common,
    opened,
    tenant_option,
    where_option,
)
from semantic_core.cli._output import (
    counted,
    fitted,
    note,
    prose_width,
    render,
    visible,
    write,
    write_json,
)
from semantic_core.types import Ref

if TYPE_CHECKING:
    from semantic_core.filters import Filter

limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Maximum number of results.",
)


@click.command()
@click.argument("key")
@collection_option
@limit_option
@where_option
@tenant_option
@as_option
@click.option(
    "--explain",
    is_flag=True,
    help="Show rank and score by retriever, words found, and metadata, for each hit.",
)
@common
def similar(
    key: str,
    collection: str,
    limit: int,
    where: Filter | None,
    tenant: str | None,
    who: dict[str, str],
    explain: bool,
    as_json: bool,
    db: str | None,
) -> None:
    """Show the documents that are most like the document KEY.

    KEY is the key within its collection, or COLLECTION/KEY as `documents list` prints it.
    """
    with opened(db, tenant) as core:
        ref = Ref(collection, key)
        listed_collection, slash, listed_key = key.partition("/")
        if slash and listed_collection and listed_key and core.get(ref, context=who) is None:
            ref = Ref(listed_collection, listed_key)
        results = core.similar(ref, limit=limit, where=where, context=who)
    if as_json:
        from semantic_core.cli._records import results_json

        write_json(results_json(results, explain=explain))
        return
    from semantic_core.cli._render import hit_texts, summary

    width = prose_width()
    if len(results):
        write(render(*hit_texts(results, width=width, explain=explain), width=width) + "\n")
    write(render(*summary(results, width=width), width=width))


@click.command()
@click.argument("text", nargs=-1, required=True)
@limit_option
@where_option
@collections_option
@tenant_option
@as_option
@common
def complete(
    text: tuple[str, ...],
    limit: int,
    where: Filter | None,
    collections: tuple[str, ...],
    tenant: str | None,
    who: dict[str, str],
    as_json: bool,
    db: str | None,
) -> None:
    """Complete TEXT: titles that begin so, and its last word completed."""
    with opened(db, tenant) as core:
        found = core.complete(
            " ".join(text),
            limit=limit,
            where=where,
            collections=collections or None,
            context=who,
        )
    if as_json:
        from semantic_core.cli._records import completion_json

        write_json({"completions": [completion_json(each) for each in found]})
        return
    for each in found:
        write(fitted(visible(each.text)))
    note(f"{counted(len(found), 'completion')}.")
