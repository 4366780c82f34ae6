"""The checks of the store contract, one module for each part of it; `checks` collects them.

Tested by tests/contracts/test_contract.py.
"""
