"""The checks of the ORM adapter contract, one module for each part of it; `checks` collects them.

Tested by tests/orm/test_adapter_kit.py.
"""
