"""``semantic-core search``: search the index, and print the hits as text or JSON.

Tested by tests/cli/test_search.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core._typos import TYPOS
from semantic_core.cli._options import (
    as_option,
    collections_option,
    common,
    offset_option,
    opened,
    tenant_option,
    where_option,
)
from semantic_core.cli._output import fitted, prose_width, render, visible, write, write_json
from semantic_core.query_syntax import SYNTAXES
from semantic_core.types import MODES

if TYPE_CHECKING:
    from semantic_core._typos import Typos
    from semantic_core.core import SemanticCore
    from semantic_core.filters import Filter
    from semantic_core.query_syntax import Syntax
    from semantic_core.types import Mode, SearchResults, StoredChunk

Neighbours = dict[int, tuple[list["StoredChunk"], list["StoredChunk"]]]
"""By position in the results: the chunks before and after a hit."""


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Maximum number of hits.",
)
@offset_option
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="hybrid",
    show_default=True,
    help="Semantic and full-text search (hybrid), or only one of them.",
)
@where_option
@collections_option
@tenant_option
@as_option
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Leave out hits with a lower score; 0 to 1.",
)
@click.option(
    "--syntax",
    type=click.Choice(SYNTAXES),
    default="plain",
    show_default=True,
    help="Read the query as words (plain), or with the signs of search boxes (query).",
)
@click.option(
    "--field",
    "fields",
    metavar="KEY",
    multiple=True,
    help="With --syntax query: metadata that may stand before a colon; repeatable.",
)
@click.option(
    "--typos",
    type=click.Choice(TYPOS),
    default="suggest",
    show_default=True,
    help="What to do about words that no document has and that are near to others.",
)
@click.option(
    "--explain",
    is_flag=True,
    help=(
        "Show rank and score by retriever, words found, steps of the ranking and metadata, for "
        "each hit."
    ),
)
@click.option(
    "--chunks", is_flag=True, help="Find all passages, not only the best one of each document."
)
@click.option(
    "--context",
    type=click.IntRange(0, 20),
    default=0,
    help="Show this many passages before and after each hit.",
)
@common
def search(
    query: tuple[str, ...],
    limit: int,
    offset: int,
    mode: Mode,
    where: Filter | None,
    collections: tuple[str, ...],
    tenant: str | None,
    who: dict[str, str],
    min_score: float,
    syntax: Syntax,
    fields: tuple[str, ...],
    typos: Typos,
    explain: bool,
    chunks: bool,
    context: int,
    as_json: bool,
    db: str | None,
) -> None:
    """Search the index for QUERY. A query of several words needs no quotes.

    \b
      semantic-core search "how to repeat something"
      semantic-core search loops --where lang=en --where "year>=2020" -n 3
      semantic-core search --syntax query '"list comprehension" loop* title:python'
    """
    with opened(db, tenant) as core:
        find = core.search_chunks if chunks else core.search
        results = find(
            " ".join(query),
            limit=limit,
            offset=offset,
            mode=mode,
            where=where,
            collections=collections or None,
            context=who,
            min_score=min_score,
            syntax=syntax,
            fields=fields,
            typos=typos,
        )
        neighbours = _neighbours(core, results, context, who)
        empty = not len(results) and not core.documents(limit=1, context=who).total
    if as_json:
        _write_json(results, neighbours, explain=explain)
        return
    from semantic_core.cli._render import hit_texts, summary

    width = prose_width()
    if len(results):
        shown = hit_texts(
            results, width=width, first=offset + 1, explain=explain, neighbours=neighbours
        )
        write(render(*shown, width=width) + "\n")
    else:
        restricted = where is not None or bool(collections)
        advice = _suggestion(empty, offset, restricted, mode, min_score)
        write(fitted(f"Nothing found for “{visible(results.query)}”. {advice}") + "\n")
    write(render(*summary(results, width=width, explain=explain), width=width))


def _suggestion(empty: bool, offset: int, restricted: bool, mode: str, min_score: float) -> str:
    """What to try after a search without hits. restricted: by --where or --collection."""
    if empty:
        return "The index is empty: add files with semantic-core ingest FOLDER."
    if min_score:
        return "Try a lower --min-score."
    if offset:
        return f"There may be fewer than {offset + 1:,} hits: try without --offset."
    if restricted:
        return (
            "Try without --where and --collection; semantic-core documents "
            "list shows what is indexed."
        )
    if mode != "hybrid":
        return "Try --mode hybrid, which combines semantic and full-text search."
    return "Try other words; semantic-core documents list shows what is indexed."


def _neighbours(
    core: SemanticCore, results: SearchResults, count: int, who: dict[str, str]
) -> Neighbours | None:
    """The chunks around each hit, `count` on each side; None for a count of 0. who: asks."""
    if not count:
        return None
    found: Neighbours = {}
    for place, hit in enumerate(results):
        before = []
        after = []
        for stored in core.context_window(hit, before=count, after=count, context=who):
            if stored.chunk.id.position < hit.position:
                before.append(stored)
            elif stored.chunk.id.position > hit.position:
                after.append(stored)
        found[place] = (before, after)
    return found


def _write_json(results: SearchResults, neighbours: Neighbours | None, *, explain: bool) -> None:
    from semantic_core.cli._records import chunk_json, results_json

    answer = results_json(results, explain=explain)
    for place, (before, after) in (neighbours or {}).items():
        answer["hits"][place]["context"] = {
            "before": [chunk_json(stored) for stored in before],
            "after": [chunk_json(stored) for stored in after],
        }
    write_json(answer)
