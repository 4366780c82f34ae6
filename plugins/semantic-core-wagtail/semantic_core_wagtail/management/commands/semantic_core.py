"""``manage.py semantic_core``: the blueprint's command, for projects that have installed this app.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from semantic_core.orm import blueprint_module

Command = blueprint_module("django_command").Command
