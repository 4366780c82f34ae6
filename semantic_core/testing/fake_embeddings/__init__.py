"""A service of embeddings on this machine, in OpenAI's wire form: `service` (what a test uses),
`routes` (the answers), `jobs` (files, batch jobs and the bill), `faults` (misbehaviour by name).

Tested by tests/contracts/test_fake_embeddings.py.
"""
