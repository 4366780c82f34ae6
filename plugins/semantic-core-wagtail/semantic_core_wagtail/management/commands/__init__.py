"""The commands of the app: ``manage.py semantic_core``.

Tested by tests/test_wagtail_site.py.
"""
