"""``manage.py semantic_core``: look at the indexes of a Django project, and bring them up to date.

Copy this file into an app, as ``management/commands/semantic_core.py``, with an empty
``__init__.py`` in both folders. Then:

    manage.py semantic_core status           how far each index is behind its table
    manage.py semantic_core verify           compare all rows with the index; exit code 1 if they
                                             differ
    manage.py semantic_core sync             process pending changes now
    manage.py semantic_core reindex          compare all rows with the index, and index what differs
    manage.py semantic_core repair           index the rows, and remove the documents, that differ

Each takes the names of indexes or models: ``manage.py semantic_core verify blog.Article``. Without
a name it is done for all indexes. ``--json`` prints the same for programs.

The file is yours from now on: read it, change it.
"""

import json

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from semantic_core.errors import SemanticCoreError
from semantic_core.orm import SemanticIndex

SHOWN = 10
"""Rows that differ which `verify` names at most, for each index."""


class Command(BaseCommand):
    """Calls a method of each index, and prints what it returns."""

    help = "Looks at the semantic indexes of this project, and brings them up to date."

    def add_arguments(self, parser):
        parser.add_argument("action", choices=["status", "verify", "sync", "reindex", "repair"])
        parser.add_argument("index", nargs="*", help="an index or a model; none means all")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, action, index, json, **options):
        self.as_json = json
        self.progress = options["verbosity"] > 0 and not json
        method = getattr(self, f"do_{action}")
        try:
            answers = {each: method(each) for each in self.chosen(index)}
        except SemanticCoreError as error:
            hint = f" {error.hint}" if error.hint else ""
            raise CommandError(f"{error}{hint}") from error
        if self.as_json:
            self.print_json(answers)
        failed = [
            each.declaration.collection for each, answer in answers.items() if not answer["ok"]
        ]
        if failed:
            raise CommandError(f"Not in order: {', '.join(failed)}.", returncode=1)

    def chosen(self, names):
        """The indexes with these names. Of a name that no index has, an error lists those there
        are.
        """
        bound = list(dict.fromkeys(SemanticIndex.bound()))
        if not bound:
            raise CommandError(
                "No index is bound. Declare a SemanticIndex on a model, and call keep_indexes() in "
                "AppConfig.ready()."
            )
        if not names:
            return bound
        found = []
        for name in names:
            named = [each for each in bound if name.lower() in names_of(each)]
            if not named:
                there_are = ", ".join(sorted(each.declaration.collection for each in bound))
                raise CommandError(f"There is no index {name!r}; there are {there_are}.")
            found += named
        return list(dict.fromkeys(found))

    # --- what can be done ---------------------------------------------------------------------

    def do_status(self, index):
        status = index.status()
        parts = [f"{status.waiting:,} waiting"]
        if status.taken:
            parts.append(f"{status.taken:,} being processed")
        if status.aborted:
            parts.append(self.style.ERROR(f"{status.aborted:,} given up"))
        if status.backfill:
            parts.append(f"{status.backfill:,} rows to compare")
        if status.oldest is not None:
            age = timezone.now().timestamp() - status.oldest
            parts.append(f"the oldest {age:,.0f} s ago")
        if not status.capturing:
            parts.append(self.style.ERROR(f"changes are not captured: {index.install_step}"))
        if status.last_error:
            parts.append(self.style.ERROR(status.last_error))
        self.say(index, ", ".join(parts))
        return {
            "ok": status.capturing and not status.aborted,
            "waiting": status.waiting,
            "taken": status.taken,
            "aborted": status.aborted,
            "rows_to_compare": status.backfill,
            "capturing": status.capturing,
            "last_error": status.last_error,
        }

    def do_verify(self, index):
        report = index.verify()
        if report.sound:
            self.say(index, self.style.SUCCESS(f"{report.rows:,} rows, all as in the index"))
        else:
            counts = (
                f"{report.rows:,} rows: {report.missing:,} missing, {report.stale:,} stale, "
                f"{report.ghosts:,} documents without a row, {report.failed:,} not readable"
            )
            self.say(index, self.style.ERROR(counts))
            for kind, ref in report.keys[:SHOWN]:
                self.say(index, f"{kind}: {ref}")
            if report.comparing:
                self.say(index, report.comparing)
        return {
            "ok": report.sound,
            "rows": report.rows,
            "missing": report.missing,
            "stale": report.stale,
            "ghosts": report.ghosts,
            "failed": report.failed,
            "waiting": report.waiting,
        }

    def do_sync(self, index):
        return self.reported(index, index.sync())

    def do_reindex(self, index):
        return self.reported(index, index.reindex(progress=self.show_progress))

    def do_repair(self, index):
        return self.reported(index, index.repair())

    def reported(self, index, report):
        """Print what an `IngestReport` says, and each failure."""
        self.say(
            index,
            f"{report.added:,} added, {report.updated:,} updated, {report.unchanged:,} unchanged, "
            f"{report.removed:,} removed, {report.pending:,} passages without a vector yet",
        )
        for failure in report.failed:
            self.say(index, self.style.ERROR(f"{failure.what}: {failure.reason}"))
        return {
            "ok": not report.failed,
            "added": report.added,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "removed": report.removed,
            "pending": report.pending,
            "failed": [f"{failure.what}: {failure.reason}" for failure in report.failed],
        }

    # --- printing -----------------------------------------------------------------------------

    def show_progress(self, progress):
        if self.progress:
            self.stdout.write(f"{progress.collection}: {progress.rows:,} of {progress.total:,}")

    def say(self, index, text):
        if not self.as_json:
            self.stdout.write(f"{index.declaration.collection}: {text}")

    def print_json(self, answers):
        by_name = {each.declaration.collection: answer for each, answer in answers.items()}
        self.stdout.write(json.dumps(by_name, indent=2))


def names_of(index):
    """What an index may be called on the command line, in lower case."""
    meta = index.model._meta
    return {index.declaration.collection.lower(), meta.label_lower, meta.model_name}
