"""``semantic-core reanalyse``: make the full-text index anew, for another analyser or language.

Tested by tests/cli/test_reanalyse.py.
"""

from __future__ import annotations

import click

from semantic_core.cli._options import common, opened
from semantic_core.cli._output import counted, fitted, visible, write, write_json


@click.command()
@common
def reanalyse(as_json: bool, db: str | None) -> None:
    """Make the full-text index anew, with the analyser and the languages of the settings.

    Needed after `analyser` or `languages` was changed, or after an update of the analyser. It needs
    no embedder: texts and vectors stay as they are, of all tenants. Other processes that have the
    index open must be started again.
    """
    with opened(db, reanalyse=True) as core:
        passages = core.stats(all_tenants=True).chunks
        identity = core.analyser.identity
    if as_json:
        write_json({"analyser": identity, "passages": passages})
        return
    write(fitted(f"Analysed {counted(passages, 'passage')} with {visible(identity)}."))
