"""``semantic-core init``: write a settings file that explains every setting, with an embedder for
the languages of the texts.

Tested by tests/cli/test_setup.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from semantic_core._config import DEFAULT_EMBEDDER, FILE
from semantic_core.cli._options import common
from semantic_core.cli._output import is_terminal, note, visible, write, write_json
from semantic_core.errors import ConfigError, InputError
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
{embedder}        # or "none": full-text search only

# Languages of the texts, as ISO 639 codes, and what splits texts into the terms of full-text search.
{languages}
# analyser = "languages"        # or "words", which knows no language

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
# use = ["sqlite", "wordllama", "languages", "markdown"]

# The options of a plugin, here of one that is called decay.
# [plugins.decay]
# half_life = 30

# The ranking of searches: the steps that run, fields that count more, and whether newer documents do.
# [ranking]
# steps = ["documents", "feedback", "neighbours"]

# [ranking.boosts]
# title = 3.0

# [ranking.recency]
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


ENGLISH_EMBEDDER = DEFAULT_EMBEDDER
"""What is proposed for texts in English."""
MULTILINGUAL_EMBEDDER = "use"
"""What is proposed for texts in other languages."""
MULTILINGUAL = frozenset(
    ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
)
"""The languages it was made for."""


@click.command()
@click.option("--force", is_flag=True, help="Overwrite an existing settings file.")
@click.option(
    "--languages",
    metavar="CODES",
    help="Languages of your texts, for example en,de: they decide which embedder is set.",
)
@common
def init(force: bool, languages: str | None, as_json: bool, db: str | None) -> None:
    """Write semantic-core.toml, with a comment for every setting, to this folder.

    In a terminal it asks for the languages of your texts, and sets an embedder that was made for
    them: wordllama for English, use for others. --db sets the path of the index.
    """
    file = Path(FILE)
    if (file.exists() or file.is_symlink()) and not force:
        raise ConfigError(
            f"{FILE} already exists and was not changed.", hint="Overwrite it with --force."
        )
    codes = _languages(languages, asks=not as_json)
    embedder = MULTILINGUAL_EMBEDDER if set(codes) - {"en"} else ENGLISH_EMBEDDER
    _write_atomically(file, _settings(db or INDEX_FILE, codes, embedder))
    install = _install_command(embedder) if codes else ""
    if as_json:
        answer: dict[str, object] = {"created": str(file.resolve())}
        if codes:
            answer |= {"languages": list(codes), "embedder": embedder, "install": install}
        write_json(answer)
        return
    write(f"Wrote {visible(file.resolve())}.")
    if codes:
        write(f"Embedder for {', '.join(codes)}: {embedder}.")
    uncovered = sorted(set(codes) - MULTILINGUAL)
    if uncovered:
        note(
            f"It was not made for {', '.join(uncovered)}: full-text search finds more there. The "
            "plugin semantic-core-onnx runs a model of your own."
        )
    steps = [install] if install else []
    write(f"Next: {', then '.join([*steps, 'semantic-core ingest FOLDER'])}")


def _languages(given: str | None, *, asks: bool) -> tuple[str, ...]:
    """The languages that were given or, in a terminal, are answered; () if there are none."""
    from semantic_core._validation import check_languages

    if given is None:
        if not (asks and is_terminal(sys.stdin)):
            return ()
        question = "Languages of your texts, as ISO 639 codes such as en,de"
        given = click.prompt(question, default="en", err=True)
    codes = [code.strip() for code in given.split(",") if code.strip()]
    if not codes:
        raise InputError("--languages names no language.", hint="For example --languages en,de.")
    checked = check_languages(codes)
    _check_analysed(checked)
    return checked


def _check_analysed(codes: Sequence[str]) -> None:
    """Raise ConfigError for a language that the analyser refuses, if it is installed: before the
    file is written, and not at the next command.
    """
    from semantic_core._config import DEFAULT_ANALYSER
    from semantic_core._plugins.host import Plugins

    plugins = Plugins.load([DEFAULT_ANALYSER], refuse=False)
    if DEFAULT_ANALYSER in plugins.analysers:
        plugins.create_analyser(DEFAULT_ANALYSER, codes)


def _settings(path: str, codes: Sequence[str], embedder: str) -> str:
    """The text of the file. Without languages nothing is set but the path."""
    mark = "" if codes else "# "
    listed = ", ".join(f'"{code}"' for code in codes or ("en",))
    return TEMPLATE.format(
        path=_quoted(path),
        embedder=f'{mark}embedder = "{embedder}"',
        languages=f"{mark}languages = [{listed}]",
    )


def _install_command(embedder: str) -> str:
    """The command that installs this embedder of ours; "" if it is installed."""
    from semantic_core._plugins.distributions import home_of, installs, version_of

    return "" if version_of(home_of(embedder)) else installs(embedder)


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
