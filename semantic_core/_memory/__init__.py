"""The store in memory: for first steps and tests, and the reference for every other store."""
