"""The checks of the ORM adapter contract, one file for each part of it."""
