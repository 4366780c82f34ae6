"""What ``plugins new`` writes, as an author gets it: built, installed in an environment of its own
that has the kernel's wheel, listed, and green against its kit on the first day.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from test_plugin_wheels import build, checked, programs_in, run, scripts  # noqa: F401 - a fixture

from semantic_core.cli.plugin_new import KINDS

pytestmark = pytest.mark.slow


def name_of(kind: str) -> str:
    return f"first_{kind}"


def environment_on(python: Path, home: Path) -> Path:
    """The Python of a new environment in which is what another one has, too."""
    checked(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    beneath = checked(python, "-c", where, cwd=home.parent)
    new = programs_in(home) / "python"
    own = Path(checked(new, "-c", where, cwd=home.parent).strip())
    (own / "beneath.pth").write_text(beneath, "utf-8")
    return new


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_listed_as_what_it_is_and_its_tests_pass(
    scripts: Path,  # noqa: F811
    tmp_path: Path,
    kind: str,
) -> None:
    checked(
        scripts / "semantic-core",
        *("plugins", "new", name_of(kind), "--kind", kind, "-o", kind),
        cwd=tmp_path,
    )
    build(tmp_path / kind, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    python = environment_on(scripts / "python", tmp_path / "environment")
    # As an installer does: unpacked into the environment.
    code = (
        "import sysconfig, zipfile\n"
        f"zipfile.ZipFile({str(wheel)!r}).extractall(sysconfig.get_paths()['purelib'])\n"
    )
    checked(python, "-c", code, cwd=tmp_path)
    listed = checked(python, scripts / "semantic-core", "plugins", "list", "--json", cwd=tmp_path)
    (info,) = [info for info in json.loads(listed) if info["name"] == name_of(kind)]
    assert info["status"] == "ok", info
    assert info["distribution"] == f"semantic-core-first-{kind}"
    assert info["hooks"]
    done = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / kind)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert " passed" in done.stdout and " failed" not in done.stdout
