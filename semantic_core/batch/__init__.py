"""Batch jobs: texts that can wait for their vectors go to the provider together, at half the price.

`BatchManager` is ``core.batch_manager``. The records are for authors of an embedder that supports
batch jobs (`JobState`) or of a store that stores their ledger.

Modules: `manager` (the public methods), `submit` (from pending passages to a job), `collect` (from
a job to vectors), `context` (limits, and what the three share), `separate` (the ledger of a store
that keeps none).

Tested by tests/batch/test_manager.py.
"""

from semantic_core._jobs import (
    FRESHNESS,
    LONGEST_HOLD,
    OPEN,
    PICO,
    STATUSES,
    BatchJob,
    Budget,
    ChunkStatus,
    Cost,
    Estimate,
    Freshness,
    Held,
    JobState,
    JobStatus,
    PriceTier,
    QueueStats,
    Rate,
    Rest,
    Use,
    freshness_goals,
)
from semantic_core._metering import Meter, Spent
from semantic_core.batch.context import BatchRules
from semantic_core.batch.manager import BatchManager
from semantic_core.batch.separate import SeparateLedger

__all__ = [
    "FRESHNESS",
    "LONGEST_HOLD",
    "OPEN",
    "PICO",
    "STATUSES",
    "BatchJob",
    "BatchManager",
    "BatchRules",
    "Budget",
    "ChunkStatus",
    "Cost",
    "Estimate",
    "Freshness",
    "Held",
    "JobState",
    "JobStatus",
    "Meter",
    "PriceTier",
    "QueueStats",
    "Rate",
    "Rest",
    "SeparateLedger",
    "Spent",
    "Use",
    "freshness_goals",
]
