"""The app, whose indexes are kept."""

from __future__ import annotations

from django.apps import AppConfig
from django_adapter import keep_indexes


class BlogConfig(AppConfig):
    """Keeps the indexes."""

    name = "blog"

    def ready(self) -> None:
        keep_indexes()
