"""Many numbers out of SQLite in one row: to step through rows is to give Python's
lock away at each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def numbers(listed: str | None) -> NDArray[np.int64]:
    """What ``group_concat`` of whole numbers gives; none for None."""
    if not listed:
        return np.zeros(0, dtype=np.int64)
    return np.fromstring(listed, dtype=np.int64, sep=",")
