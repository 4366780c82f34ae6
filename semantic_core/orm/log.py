"""The logger of this package, ``semantic_core.orm``.

Tested by tests/orm/test_base.py.
"""

import logging

log = logging.getLogger("semantic_core.orm")
