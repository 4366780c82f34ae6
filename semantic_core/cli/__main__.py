"""``python -m semantic_core.cli``: the same as ``semantic-core``."""

from semantic_core.cli import main

main()
