"""What a file lies on: the kind of its file system, whether others see it over a network,
whether anyone can write it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_SHARED = (
    *(
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cephfs",
        "cifs",
        "davfs",
        "davfs2",
        "drvfs",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "gpfs",
    ),
    *(
        "grpcfuse",
        "juicefs",
        "lustre",
        "moosefs",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "pvfs2",
        "rclone",
    ),
    *("s3fs", "smb3", "smbfs", "smbnetfs", "sshfs", "vboxsf", "vmhgfs", "vmhgfs-fuse"),
)
NETWORKED = frozenset([*_SHARED, *(f"fuse.{name}" for name in _SHARED)])
"""Kinds whose files another machine may reach as well, as Linux names them: their locks and shared
memory are not to be relied on."""
_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def kind_of(path: str, table: str | None = None) -> str:
    """The kind of file system a path is on, such as "ext4"; "" where the system does not tell.
    table: as Linux has it.
    """
    if table is None:
        try:
            table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    found, longest = "", -1
    for line in table.splitlines():
        about, _, source = line.partition(" - ")
        fields = about.split(" ")
        if len(fields) < 5 or not source:
            continue
        place = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:  # of two on one place the later one hides the other
            found, longest = source.split(" ")[0], len(place)
    return found


def is_read_only(path: str) -> bool:
    """Whether the whole file system is mounted so that nobody here can write to it."""
    with suppress(OSError, AttributeError):  # not every system tells
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return False
