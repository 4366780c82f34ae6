"""`KeyPlace`: where a service expects the key in a request.

Tested by tests/remote/test_wire.py.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class KeyPlace:
    """The header that has the key. prefix: what stands before the key in it, such as "Bearer ".

    parameter: the parameter in which URLs that the service answers with may have the key, "" for
    none; it is masked in the answer, and put back when such a URL is called.
    """

    header: str = "Authorization"
    prefix: str = "Bearer "
    parameter: str = ""
