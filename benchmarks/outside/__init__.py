"""Other people's applications run their own tests, without an index on their models and with one.

`python -m benchmarks.outside` fetches their source distributions, gives each an environment of its
own, runs each suite twice, and writes what came of it into guides/outside.md. Nothing of an
application is edited: `inside` is put on the path of its interpreter and binds an index to every
model with text as soon as its table is there.
"""
