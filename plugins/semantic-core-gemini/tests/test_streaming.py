"""The memory that a job needs does not grow with its size, neither for passages nor for vectors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MEASURE = """
import json, resource, sys
import numpy
from google import genai, genai as _
from semantic_core_gemini import GeminiBatchClient, GoogleKeyring

url, count = sys.argv[1], int(sys.argv[2])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def texts(count):
    for number in range(count):
        yield f"chunk-{number:07d}", f"text number {number}, with a few more words behind it " * 8

client = GeminiBatchClient(GoogleKeyring("d", "batch-key"), base_url=url, dimensions=128)
warm = client.create_embedding_job(texts(2000))
for _ in client.retrieve_results(warm):
    pass
before = peak()
job = client.create_embedding_job(texts(count))
sent = peak()
good = sum(1 for _, vector in client.retrieve_results(job) if hasattr(vector, "shape"))
print(json.dumps([good, before, sent - before, peak() - before, client.usage.job_texts]))
"""


@pytest.fixture
def service() -> Any:
    folder = Path(__file__).resolve().parent
    server = subprocess.Popen(
        [sys.executable, "-m", "fake_gemini", "--cheap"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    yield server.stdout.readline().strip()
    server.stdin.close()
    server.wait(20)
    server.stdout.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_job(service: str) -> None:
    """CHUNKS=100000 in the environment gives the figure in the README."""
    count = int(os.environ.get("CHUNKS", "8000"))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, service, str(count)],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    good, before, sent, peak, read = json.loads(done.stdout)
    sys.stderr.write(
        f"{count} chunks: {before:.0f} MB before, +{sent:.1f} MB sending, +{peak:.1f} MB in all\n"
    )
    assert good == count and read == count + 2_000
    assert peak < 40, "MB: no more for 100,000, whose texts are 45 MB and whose results are 180 MB"
