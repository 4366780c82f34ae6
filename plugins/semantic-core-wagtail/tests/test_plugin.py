"""The plugin as the kernel sees it: light to import, and it knows which models are Django's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import semantic_core_wagtail


def test_importing_it_needs_no_django() -> None:
    code = (
        "import sys, semantic_core_wagtail; "
        "sys.exit(any(name.split('.')[0] in ('django', 'modelsearch') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_class_of_another_kind_is_no_model() -> None:
    assert semantic_core_wagtail.semantic_orm_adapter(int) is None


def test_a_name_that_is_not_there_is_reported() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = semantic_core_wagtail.Nothing
