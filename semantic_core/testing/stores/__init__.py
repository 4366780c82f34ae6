"""The checks of the store contract, one file for each part of it."""
