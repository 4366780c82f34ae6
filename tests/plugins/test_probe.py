"""Each plugin is imported in a process of its own, and the one that ends it is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import call

from semantic_core._plugins.probe import Probe, _beginning, probe_all
from semantic_core.cli.plugins import peculiarities

GOOD = """
from semantic_core import hookimpl
@hookimpl
def semantic_describe(): return None
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMANTIC_CORE_STORE", "memory")
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    add(tmp_path, "well", GOOD)
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "sick,well")
    yield tmp_path
    for name in ("probed_well", "probed_sick"):
        sys.modules.pop(name, None)


def add(site: Path, name: str, source: str) -> None:
    (site / f"probed_{name}.py").write_text(source)
    info = site / f"probed_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: probed-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[semantic_core]\n{name} = probed_{name}\n")


def sick(site: Path, source: str, limit: float = 20.0) -> Probe:
    """The probe of a plugin with this source."""
    add(site, "sick", source)
    (probe,) = probe_all(["sick"], limit)
    return probe


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import os; os._exit(7)", "it ended the process with exit code 7 while it was imported"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "it ended the process by SIGSEGV while it was imported",
        ),
        ("raise KeyboardInterrupt", "it raised KeyboardInterrupt while it was imported"),
        ("raise ValueError", ""),
        ("raise SystemExit(3)", ""),
    ],
)
def test_what_ends_the_process_is_the_cause(site: Path, source: str, cause: str) -> None:
    assert sick(site, source).cause == cause


def test_an_import_that_never_ends_is_given_up(site: Path) -> None:
    probe = sick(site, "import time; time.sleep(60)", limit=1.0)
    assert probe.cause == "its import did not end within 1 s"
    assert probe.seconds < 30


def test_a_thread_that_never_ends_keeps_nobody(site: Path) -> None:
    source = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    probe = sick(site, source + GOOD)
    assert probe.cause == "" and probe.seconds < 30


def test_what_an_import_prints_is_told_without_secrets(site: Path) -> None:
    source = "import os; print('hello http://me:canary@host'); os.system('echo from a child')"
    probe = sick(site, source + GOOD)
    assert probe.output == "from a child hello http://(hidden)@host" or probe.output == (
        "hello http://(hidden)@host from a child"
    )
    assert list(peculiarities(probe)) == [f"sick prints when it is imported: {probe.output}"]
    assert len(_beginning(b"x" * 10_000)) == 200


def test_the_time_of_an_import_is_told(site: Path) -> None:
    probe = sick(site, "import time; time.sleep(1.05)" + GOOD)
    assert probe.seconds >= 1.05
    (told,) = peculiarities(probe)
    assert told == f"sick takes {probe.seconds:.1f} s to import; every command waits for it"


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        (
            "import semantic_core.core as c; c.SemanticCore.search = lambda *a: 1 / 0",
            ("semantic_core.core.SemanticCore.search",),
        ),
        (
            "import semantic_core._search as s\nclass Other(s.Search): pass\ns.Search = Other",
            ("semantic_core._search.Search",),
        ),
        ("import semantic_core.orm", ()),
    ],
)
def test_a_change_of_the_kernel_is_told(site: Path, source: str, changed: tuple[str, ...]) -> None:
    probe = sick(site, source + GOOD)
    names = (
        {name for name in probe.changed if name.count(".") == changed[0].count(".")}
        if (changed)
        else set(probe.changed)
    )
    assert names == set(changed)


def test_a_list_may_name_the_plugin_that_ends_every_process(site: Path) -> None:
    add(site, "sick", "import os; os._exit(7)")
    listed = call("plugins", "list", "--isolated", "--json")
    assert listed.exit_code == 0
    infos = {info["name"]: info for info in json.loads(listed.stdout)}
    assert infos["sick"]["status"] == "broken"
    assert infos["sick"]["cause"] == "it ended the process with exit code 7 while it was imported"
    assert infos["sick"]["remedy"] == "pip install --upgrade probed-sick"
    assert infos["well"]["status"] == "ok" and infos["well"]["import"]["output"] == ""
    text = call("plugins", "list", "--isolated").stdout
    assert "sick is broken: it ended the process with exit code 7" in text


@pytest.mark.parametrize("source", ["import os; os._exit(7)", "raise KeyboardInterrupt"])
def test_doctor_names_the_plugin_that_ends_every_process_and_survives(
    site: Path, source: str
) -> None:
    add(site, "sick", source)
    doctor = call("doctor", "--json")
    assert doctor.exit_code == 1
    problems = [one for one in json.loads(doctor.stdout)["findings"] if one["status"] == "problem"]
    assert [one["part"] for one in problems] == ["plugins", "index"]
    assert problems[0]["message"].startswith("sick is broken: it ")
    assert "every process that imports sick ends" in problems[1]["message"]


def test_doctor_tells_what_is_odd_and_finds_no_problem(site: Path) -> None:
    source = (
        "import semantic_core.core as c; print('hello'); c.SemanticCore.stats = c.SemanticCore.get"
    )
    add(site, "sick", "if 'pytest' not in __import__('sys').modules:\n    " + source + GOOD)
    doctor = call("doctor")
    assert doctor.exit_code == 0, doctor.output
    told = " ".join(doctor.output.split())
    assert "sick prints when it is imported: hello" in told
    assert "changes semantic-core itself when it is imported: semantic_core.core." in told


def test_plugins_that_are_left_out_are_not_imported(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(site, "sick", "open('imported', 'w').close()")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "well")
    call("plugins", "list", "--isolated")
    call("doctor")
    assert not (site / "imported").exists()
