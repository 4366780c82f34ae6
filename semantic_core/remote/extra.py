"""The packages of the extra ``remote``, which are imported when the first call is made.

Tested by tests/remote/test_import.py.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from semantic_core.errors import ExtraMissing

PACKAGES: Final = ("cachetools", "httpx2", "tenacity")


def require_extra() -> None:
    """Raise ExtraMissing unless the packages of the extra are installed. Imports none of them."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExtraMissing(
            f"semantic_core.remote needs {', '.join(missing)}.",
            hint='pip install "semantic-core-kernel[remote]"',
        )
