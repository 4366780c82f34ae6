"""``semantic-core init``: write a settings file that explains every setting.

Tested by tests/cli/test_setup.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from semantic_core._config import FILE
from semantic_core.cli._options import common
from semantic_core.cli._output import visible, write, write_json
from semantic_core.errors import ConfigError
from semantic_core.types import INDEX_FILE

TEMPLATE = """\
# Settings of Semantic Core for this folder and everything below it.
# Arguments of a command take precedence over environment variables (SEMANTIC_CORE_PATH, SEMANTIC_CORE_STORE, ...),
# and these over this file. "semantic-core config show" shows the current settings, "semantic-core plugins show NAME"
# the options of a plugin.

# Path of the index, relative to this file.
path = {path}

# The store, and the embedder (embedding model). Vectors of different embedders cannot be compared:
# after a change of the embedder, ingest the documents into a new index.
# store = "sqlite"
# embedder = "wordllama"        # or "none": full-text search only

# Full-text search: what splits texts into words, and the languages of texts and queries, as ISO codes. An index keeps
# both; after a change run semantic-core reanalyse.
# analyser = "languages"
# languages = ["en"]

# Whether a new index separates tenants. An existing index keeps its setting.
# multi_tenant = false

# File of the ledger of batch jobs and costs, for a store that keeps none itself.
# ledger = "jobs.ledger"

# Longest passage, in characters. The default is the embedder's limit.
# max_chars = 1000

# Seconds that the retriever of each plugin, or a reranker that only reorders, may take in one search; 0 is no limit.
# search_timeout = 10

# [store_options]
# durability = "full"

# [embedder_options]

# How soon texts must be embedded with --mode auto: "now", or within "1h" or "24h".
# [freshness]
# "*" = "24h"
# tickets = "now"

# Use only these plugins. The default is all installed plugins.
# [plugins]
# use = ["sqlite", "wordllama", "markdown"]

# The options of a plugin, here of one that is called decay.
# [plugins.decay]
# half_life = 30

# Limits for the cost of embedding, in the currency of the embedder's prices. A run stops at soft unless --force is
# given, and always at hard.
# [budget]
# soft = 5
# hard = 10
# per = "day"

# Batch jobs: maximum number of passages and tokens per job, and of jobs that run at the same time.
# [batch]
# job_size = 50000
# job_tokens = 100000
# open_jobs = 50
"""  # noqa: E501


@click.command()
@click.option("--force", is_flag=True, help="Overwrite an existing settings file.")
@common
def init(force: bool, as_json: bool, db: str | None) -> None:
    """Write semantic-core.toml, with a comment for every setting, to this folder.

    --db sets the path of the index in it.
    """
    file = Path(FILE)
    if (file.exists() or file.is_symlink()) and not force:
        raise ConfigError(
            f"{FILE} already exists and was not changed.", hint="Overwrite it with --force."
        )
    _write_atomically(file, TEMPLATE.format(path=_quoted(db or INDEX_FILE)))
    if as_json:
        write_json({"created": str(file.resolve())})
    else:
        write(f"Wrote {visible(file.resolve())}. Next: semantic-core ingest FOLDER")


def _quoted(text: str) -> str:
    """The text as a TOML string, which has the same escapes as JSON."""
    from json import dumps

    from semantic_core._validation import check_unicode

    return dumps(check_unicode("--db", text)).replace("\x7f", "\\u007f")


def _write_atomically(file: Path, text: str) -> None:
    """Write the whole file or none of it: a temporary file is written and then renamed."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            temporary.write_text(text, "utf-8")
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        hint = "Free disk space, or use a folder that you may write to."
        raise ConfigError(f"Cannot write {file.name} here: {error.strerror}.", hint=hint) from error
