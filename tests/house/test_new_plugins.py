"""What ``plugins new`` writes, as an author gets it: built, installed beside the kernel's wheel in
an environment of its own, listed, and green against its kit on the first day.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_plugin_wheels import build, checked, run, scripts  # noqa: F401 - a fixture

from semantic_core.cli.plugin_new import KINDS

pytestmark = pytest.mark.slow


def name_of(kind: str) -> str:
    return f"first_{kind}"


@pytest.fixture(scope="module")
def written(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A folder with a new plugin of each kind, all of them installed."""
    work = tmp_path_factory.mktemp("authors")
    wheels = work / "wheels"
    for kind in KINDS:
        checked(
            scripts / "semantic-core",
            *("plugins", "new", name_of(kind), "--kind", kind, "-o", kind),
            cwd=work,
        )
        build(work / kind, wheels)
    python = scripts / "python"
    found = ", ".join(repr(str(wheel)) for wheel in sorted(wheels.glob("*.whl")))
    # As an installer does: unpacked into the environment.
    code = (
        "import sysconfig, zipfile\n"
        f"for wheel in [{found}]:\n"
        "    zipfile.ZipFile(wheel).extractall(sysconfig.get_paths()['purelib'])\n"
    )
    checked(python, "-c", code, cwd=work)
    return work


def test_every_kind_is_listed_as_what_it_is(scripts: Path, written: Path) -> None:  # noqa: F811
    listed = checked(scripts / "semantic-core", "plugins", "list", "--json", cwd=written)
    infos = {info["name"]: info for info in json.loads(listed)}
    for kind in KINDS:
        info = infos[name_of(kind)]
        assert info["status"] == "ok", info
        assert info["distribution"] == f"semantic-core-first-{kind}"
        assert info["hooks"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_plugin_pass(scripts: Path, written: Path, kind: str) -> None:  # noqa: F811
    done = run(
        scripts / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written / kind
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert " passed" in done.stdout and " failed" not in done.stdout
