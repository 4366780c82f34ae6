"""The plugin host: finding plugins, calling their hooks, and making what they provide.

Tested by tests/plugins/test_host.py.
"""
