"""The page of guarantees: what is promised, the test that holds it, the figure of the last run;
and what is not promised.

Longer than the house limit: every promise stands here, beside the test and the figures it comes
from, as one list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from posixpath import normpath
from string import Formatter
from typing import Any

import attrs

TRUST = "plugins/semantic-core-peewee/tests/trust"
"""Where the tests are that hold the promises; what a promise names is seen from there."""
TESTS = [TRUST, "plugins/semantic-core-peewee/tests/orm/test_histories.py"]
"""What is run for the figures."""

Figures = Mapping[str, Mapping[str, Any]]
"""Of every test that records some: its name, and the figures by theirs."""


@attrs.frozen
class Promise:
    """A sentence, the test that fails if it is not true (file and function),
    and what the last run of that test found.
    """

    promise: str
    test: str
    found: str


@attrs.frozen
class Limit:
    """What is not promised, and what to do about it. found: the figure behind it,
    if one was measured.
    """

    limit: str
    instead: str
    found: str = ""


PROMISES: Mapping[str, Sequence[Promise]] = {
    "What was acknowledged stays": [
        Promise(
            "A write that returned survives a process that is killed, whole.",
            "test_kill.py::test_a_killed_writer_loses_nothing_it_acknowledged",
            "{kill[kills]} kills while writing, {kill[acknowledged]} documents acknowledged:"
            " {kill[lost]} lost, {kill[ghost]} ghosts, {kill[partial]} half done",
        ),
        Promise(
            "So it does when several processes write and check at once, and all are killed.",
            "test_kill.py::test_a_killed_writer_loses_nothing_it_acknowledged",
            "{kill_together[kills]} kills, {kill_together[acknowledged]} documents acknowledged:"
            " {kill_together[lost]} lost, {kill_together[ghost]} ghosts, "
            "{kill_together[partial]} half done",
        ),
        Promise(
            "A backup that is cut off leaves nothing that passes for a store.",
            "test_kill.py::test_a_killed_backup_is_whole_or_no_store",
            "{kill_backup[kills]} kills, {kill_backup[cut_off]} of them within a copy: every file "
            "left was refused or whole",
        ),
        Promise(
            (
                "With `durability = full`, the default, it survives a power cut at any moment; the "
                "file needs no repair."
            ),
            "test_power.py::test_a_power_cut_takes_nothing_that_was_acknowledged",
            (
                "{power_full[states]} states after a cut: {power_full[corrupt]} corrupt, "
                "{power_full[lost]} with a loss"
            ),
        ),
        Promise(
            (
                "With `durability = normal` a power cut may take the last writes, in order; the "
                "file stays sound."
            ),
            "test_power.py::test_a_power_cut_takes_the_last_writes_at_most_when_they_were_not_to_wait_for_the_disk",
            "{power_normal[states]} states: {power_normal[corrupt]} corrupt, {power_normal[mixed]} "
            "mixed, at most {power_normal[most_lost]} writes gone",
        ),
        Promise(
            (
                "A disk that fails leaves the state before or after a write, and the first error "
                "is the one you get."
            ),
            "test_io_faults.py::test_a_failing_disk_leaves_the_state_before_or_after",
            "{io_faults[points]} calls made to fail in {io_faults[operations]} operations: "
            "{io_faults[mixed]} mixed states, {io_faults[masked]} masked errors, "
            "{io_faults[damaged]} damaged files",
        ),
        Promise(
            "A batch job that is killed at any point neither loses a passage, nor gives it "
            "another's vector, nor pays for it twice.",
            "test_batch_schedules.py::test_no_schedule_makes_a_vector_wrong_or_a_passage_lost_stuck_or_paid_for_twice",
            "{batch_jobs[schedules]} schedules of crashes over {batch_jobs[points]} points, "
            "{batch_jobs[shapes]} shapes of results: {batch_jobs[faults]} faults",
        ),
        Promise(
            "In any history of imports, edits, jobs, searches and crashes, at a provider that "
            "refuses, expires and forgets, no text is lost or paid for twice, and the ledger of "
            "costs is the provider's bill, to the token.",
            "test_batch_histories.py::test_in_any_history_nothing_is_lost_or_paid_for_twice_and_the_ledger_is_the_bill",
            "{batch_histories[histories]} random histories, {batch_histories[crashes]} crashes over"
            " {batch_histories[points]} calls: {batch_histories[lost]} lost,"
            " {batch_histories[off]} of {batch_histories[tokens]} tokens off the bill",
        ),
        Promise(
            (
                "A full disk refuses a write whole, searching goes on, and with room "
                "again so does writing."
            ),
            "test_disk.py::test_a_full_disk_refuses_a_write_whole_and_loses_none",
            "{disk_full[refused]} of {disk_full[writes]} writes refused for want of space: "
            "{disk_full[lost]} lost, {disk_full[half_done]} half done",
        ),
    ],
    "Answers are right": [
        Promise(
            "Any history of calls gives the answers of a plain model of it, within snapshots too.",
            "test_model.py::test_any_history_gives_the_oracles_answers",
            (
                "{model[steps]} random steps in {model[histories]} histories: "
                "{model[differences]} differences"
            ),
        ),
        Promise(
            (
                "What one process has committed is in the next search of every other, and nobody "
                "sees half of it."
            ),
            "test_concurrency.py::test_two_writers_and_eight_readers_agree",
            "{processes[writers]} writers, {processes[readers]} readers, {processes[writes]} "
            "writes,"
            " {processes[looks]} looks: {processes[torn]} torn, {processes[stale]} stale,"
            " {processes[lock_errors]} lock errors",
        ),
        Promise(
            "An index of models never differs from its table in silence: after a restore of "
            "either, a lost or copied file, a second host, a migration, writes past the ORM, a "
            "killed worker or a clock that jumps, an answer is right or says that it may not be.",
            "../orm/test_histories.py::test_no_history_ends_in_a_silent_difference",
            "{histories[histories]} random histories of {histories[steps]} steps: "
            "no silent difference",
        ),
        Promise(
            "What a signal handler raises (a time limit, Ctrl-C in a notebook), at whatever line "
            "it comes, leaves no lock held, no thread on an old state, no log that cannot be "
            "emptied.",
            "test_interruption.py::test_an_alarm_at_any_line_leaves_nothing_stuck",
            "{interruptions[tried]} alarms in {interruptions[operations]} kinds of work, "
            "{interruptions[heard]} of them heard: nothing stuck",
        ),
        Promise(
            "One store serves any number of threads.",
            "test_concurrency.py::test_thirty_two_threads_share_one_store",
            (
                "{threads[threads]} threads, {threads[writes]} writes, {threads[looks]} looks: "
                "{threads[errors]} errors"
            ),
        ),
        Promise(
            "A process that stands still while it writes to the index costs a save of the "
            "application 0.1 s, and the next ones nothing; what waits is processed once it goes "
            "on. `search(fresh=True, timeout=...)` takes that long, and tells what waits.",
            "test_concurrency.py::"
            "test_a_writer_that_stands_still_costs_a_save_its_patience_and_the_next_ones_nothing",
            "first save {stopped_writer[first_ms]} ms, the next ones {stopped_writer[next_ms]} ms "
            "at most, a search with timeout=0.5 {stopped_writer[fresh_ms]} ms",
        ),
        Promise(
            "A forked child neither loses rows of its parent nor its own.",
            "test_concurrency.py::test_forks_lose_nothing_on_either_side",
            "{forks[forks]} forks, {forks[rows]} rows: {forks[lost]} lost",
        ),
        Promise(
            (
                "Damage that changes an answer is found by `semantic-core doctor`, or is an error "
                "where it is met."
            ),
            "test_bit_rot.py::test_damage_that_changes_an_answer_is_found",
            "{bit_rot[mutations]} files damaged, {bit_rot[harmful]} of them so that an answer "
            "changed:"
            " {bit_rot[found_percent]} % found, {bit_rot[crashes]} crashes",
        ),
        Promise(
            (
                "A damaged text or vector is not given out as if it were sound: each is compared "
                "with its checksum when read."
            ),
            "test_bit_rot.py::test_damage_that_changes_an_answer_is_found",
            (
                "{bit_rot[mutations]} files damaged: {bit_rot[served]} gave out a "
                "record that was never stored"
            ),
        ),
        Promise(
            (
                "`doctor` names damage line by line; `doctor --repair` makes what is derived anew "
                "from documents and vectors."
            ),
            "test_doctor.py::test_damage_to_what_is_derived_is_told_line_by_line_and_repaired",
            "{doctor[derived]} kinds of damage to what is derived: {doctor[repaired]} found and "
            "repaired; {doctor[kept]} kinds to what is kept: {doctor[told]} "
            "told, none repaired away",
        ),
        Promise(
            "A backup is the store: put in its place it gives every answer as before.",
            "test_doctor.py::test_a_backup_is_the_store_and_takes_its_place",
            "compared answer by answer",
        ),
    ],
    "Nobody gets in": [
        Promise(
            "Any text is a legal query, and none of it is ever part of a statement.",
            "test_hostile.py::test_any_text_is_a_legal_query_and_never_part_of_a_statement",
            "{hostile_queries[queries]} hostile queries: {hostile_queries[errors]} errors,"
            " {hostile_queries[in_statements]} in a statement",
        ),
        Promise(
            "No query stalls the store: it is cut to 32 words before SQLite sees it.",
            "test_hostile.py::test_a_query_asks_for_few_words_whatever_it_holds",
            "{query_bombs[bombs]} query bombs, the worst took {query_bombs[worst_ms]} ms",
        ),
        Promise(
            "Nor does one of a word that nearly every passage holds.",
            "test_hostile.py::test_a_query_of_one_common_word_reads_little_more_than_who_holds_it",
            "{common_word[passages]} passages: {common_word[first_ms]} ms the first time, "
            "{common_word[again_ms]} ms again, {common_word[after_a_write_ms]} ms after a write, "
            "{common_word[opened_ms]} ms in a store just opened, at most",
        ),
        Promise(
            "Any filter is data, and means what `Filter.matches` says.",
            "test_hostile.py::test_any_filter_is_data_and_never_part_of_a_statement",
            "{hostile_filters[filters]} hostile filters: {hostile_filters[differing]} differ,"
            " {hostile_filters[in_statements]} in a statement",
        ),
        Promise(
            (
                "No vector that means nothing is stored or asked for; none stands "
                "first because of its size."
            ),
            "test_hostile.py::test_no_poison_vector_is_stored_and_none_ranks",
            (
                "{poison_vectors[vectors]} poisoned vectors: {poison_vectors[stored]} stored, "
                "{poison_vectors[ranked]} ranked"
            ),
        ),
        Promise(
            "No answer to one tenant holds anything of another.",
            "test_tenants.py::test_no_answer_holds_anything_of_another_tenant",
            "{tenants[operations]} calls of {tenants[entries]} public entries by "
            "{tenants[tenants]} tenants: {tenants[leaks]} leaks",
        ),
        Promise(
            "Nothing a plugin retrieves is shown out of tenant, collection and filter; a filter or "
            "reranker that fails shows nothing it would have taken away.",
            "../../../../tests/test_rerankers.py::"
            "test_a_reranker_that_fails_is_an_error_and_no_answer",
            "played with every change",
        ),
        Promise(
            "A settings file that was found in a folder leads no text and no key to a host its "
            "user has not confirmed.",
            "../../../../tests/test_config.py::"
            "test_a_file_that_was_found_leads_to_no_host_nobody_confirmed",
            "played with every change",
        ),
        Promise(
            "What was removed or replaced is overwritten: no byte of its text, words, metadata, "
            "vectors or codes is left in the file or its log.",
            "test_rules.py::test_the_store_keeps",
            "one of {rules[rules]} rules, each proved by a defect that breaks it",
        ),
        Promise(
            (
                "A file of another program, or of a newer release, is refused by name and not "
                "changed by a byte."
            ),
            "test_disk.py::test_nothing_of_others_is_opened_or_changed",
            "{foreign_files[tried]} kinds of file: {foreign_files[changed]} changed",
        ),
        Promise(
            (
                "Python's own `sqlite3` cannot connect to the file of an open store in the same "
                "process. A log that went because the process lost its locks some other way "
                "(`ATTACH`, a copy of the folder made in Python) is noticed before the next use; "
                "what was acknowledged is there."
            ),
            "test_disk.py::test_a_second_library_is_refused_from_both_sides_and_loses_nothing",
            "{second_library[tried]} tries: {second_library[let_through]} let through",
        ),
    ],
    "Errors say what to do": [
        Promise(
            (
                "Every way to fail gives one of our errors, with its cause and a way out, and "
                "leaves the store usable."
            ),
            "test_errors.py::test_each_trigger_gives_its_error",
            "{errors[triggers]} triggers pulled, {errors[classes]} classes of errors",
        ),
        Promise(
            (
                "A file that is replaced under a running process is neither written nor read old: "
                "the next call says so."
            ),
            "test_disk.py::test_a_file_that_is_replaced_is_neither_written_nor_read_old",
            "five ways to use it, all refused",
        ),
        Promise(
            (
                "These tests can fail: known bugs of older systems, of peers and our own are put "
                "in, and each is caught."
            ),
            "test_defects.py::test_every_defect_is_caught_by_the_check_that_is_named",
            "{defects[killed]} of {defects[seeded]} seeded defects caught",
        ),
    ],
}

LIMITS: Sequence[Limit] = [
    Limit(
        'The last writes before a power cut, with `durability = "normal"`.',
        "Leave it at `full`.",
        "at most {power_normal[most_lost]} writes in {power_normal[states]} cuts",
    ),
    Limit(
        "Anything, on hardware that says a write is on the disk when it is not.",
        (
            "Use drives that keep their word, and backups. A control without any "
            "waiting shows what happens."
        ),
        "{power_off[corrupt]} of {power_off[states]} states corrupt",
    ),
    Limit(
        "That a write which raised an I/O error is gone, if the machine goes down before the next "
        "one:"
        " it may be there, whole.",
        "Write it again: ingesting twice changes nothing.",
        "{io_faults[raised_but_kept_in_a_crash]} of {io_faults[points]} points",
    ),
    Limit(
        "That the ledger of costs has the answer a process died with, before it was written down: "
        "one call for texts, and the queries of its last minute (100 at most); nor an answer that "
        "never came. What a job cost that its provider has lost is an estimate.",
        "The provider's bill is the one that is paid; lay `semantic-core costs` beside it.",
        "{batch_histories[died_with]} of {batch_histories[tokens]} tokens, in"
        " {batch_histories[crashes]} crashes",
    ),
    Limit(
        "That nobody pays for a text twice where an answer for it was paid for and lost with the "
        "process, where its provider lost the results of a job, or where `embed_pending` was told "
        "to take it from a job.",
        "Nothing; it is rare. All of it but the first is in the ledger of costs.",
        "{batch_histories[twice]} texts in {batch_histories[histories]} histories full of trouble",
    ),
    Limit(
        "Files on a network file system (NFS, SMB, sshfs, ...).",
        (
            "Put the file on a local disk; `semantic-core doctor` notes it where "
            "the system tells (Linux)."
        ),
    ),
    Limit(
        "Two writers at the same moment: one waits, up to `busy_timeout`, then gets `StoreBusy`.",
        "Write in batches; try again. Readers never wait.",
    ),
    Limit(
        "That nobody can find out whether a key he guesses was once in an index of models: of each "
        "row that was removed a fingerprint of its key stays (not the key), so that an older "
        "change does not bring it back.",
        "Remove the file; it is made anew from the rows.",
    ),
    Limit(
        (
            "A second SQLite library that opens the file from C, or before us "
            "where there is no `/proc`, or by `ATTACH`; a plain `open()` of one of the store's "
            "files while it is open. Between that and our noticing it, what two processes write at "
            "once may be lost."
        ),
        "Leave the file to the store; use `backup()` for a copy, or another process.",
    ),
    Limit(
        "That a search finds everything while codes, words or values for filters are damaged: they "
        "are compared by `doctor`, not by every search.",
        "Run `semantic-core doctor` now and then; `--repair` makes them anew.",
    ),
    Limit(
        (
            "Protection against someone who can write to the file: checksums find "
            "accidents, not forgers."
        ),
        "Set the rights of the file.",
    ),
    Limit(
        (
            "Erasure beyond the file: older backups, snapshots of the file system, and what an SSD "
            "keeps elsewhere."
        ),
        "Encrypt the disk; let backups expire.",
    ),
    Limit(
        (
            "Removing for free: words are overwritten in the index as well, a few "
            "milliseconds a document."
        ),
        "Remove in batches.",
    ),
    Limit(
        (
            "Searching a file in a folder one may not write to: SQLite needs its two helpers "
            "beside the file."
        ),
        (
            "Give the right to write to the folder; or a file system that is mounted read-only as "
            "a whole, which is searched."
        ),
    ),
    Limit(
        "A check of the index of words without holding up writers for as long as that part takes; "
        "the rest is read beside them. Where the file cannot be written, words are only compared "
        "with themselves.",
        "Check a backup.",
    ),
    Limit(
        (
            "Scores that say nothing of other tenants: how rare a word is, is "
            "counted over the whole file."
        ),
        "Give tenants that must not guess at each other a file each.",
    ),
    Limit(
        "A log that stays small while somebody keeps a `snapshot()` open.",
        "Keep snapshots short.",
    ),
    Limit(
        (
            "A store in a child that was forked off while another thread was in the middle of a "
            "statement: it is refused there."
        ),
        "Start processes anew (spawn), or fork before using it.",
    ),
    Limit(
        "Systems these tests have not run on.",
        "Run them on yours: `make reliability`.",
    ),
]

TEMPLATE = Path(__file__).with_suffix(".template")
"""All of the page but what is measured."""


def page(report: Mapping[str, Any]) -> str:
    """The page, from what `reliability.json` holds.

    Raises KeyError if it lacks a figure a sentence names.
    """
    figures: Figures = report["figures"]
    parts = []
    for heading, promises in PROMISES.items():
        rows = [
            f"| {one.promise} | {_told(one.found, figures)} | {_linked(one.test)} |"
            for one in promises
        ]
        parts.append(
            "\n".join(
                [
                    f"### {heading}",
                    "",
                    "| promise | last run | held by |",
                    "|---|---|---|",
                    *rows,
                    "",
                ]
            )
        )
    limits = [f"| {one.limit} | {one.instead} | {_told(one.found, figures)} |" for one in LIMITS]
    machine = report["hardware"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        when=report["when"][:10],
        passed=report["passed"],
        minutes=round(report["seconds"] / 60, 1),
        soak=report["soak"],
        promises="\n".join(parts),
        limits="\n".join(limits),
        **{name: machine[name] for name in ("processor", "cores", "system", "python", "sqlite")},
    )


def _told(text: str, figures: Figures) -> str:
    """The text with its figures, whole numbers in groups of three."""
    return _Grouped().vformat(text, (), figures)


class _Grouped(Formatter):
    def format_field(self, value: Any, spec: str) -> str:
        return f"{value:,}" if isinstance(value, int) and not spec else str(format(value, spec))


def _linked(test: str) -> str:
    file, _, name = test.partition("::")
    path = normpath(f"../{TRUST}/{file}")
    return f"[{name.removeprefix('test_').replace('_', ' ')}]({path})"
