"""The oldest and newest releases that the pyprojects allow are tried: the newest always, the oldest
by ``make oldest``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import oldest
import pytest
from floor_plan import ROOT
from packaging.version import Version

IN_OLDEST = (Path(sys.prefix) / "constraints.txt").exists()
"""Whether ``make`` gave this environment the oldest versions."""
ASKED_FOR = set(oldest.floors(extras=("async", "testing", "quick")))
"""What the environment of ``make oldest`` has to hold; a larger environment holds more."""


def held(name: str) -> Version | None:
    """The version of a package that is installed here; None if it is not."""
    try:
        return Version(version(name))
    except PackageNotFoundError:
        return None


@pytest.mark.parametrize(("name", "floor"), sorted(oldest.floors().items()))
def test_every_floor_is_a_release_and_the_oldest_environment_holds_it(
    name: str, floor: str
) -> None:
    here = held(name)
    assert here is not None or name not in ASKED_FOR, f"{name} is not installed"
    if here is None:
        pytest.skip(f"{name} is not of this environment")
    assert here >= Version(floor)
    if IN_OLDEST:
        assert here == Version(floor), f"{name}: {floor} is allowed, {here} was tried"


def test_no_release_before_its_time_is_tried() -> None:
    early = {
        str(found.metadata["Name"]): found.version
        for found in distributions()
        if Version(found.version).is_prerelease
    }
    assert early == {}


def test_a_dependency_without_a_floor_is_told(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["attrs>=24.2", "click"]\n', "utf-8")
    with pytest.raises(ValueError, match=r"wanted NAME>=VERSION, got 'click'"):
        oldest.floors([project])


def test_two_floors_of_one_package_are_told(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\ndependencies = ["semantic-core-kernel>=0.1", "numpy>=2.1,<3"]\n'
        '[project.optional-dependencies]\ntesting = ["numpy[extra]>=2.2"]\npeers = ["txtai"]\n',
        "utf-8",
    )
    with pytest.raises(ValueError, match=r"numpy\[extra\]>=2.2, but numpy>=2.1 elsewhere"):
        oldest.floors([project])
    project.write_text(project.read_text("utf-8").replace("2.2", "2.1"), "utf-8")
    assert oldest.floors([project]) == {"numpy": "2.1"}


def test_each_file_that_is_tried_on_other_versions_exists() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "compat", "COMPAT_TESTS=$(KERNEL_TESTS) $(PLUGIN_TESTS)"]
    done = subprocess.run(command, cwd=ROOT, env=outer, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tried = [word for word in done.stdout.split() if word.startswith(("tests/", "plugins/"))]
    assert len(tried) > 20
    assert [path for path in tried if not (ROOT / path).exists()] == []
