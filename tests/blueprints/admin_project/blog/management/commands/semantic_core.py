"""The blueprint, as a project has it."""

from django_command import Command  # noqa: F401
