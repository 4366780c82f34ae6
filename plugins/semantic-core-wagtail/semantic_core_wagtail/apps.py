"""The Django app: at start-up it has the indexes follow their models, and checks the settings.

Tested by tests/test_wagtail_site.py, tests/test_backend_suite.py.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured


class SemanticCoreWagtailConfig(AppConfig):  # type: ignore[misc]
    """Follows the models of every search backend that is this package."""

    name = "semantic_core_wagtail"
    label = "semantic_core_wagtail"
    verbose_name = "Semantic Core for Wagtail"

    def ready(self) -> None:
        """Declare and bind the indexes. Touches no database: `migrate` installs them."""
        from semantic_core_wagtail.following import follow_models

        checks.register(check_settings, checks.Tags.compatibility)
        try:
            follow_models()
        except ImproperlyConfigured:
            return  # the system check reports it, and so does the first search


def check_settings(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    """An error of ``manage.py check`` for each search backend with settings that cannot be used."""
    from semantic_core_wagtail.options import backend_settings, checked_options, one_core

    found: list[checks.CheckMessage] = []
    for name, params in backend_settings().items():
        try:
            checked_options(name, params)
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="semantic_core_wagtail.E001"))
    if not found:
        try:
            one_core()
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="semantic_core_wagtail.E002"))
    return found
