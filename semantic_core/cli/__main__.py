"""``python -m semantic_core.cli``: the same as ``semantic-core``.

Tested by tests/cli/test_frame.py.
"""

from semantic_core.cli import main

main()
