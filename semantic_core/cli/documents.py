"""``semantic-core documents``: list, show and delete indexed documents.

Tested by tests/cli/test_search.py and tests/cli/test_bad_input.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core.cli._group import GAP, Group
from semantic_core.cli._options import (
    as_option,
    collection_option,
    collections_option,
    common,
    offset_option,
    opened,
    tenant_option,
    where_option,
)
from semantic_core.cli._output import (
    counted,
    fitted,
    note,
    render,
    table_width,
    visible,
    write,
    write_json,
)
from semantic_core.errors import InputError
from semantic_core.types import Ref

if TYPE_CHECKING:
    from semantic_core.filters import Filter
    from semantic_core.types import Document, Page


@click.group(cls=Group)
def documents() -> None:
    """List, show and delete indexed documents."""


@documents.command("list")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Maximum number of documents.",
)
@offset_option
@where_option
@collections_option
@tenant_option
@as_option
@common
def list_(
    limit: int,
    offset: int,
    where: Filter | None,
    collections: tuple[str, ...],
    tenant: str | None,
    who: dict[str, str],
    as_json: bool,
    db: str | None,
) -> None:
    """List the documents, sorted by collection and key."""
    with opened(db, tenant) as core:
        page = core.documents(
            offset=offset,
            limit=limit,
            where=where,
            collections=collections or None,
            context=who,
        )
    if as_json:
        from semantic_core.cli._records import summary_json

        found = [summary_json(summary) for summary in page]
        write_json({"total": page.total, "offset": offset, "documents": found})
        return
    if len(page):
        write(_table(page))
    total = counted(page.total, "document")
    if len(page) == page.total:
        note(f"{total}.")
        return
    shown = f"{offset + 1:,} to {offset + len(page):,}" if len(page) else "none"
    note(fitted(f"{total} in all, shown: {shown}. More with --offset and --limit."))


@documents.command()
@click.argument("key")
@collection_option
@tenant_option
@as_option
@common
def show(
    key: str,
    collection: str,
    tenant: str | None,
    who: dict[str, str],
    as_json: bool,
    db: str | None,
) -> None:
    """Show the metadata and the text of the document KEY.

    KEY is the key within its collection, or COLLECTION/KEY as `documents list` prints it.
    """
    with opened(db, tenant) as core:
        document = core.get(Ref(collection, key), context=who)
        listed_collection, slash, listed_key = key.partition("/")
        if document is None and slash and listed_collection and listed_key:
            document = core.get(Ref(listed_collection, listed_key), context=who)
    if document is None:
        raise InputError(
            f"There is no document {key!r} in collection {collection!r}.",
            hint="semantic-core documents list shows the documents.",
        )
    if as_json:
        from semantic_core.cli._records import document_json

        write_json(document_json(document))
        return
    for name, value in _facts(document):
        if value:
            write(fitted(f"{visible(name).ljust(13)} {visible(value)}", indent=14))
    write()
    write(visible(document.text, lines=True).rstrip())


@documents.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@collection_option
@tenant_option
@common
@click.pass_context
def delete(
    context: click.Context,
    keys: tuple[str, ...],
    collection: str,
    tenant: str | None,
    as_json: bool,
    db: str | None,
) -> None:
    """Delete the documents with these keys from the index. Files are not deleted.

    Exit code 1 if a document was not found.
    """
    existing = []
    missing = []
    with opened(db, tenant) as core:
        for key in dict.fromkeys(keys):
            ref = Ref(collection, key)
            if core.unrestricted().get(ref) is None:
                missing.append(key)
            else:
                existing.append(ref)
        removed = core.remove(*existing)
    if as_json:
        write_json({"removed": removed, "missing": missing})
    else:
        write(f"Removed {counted(removed, 'document')}.")
        for key in missing:
            note(
                f"There was no document {visible(repr(key))} in collection "
                f"{visible(repr(collection))}."
            )
    if missing:
        context.exit(GAP)


def _facts(document: Document) -> list[tuple[str, str]]:
    """(name, value) of what `show` prints above the text; empty values are not printed."""
    facts = [
        ("document", str(document.ref)),
        ("title", document.title),
        ("media type", document.media_type),
        ("language", document.language or ""),
        ("characters", f"{len(document.text):,}"),
    ]
    for key, metadata_value in document.metadata.items():
        facts.append((key, _metadata_text(metadata_value)))
    return facts


def _metadata_text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(page: Page) -> str:
    from rich.table import Table
    from rich.text import Text

    width = table_width()
    has_title = width >= 90
    has_time = width >= 75
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("collection/key", overflow="fold", ratio=None, min_width=16)
    if has_title:
        table.add_column("title", overflow="ellipsis", no_wrap=True)
    table.add_column("characters", justify="right", no_wrap=True)
    table.add_column("passages", justify="right", no_wrap=True)
    if has_time:
        table.add_column("updated", no_wrap=True)
    for summary in page:
        passages = f"{summary.chunks:,}"
        if summary.pending:
            passages += f" ({summary.pending:,} pending)"
        cells = [visible(summary.ref)]
        if has_title:
            cells.append(visible(summary.title))
        cells += [f"{summary.characters:,}", passages]
        if has_time:
            cells.append(summary.updated_at[:16].replace("T", " "))
        table.add_row(*map(Text, cells))
    return render(table, width=width)
