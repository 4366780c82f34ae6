"""Where Django looks for the commands of the app.

Tested by tests/test_wagtail_site.py.
"""
