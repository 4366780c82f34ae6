"""``semantic-core init``: a settings file to start from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from semantic_core.cli._options import DEFAULT_PATH, common
from semantic_core.cli._output import visible, write, write_json
from semantic_core.errors import ConfigError

TEMPLATE = """\
# Settings of Semantic Core, for everything below this folder.
# A command's argument wins over the environment (SEMANTIC_CORE_PATH, SEMANTIC_CORE_STORE, ...), which wins over this file.
# "semantic-core config show" shows what is in force, "semantic-core plugins show NAME" what a plugin can be told.

# Where the index lives; relative to this file.
path = {path}

# What keeps the index, and what turns text into vectors. The vectors of two embedders never mix:
# change the embedder, and the documents have to be ingested into a new index.
# store = "sqlite"
# embedder = "wordllama"        # or "none": search by words only

# Whether a new index keeps tenants apart; an existing one remembers.
# multi_tenant = false

# Longest passage in characters; the embedder's own limit when left out.
# max_chars = 1000

# Only these plugins; all that are installed when left out.
# plugins = ["peewee", "wordllama", "markdown"]

# [store_options]
# durability = "full"

# [embedder_options]

# How long texts may wait for their vectors with --mode auto: "now", "1h" or "24h".
# [freshness]
# "*" = "24h"
# tickets = "now"

# What embedding may cost, in the currency of the embedder's prices: soft ends a run unless it is forced, hard ends it.
# [budget]
# soft = 5
# hard = 10
# per = "day"

# Batch jobs: passages and tokens in one, and how many are under way at a time; all at most.
# [batch]
# job_size = 50000
# job_tokens = 100000
# open_jobs = 50
"""  # noqa: E501


@click.command()
@click.option("--force", is_flag=True, help="Overwrite the settings file that is there.")
@common
def init(force: bool, as_json: bool, db: str | None) -> None:
    """Write semantic-core.toml, with every setting explained, into this folder.

    With --db, the index it names.
    """
    from semantic_core._config import FILE

    file = Path(FILE)
    if (file.exists() or file.is_symlink()) and not force:
        raise ConfigError(
            f"{FILE} is already here and stays as it is.", hint="Overwrite it with --force."
        )
    _write_whole(file, TEMPLATE.format(path=_quoted(db or DEFAULT_PATH)))
    if as_json:
        write_json({"created": str(file.resolve())})
    else:
        write(f"Wrote {visible(file.resolve())}. Next: semantic-core ingest FOLDER")


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, for any text that is Unicode."""
    from json import dumps

    from semantic_core._validation import check_unicode

    return dumps(check_unicode("--db", text)).replace("\x7f", "\\u007f")


def _write_whole(file: Path, text: str) -> None:
    """The whole file or none of it: written beside it, then put in its place."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            beside.write_text(text, "utf-8")
            os.replace(beside, file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        hint = "Make room, or go to a folder you may write to."
        raise ConfigError(f"Cannot write {file.name} here: {error.strerror}.", hint=hint) from error
