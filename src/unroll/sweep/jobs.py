"""What each job of a multirun leaves in its folder: its overrides, and its value or its error."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unroll.files import read_json, write_json

RECORD = "job.json"


@dataclass(frozen=True)
class Job:
    """One job.

    Args:
        number: from 0.
        overrides: of the task, as Hydra has them.
        value: what it returned, if it ended well.
        error: what it said, if it failed.
        parent: the MLflow run of its sweep.
    """

    number: int
    overrides: list[str]
    value: Any = None
    error: str | None = None
    parent: str | None = None


def write_job(folder: Path, job: Job) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, asdict(job))


def read_jobs(sweep: Path, parent: str) -> list[Job]:
    """All jobs of this parent that have ended, by number; the folder may hold those of earlier sweeps."""
    jobs = [Job(**read_json(file)) for file in sweep.rglob(RECORD)]
    return sorted((job for job in jobs if job.parent == parent), key=lambda job: job.number)
