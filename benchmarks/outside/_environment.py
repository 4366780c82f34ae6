"""A folder below .outside for each application: its source, as it was released,
and an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.outside._applications import Application

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".outside"
INSIDE = Path(__file__).with_name("inside")
BLUEPRINTS = ROOT / "adapters_blueprints"


def source_of(application: Application) -> Path | None:
    """The folder its tests run in; None where they have to be handed over, and nobody has."""
    if application.checkout:
        given = os.environ.get(application.checkout, "")
        return Path(given).resolve() if given else None
    wanted = CACHE / "sources" / f"{application.name}-{application.version}"
    if not wanted.exists():
        _unpack(_download(application), wanted)
    return wanted / application.folder


def interpreter_of(application: Application) -> Path:
    """The Python of its environment, with the application's requirements and this
    clone installed.
    """
    home = CACHE / "environments" / f"{application.name}-{application.version}"
    python, stamp = home / "bin" / "python", home / ".installed"
    wanted = [*application.requires]
    if not application.checkout:
        wanted.append(f"{application.name}=={application.version}")
    for folder in (ROOT, *(ROOT / plugin for plugin in application.plugins)):
        wanted += ["-e", str(folder)]
    if stamp.exists() and stamp.read_text(encoding="utf-8") == "\n".join(wanted):
        return python
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *_QUIET, *wanted], check=True)
    stamp.write_text("\n".join(wanted), encoding="utf-8")
    return python


def run(
    application: Application,
    folder: Path,
    python: Path,
    *,
    indexed: bool,
    limit: float,
    only: Sequence[str] = (),
) -> tuple[Path, float]:
    """Run its suite; the record of it, and the seconds it took.

    limit: seconds after which it is ended. only: names of tests; without any, all are run.
    """
    records = CACHE / "records"
    records.mkdir(parents=True, exist_ok=True)
    name = f"{application.name}-{'with' if indexed else 'without'}{'-again' if only else ''}"
    record = records / f"{name}.jsonl"
    record.unlink(missing_ok=True)
    orm = application.orm if indexed else "none"
    target, *arguments = (*application.again, *only) if only else application.start
    if target.endswith(".py"):
        target = str(folder / target)
    command = [str(python), str(INSIDE / "outside_run.py"), str(record), orm, target, *arguments]
    path = os.pathsep.join(map(str, (INSIDE, BLUEPRINTS, folder)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    made = _database_of(application, folder, python, environment) if application.database else None
    started = monotonic()
    with (
        TemporaryDirectory(dir=_memory()) as scratch,
        (records / f"{name}.log").open("w", encoding="utf-8") as log,
    ):
        if made is not None:
            environment[application.database] = str(shutil.copy(made, scratch))
        try:
            subprocess.run(
                command,
                cwd=scratch if application.scratch else folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"{name} was ended after {limit:.0f} s; the tests it had run count.")
    return record, monotonic() - started


_QUIET = ("--disable-pip-version-check", "--no-input")


def _database_of(
    application: Application, folder: Path, python: Path, environment: Mapping[str, str]
) -> Path:
    """The SQLite file with its tables and first rows; made once."""
    wanted = CACHE / "sources" / f"{application.name}-{application.version}.db"
    if not wanted.exists():
        making = wanted.with_suffix(".making")
        making.unlink(missing_ok=True)
        script, *arguments = application.prepare
        subprocess.run(
            [str(python), str(folder / script), *arguments],
            cwd=folder,
            env={**environment, application.database: str(making)},
            check=True,
        )
        making.rename(wanted)
    return wanted


def _memory() -> str | None:
    """A folder in memory, where there is one: suites write to their databases all the time."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _download(application: Application) -> Path:
    """Its source distribution, by the ordinary client of the package registry."""
    folder = CACHE / "downloads" / application.name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{application.name}=={application.version}"
    command = [sys.executable, "-m", "pip", "download", "-q", *_QUIET, "--no-deps"]
    subprocess.run(
        [*command, "--no-binary", application.name, "-d", str(folder), wanted], check=True
    )
    return next(folder.glob(f"*{application.version}.tar.gz"))


def _unpack(archive: Path, wanted: Path) -> None:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    within = wanted.parent / f"{wanted.name}.unpacking"
    with tarfile.open(archive) as opened:
        opened.extractall(within, filter="data")
    (top,) = within.iterdir()
    top.rename(wanted)
    within.rmdir()
