"""The logger of this package, ``semantic_core.orm``."""

import logging

log = logging.getLogger("semantic_core.orm")
