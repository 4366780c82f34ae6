"""The plugin host: finding plugins, calling their hooks, and making what they provide."""
