"""The page of guarantees: what is promised, the test that proves it, the figure of the last run;
and what is not promised.

Longer than the house limit: every promise is listed here, with the test and the figures it comes
from.
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
    "Acknowledged writes are durable": [
        Promise(
            "A write that has returned survives if the process is killed, and survives completely.",
            "test_kill.py::test_a_killed_writer_loses_nothing_it_acknowledged",
            "{kill[kills]} kills during writes, {kill[acknowledged]} documents acknowledged:"
            " {kill[lost]} lost, {kill[ghost]} ghosts, {kill[partial]} partially written",
        ),
        Promise(
            "The same holds if several processes write and check at once, and all are killed.",
            "test_kill.py::test_a_killed_writer_loses_nothing_it_acknowledged",
            "{kill_together[kills]} kills, {kill_together[acknowledged]} documents acknowledged:"
            " {kill_together[lost]} lost, {kill_together[ghost]} ghosts,"
            " {kill_together[partial]} partially written",
        ),
        Promise(
            "An interrupted backup never leaves a file that is accepted as a store but is "
            "incomplete.",
            "test_kill.py::test_a_killed_backup_is_whole_or_no_store",
            "{kill_backup[kills]} kills, {kill_backup[cut_off]} of them during a copy: every file "
            "that was left was either rejected or complete",
        ),
        Promise(
            "With `durability = full`, the default, acknowledged writes survive a power failure "
            "at any moment, and the file needs no repair.",
            "test_power.py::test_a_power_cut_takes_nothing_that_was_acknowledged",
            "{power_full[states]} states after a power failure: {power_full[corrupt]} corrupt, "
            "{power_full[lost]} with lost writes",
        ),
        Promise(
            "With `durability = normal` a power failure may undo the most recent writes, and only "
            "those; the file stays intact.",
            "test_power.py::test_a_power_cut_takes_the_last_writes_at_most_when_they_were_not_to_wait_for_the_disk",
            "{power_normal[states]} states: {power_normal[corrupt]} corrupt, {power_normal[mixed]} "
            "mixed, at most {power_normal[most_lost]} writes lost",
        ),
        Promise(
            "If the disk fails, the store is in the state before or after the write, and the "
            "error that is raised is the first one.",
            "test_io_faults.py::test_a_failing_disk_leaves_the_state_before_or_after",
            "{io_faults[points]} system calls made to fail in {io_faults[operations]} operations: "
            "{io_faults[mixed]} mixed states, {io_faults[masked]} masked errors, "
            "{io_faults[damaged]} damaged files",
        ),
        Promise(
            "If the process is killed at any point of a batch job, no passage is lost, none gets "
            "the vector of another, and none is paid for twice.",
            "test_batch_schedules.py::test_no_schedule_makes_a_vector_wrong_or_a_passage_lost_stuck_or_paid_for_twice",
            "{batch_jobs[schedules]} crash schedules over {batch_jobs[points]} points, "
            "{batch_jobs[shapes]} shapes of results: {batch_jobs[faults]} faults",
        ),
        Promise(
            "In any history of imports, edits, jobs, searches and crashes, with a provider that "
            "rejects texts, lets jobs expire and loses them, no text is lost or paid for twice, "
            "and the recorded costs equal the provider's bill to the token.",
            "test_batch_histories.py::test_in_any_history_nothing_is_lost_or_paid_for_twice_and_the_ledger_is_the_bill",
            "{batch_histories[histories]} random histories, {batch_histories[crashes]} crashes over"
            " {batch_histories[points]} calls: {batch_histories[lost]} lost,"
            " {batch_histories[off]} of {batch_histories[tokens]} tokens differ from the bill",
        ),
        Promise(
            "If the disk is full, a write is rejected completely and searches continue. Writing "
            "works again as soon as there is space.",
            "test_disk.py::test_a_full_disk_refuses_a_write_whole_and_loses_none",
            "{disk_full[refused]} of {disk_full[writes]} writes rejected for lack of space: "
            "{disk_full[lost]} lost, {disk_full[half_done]} partially written",
        ),
    ],
    "Answers are correct": [
        Promise(
            "Any sequence of calls gives the same answers as a simple reference model, within "
            "snapshots too.",
            "test_model.py::test_any_history_gives_the_oracles_answers",
            "{model[steps]} random steps in {model[histories]} histories: "
            "{model[differences]} differences",
        ),
        Promise(
            "What one process has committed is visible to the next search of every other process, "
            "and no process sees part of a write.",
            "test_concurrency.py::test_two_writers_and_eight_readers_agree",
            "{processes[writers]} writers, {processes[readers]} readers, {processes[writes]} "
            "writes, {processes[looks]} reads: {processes[torn]} partial, {processes[stale]} "
            "outdated, {processes[lock_errors]} lock errors",
        ),
        Promise(
            "An index of models never differs from its table silently. After a restore of either "
            "side, a lost or copied file, a second host, a migration, writes that bypass the ORM, "
            "a killed worker or a clock that jumps, an answer is correct or reports that it may "
            "not be.",
            "../orm/test_histories.py::test_no_history_ends_in_a_silent_difference",
            "{histories[histories]} random histories of {histories[steps]} steps: "
            "no silent difference",
        ),
        Promise(
            "An exception that a signal handler raises at any line (a time limit, Ctrl-C in a "
            "notebook) leaves no lock held, no thread reading an old state, and no write-ahead "
            "log that cannot be emptied.",
            "test_interruption.py::test_an_alarm_at_any_line_leaves_nothing_stuck",
            "{interruptions[tried]} alarms in {interruptions[operations]} kinds of operations, "
            "{interruptions[heard]} of them delivered: nothing stuck",
        ),
        Promise(
            "Any number of threads can share one store.",
            "test_concurrency.py::test_thirty_two_threads_share_one_store",
            "{threads[threads]} threads, {threads[writes]} writes, {threads[looks]} reads: "
            "{threads[errors]} errors",
        ),
        Promise(
            "If a process stops while it writes to the index, one save of the application takes "
            "0.1 s longer and the following ones take no longer. The pending changes are processed "
            "when that process continues. `search(fresh=True, timeout=...)` waits that long and "
            "reports what is still pending.",
            "test_concurrency.py::"
            "test_a_writer_that_stands_still_costs_a_save_its_patience_and_the_next_ones_nothing",
            "first save {stopped_writer[first_ms]} ms, following saves {stopped_writer[next_ms]} "
            "ms at most, a search with timeout=0.5 {stopped_writer[fresh_ms]} ms",
        ),
        Promise(
            "A forked child process loses neither its parent's rows nor its own.",
            "test_concurrency.py::test_forks_lose_nothing_on_either_side",
            "{forks[forks]} forks, {forks[rows]} rows: {forks[lost]} lost",
        ),
        Promise(
            "Damage that changes an answer is found by `semantic-core doctor`, or raises an error "
            "where it is read.",
            "test_bit_rot.py::test_damage_that_changes_an_answer_is_found",
            "{bit_rot[mutations]} files damaged, {bit_rot[harmful]} of them so that an answer "
            "changed: {bit_rot[found_percent]} % found, {bit_rot[crashes]} crashes",
        ),
        Promise(
            "A damaged text or vector is never returned as if it were intact: each is compared "
            "with its checksum when it is read.",
            "test_bit_rot.py::test_damage_that_changes_an_answer_is_found",
            "{bit_rot[mutations]} files damaged: {bit_rot[served]} returned a "
            "record that was never stored",
        ),
        Promise(
            "`doctor` lists damage line by line. `doctor --repair` rebuilds derived data (the "
            "full-text index, vector codes and filter values) from the stored documents and "
            "vectors.",
            "test_doctor.py::test_damage_to_what_is_derived_is_told_line_by_line_and_repaired",
            "{doctor[derived]} kinds of damage to derived data: {doctor[repaired]} found and "
            "repaired; {doctor[kept]} kinds of damage to source data: {doctor[told]} reported, "
            'none silently "repaired"',
        ),
        Promise(
            "A backup is complete: put in the place of the store, it gives the same answers.",
            "test_doctor.py::test_a_backup_is_the_store_and_takes_its_place",
            "compared answer by answer",
        ),
    ],
    "Input and tenants are isolated": [
        Promise(
            "Any text is a valid query, and no part of it becomes part of an SQL statement.",
            "test_hostile.py::test_any_text_is_a_legal_query_and_never_part_of_a_statement",
            "{hostile_queries[queries]} hostile queries: {hostile_queries[errors]} errors,"
            " {hostile_queries[in_statements]} in a statement",
        ),
        Promise(
            "No query blocks the store: a query is reduced to 32 words before SQLite sees it.",
            "test_hostile.py::test_a_query_asks_for_few_words_whatever_it_holds",
            "{query_bombs[bombs]} extreme queries, the slowest took {query_bombs[worst_ms]} ms",
        ),
        Promise(
            "A query of one word that nearly every passage contains does not block it either.",
            "test_hostile.py::test_a_query_of_one_common_word_reads_little_more_than_who_holds_it",
            "{common_word[passages]} passages: at most {common_word[first_ms]} ms the first time, "
            "{common_word[again_ms]} ms when repeated, {common_word[after_a_write_ms]} ms after a "
            "write, {common_word[opened_ms]} ms in a store that was just opened",
        ),
        Promise(
            "Any filter is treated as data and selects exactly what `Filter.matches` selects.",
            "test_hostile.py::test_any_filter_is_data_and_never_part_of_a_statement",
            "{hostile_filters[filters]} hostile filters: {hostile_filters[differing]} differ,"
            " {hostile_filters[in_statements]} in a statement",
        ),
        Promise(
            "An invalid vector (not finite, or of length 0) is neither stored nor searched for, "
            "and no vector ranks first because of its length.",
            "test_hostile.py::test_no_invalid_vector_is_stored_and_none_ranks",
            "{poison_vectors[vectors]} invalid vectors: {poison_vectors[stored]} stored, "
            "{poison_vectors[ranked]} ranked",
        ),
        Promise(
            "No answer to one tenant contains data of another tenant.",
            "test_tenants.py::test_no_answer_holds_anything_of_another_tenant",
            "{tenants[operations]} calls of {tenants[entries]} public functions by "
            "{tenants[tenants]} tenants: {tenants[leaks]} leaks",
        ),
        Promise(
            "Candidates from a plugin are returned only if they are within the tenant, the "
            "collections and the filter. If a filter or a reranker fails, nothing that it would "
            "have removed is returned.",
            "../../../../tests/plugins/test_rerankers.py::"
            "test_a_reranker_that_fails_is_an_error_and_no_answer",
            "run with every change",
        ),
        Promise(
            "A settings file that was found in a folder never sends texts or keys to a host that "
            "its user has not confirmed.",
            "../../../../tests/kernel/test_config.py::"
            "test_a_file_that_was_found_leads_to_no_host_nobody_confirmed",
            "run with every change",
        ),
        Promise(
            "Data that was removed or replaced is overwritten: no byte of its text, words, "
            "metadata, vectors or vector codes is left in the file or its write-ahead log.",
            "test_rules.py::test_the_store_keeps",
            "one of {rules[rules]} rules, each proved by a defect that breaks it",
        ),
        Promise(
            "A file of another program, or of a newer release, is rejected with an error that "
            "names it, and no byte of it is changed.",
            "test_disk.py::test_nothing_of_others_is_opened_or_changed",
            "{foreign_files[tried]} kinds of files: {foreign_files[changed]} changed",
        ),
        Promise(
            "Python's own `sqlite3` cannot connect to the file of an open store in the same "
            "process. If the process loses its locks in some other way (`ATTACH`, a copy of the "
            "folder made in Python) and the write-ahead log is deleted, the store detects it "
            "before the next use. Acknowledged writes are still there.",
            "test_disk.py::test_a_second_library_is_refused_from_both_sides_and_loses_nothing",
            "{second_library[tried]} attempts: {second_library[let_through]} succeeded",
        ),
    ],
    "Errors are actionable": [
        Promise(
            "Every failure raises one of the documented errors, with its cause and a next step, "
            "and leaves the store usable.",
            "test_errors.py::test_each_trigger_gives_its_error",
            "{errors[triggers]} failures provoked, {errors[classes]} classes of errors",
        ),
        Promise(
            "If the file is replaced while a process uses it, that process neither writes to the "
            "new file nor answers from the old one: its next call raises an error.",
            "test_disk.py::test_a_file_that_is_replaced_is_neither_written_nor_read_old",
            "five ways to use it, all rejected",
        ),
        Promise(
            "These tests can fail: known bugs of older systems, of similar products and of this "
            "one are inserted on purpose, and each is caught.",
            "test_defects.py::test_every_defect_is_caught_by_the_check_that_is_named",
            "{defects[killed]} of {defects[seeded]} seeded defects caught",
        ),
    ],
}

LIMITS: Sequence[Limit] = [
    Limit(
        'With `durability = "normal"`: the most recent writes before a power failure.',
        "Use `full`, the default.",
        "at most {power_normal[most_lost]} writes in {power_normal[states]} power failures",
    ),
    Limit(
        "Durability on hardware that reports a write as stored before it is stored.",
        "Use drives that report honestly, and make backups. A control run that never waits for "
        "the disk shows what happens otherwise.",
        "{power_off[corrupt]} of {power_off[states]} states corrupt",
    ),
    Limit(
        "That a write which raised an I/O error is undone if the machine crashes before the next "
        "write: it may be there, complete.",
        "Repeat the write: ingesting the same document twice changes nothing.",
        "{io_faults[raised_but_kept_in_a_crash]} of {io_faults[points]} points",
    ),
    Limit(
        "That the recorded costs include a provider's answer that never arrived, or one that the "
        "process received and had not recorded when it died (one call for texts, and the queries "
        "of its last minute, at most 100). For a job that the provider has lost, the recorded cost "
        "is an estimate.",
        "The provider's bill is authoritative; compare `semantic-core costs` with it.",
        "{batch_histories[died_with]} of {batch_histories[tokens]} tokens, in"
        " {batch_histories[crashes]} crashes",
    ),
    Limit(
        "That a text is never paid for twice in three cases: its answer was paid for and lost with "
        "the process, its provider lost the results of a job, or `embed_pending` was asked to take "
        "it over from a job.",
        "Nothing is needed; it is rare. The last two cases are included in the recorded costs.",
        "{batch_histories[twice]} texts in {batch_histories[histories]} histories with many "
        "failures",
    ),
    Limit(
        "Files on a network file system (NFS, SMB, sshfs, ...).",
        "Put the file on a local disk. `semantic-core doctor` reports a network file system where "
        "the operating system identifies it (Linux).",
    ),
    Limit(
        "Two writers at the same moment: one waits, at most `busy_timeout`, and then gets "
        "`StoreBusy`.",
        "Write in batches and retry. Readers never wait.",
    ),
    Limit(
        "That nobody can find out whether a guessed key was once in an index of models. For each "
        "removed row the index stores a fingerprint of its key (not the key), so that an older "
        "change cannot bring the row back.",
        "Delete the file; it is rebuilt from the rows.",
    ),
    Limit(
        "Protection from a second SQLite library that opens the file from C, or before the store "
        "does where there is no `/proc`, or by `ATTACH`, and from a plain `open()` of one of the "
        "store's files while it is open. Until the store detects it, simultaneous writes of two "
        "processes may be lost.",
        "Let only the store open the file; use `backup()` for a copy, or another process.",
    ),
    Limit(
        "That a search finds everything while vector codes, the full-text index or filter values "
        "are damaged: `doctor` compares them with their source, a search does not.",
        "Run `semantic-core doctor` regularly; `--repair` rebuilds them.",
    ),
    Limit(
        "Protection against someone who can write to the file: checksums detect accidental damage, "
        "not forgery.",
        "Restrict the permissions of the file.",
    ),
    Limit(
        "Erasure beyond the file: older backups, file system snapshots, and old blocks on an SSD.",
        "Encrypt the disk; delete old backups.",
    ),
    Limit(
        "Removal at no cost: the words of a document are overwritten in the full-text index too, "
        "which takes a few milliseconds per document.",
        "Remove in batches.",
    ),
    Limit(
        "Searching a file in a folder without write permission: SQLite needs two additional files "
        "beside it.",
        "Grant write permission on the folder, or use a file system that is mounted read-only as "
        "a whole, which can be searched.",
    ),
    Limit(
        "A check of the full-text index that does not block writers: they wait while this part is "
        "checked. The rest is read without blocking them. If the file cannot be written, "
        "the full-text index is only checked for internal consistency.",
        "Check a backup instead.",
    ),
    Limit(
        "Full-text scores that reveal nothing about other tenants: the frequency of a word is "
        "counted over the whole file.",
        "Give tenants that must not learn anything about each other a file each.",
    ),
    Limit(
        "A write-ahead log that stays small while a `snapshot()` is open.",
        "Keep snapshots short.",
    ),
    Limit(
        "A store in a child process that was forked while another thread was executing a "
        "statement: it raises an error there.",
        "Start processes with spawn, or fork before the store is used.",
    ),
    Limit(
        "Systems on which these tests have not been run.",
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
                    "| guarantee | last run | test |",
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
