"""The store in memory: for first steps and tests, and the reference for every other store.

Tested by tests/memory/test_store.py.
"""
