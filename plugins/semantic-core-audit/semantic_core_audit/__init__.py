"""An audit log for Semantic Core: every search and every change as a line of JSON, in a file that
is rotated.

Tested by tests/test_audit.py.
"""

from semantic_core_audit.log import AuditLog

__all__ = ["AuditLog"]
