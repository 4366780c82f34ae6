"""``semantic-core documents``: list, show and delete what is in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from semantic_core.cli._group import GAP, Group
from semantic_core.cli._options import (
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
    """List, show and delete what is in the index."""


@documents.command("list")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Most documents to list.",
)
@offset_option
@where_option
@collections_option
@tenant_option
@common
def list_(
    limit: int,
    offset: int,
    where: Filter | None,
    collections: tuple[str, ...],
    tenant: str | None,
    as_json: bool,
    db: str | None,
) -> None:
    """The documents in order of collection and key."""
    with opened(db, tenant) as core:
        page = core.documents(
            offset=offset, limit=limit, where=where, collections=collections or None
        )
    if as_json:
        from semantic_core.cli._records import summary_json

        write_json(
            {
                "total": page.total,
                "offset": offset,
                "documents": [summary_json(each) for each in page],
            }
        )
        return
    if len(page):
        write(_table(page))
    if len(page) < page.total:
        first = offset + 1
        shown = f"{first:,} to {offset + len(page):,}" if len(page) else "none"
        note(
            fitted(
                f"{counted(page.total, 'document')} in all, shown: {shown}. More "
                "with --offset and --limit."
            )
        )
    else:
        note(f"{counted(page.total, 'document')}.")


@documents.command()
@click.argument("key")
@collection_option
@tenant_option
@common
def show(key: str, collection: str, tenant: str | None, as_json: bool, db: str | None) -> None:
    """What the index knows of the document KEY, and its text."""
    with opened(db, tenant) as core:
        document = core.get(Ref(collection, key))
    if document is None:
        raise InputError(
            f"There is no document {key!r} in collection {collection!r}.",
            hint="semantic-core documents list shows what is there.",
        )
    if as_json:
        from semantic_core.cli._records import document_json

        write_json(document_json(document))
        return
    for name, value in _facts(document):
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
    """Remove the documents of these keys from the index. Files are left alone.

    Exit code 1 if one of them was not there.
    """
    refs = {key: Ref(collection, key) for key in keys}
    with opened(db, tenant) as core:
        missing = [key for key, ref in refs.items() if core.get(ref) is None]
        removed = core.remove(*(ref for key, ref in refs.items() if key not in missing))
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
    facts = [
        ("document", str(document.ref)),
        ("title", document.title),
        ("media type", document.media_type),
        ("language", document.language or ""),
        ("characters", f"{len(document.text):,}"),
        *((key, _told(value)) for key, value in document.metadata.items()),
    ]
    return [(name, value) for name, value in facts if value]


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(page: Page) -> str:
    from rich.table import Table
    from rich.text import Text

    width = table_width()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("collection/key", overflow="fold", ratio=None, min_width=16)
    if width >= 90:
        table.add_column("title", overflow="ellipsis", no_wrap=True)
    table.add_column("characters", justify="right", no_wrap=True)
    table.add_column("passages", justify="right", no_wrap=True)
    if width >= 75:
        table.add_column("changed", no_wrap=True)
    for each in page:
        passages = f"{each.chunks:,}" + (f" ({each.pending:,} pending)" if each.pending else "")
        cells = [
            visible(each.ref),
            *([visible(each.title)] if width >= 90 else []),
            f"{each.characters:,}",
            passages,
        ]
        cells += [each.updated_at[:16].replace("T", " ")] if width >= 75 else []
        table.add_row(*map(Text, cells))
    return render(table, width=width)
