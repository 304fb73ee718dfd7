"""The model that a dataset's runs put forward as champion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow import MlflowClient

from unroll.data.prepared import PreparedData
from unroll.evaluation.leaderboard import leaderboard
from unroll.evaluation.runs import Run
from unroll.tracking.runs import get_run


@dataclass(frozen=True)
class Candidate:
    """A model, in all its seeds.

    Args:
        runs: one a seed, the best validation score first: that seed's network is the one to register.
        score: the mean validation score over the seeds.
        folder: `models/DATASET/MODEL`.
        raw: the downloaded data.
        data: the prepared data.
    """

    runs: Sequence[Run]
    score: float
    folder: Path
    raw: Path
    data: PreparedData

    @classmethod
    def of(cls, runs: Sequence[Run], folder: Path, raw: Path, data: PreparedData) -> "Candidate":
        """Of all runs of a dataset in `folder`, the model with the best mean validation score: never by the test."""
        winner = leaderboard(runs).iloc[0]
        own = sorted((run for run in runs if run.model == winner["model"]), key=lambda run: -run.best_score)
        return cls(own, float(winner[own[0].monitor]), folder / own[0].model, raw, data)

    def of_store(self, client: MlflowClient) -> "Candidate":
        """The same with the ids that its runs have in this store, which may be others than those on disk."""
        own = [replace(run, run_id=get_run(client, run.run_id).info.run_id) for run in self.runs]
        return replace(self, runs=own)

    @property
    def best(self) -> Run:
        """The run of the seed with the best validation score."""
        return self.runs[0]

    @property
    def run_ids(self) -> list[str]:
        return [run.run_id for run in self.runs]

    def run_folder(self, run: Run) -> Path:
        return self.folder / str(run.seed)
