"""The app of the site."""

from __future__ import annotations

from django.apps import AppConfig


class HomeConfig(AppConfig):
    """Pages, a snippet and an author."""

    name = "home"
