"""The model that is proposed as the champion of a dataset."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unroll.data.prepared import PreparedData
from unroll.evaluation.leaderboard import leaderboard
from unroll.evaluation.runs import Run
from unroll.run_folder import RunFolder


@dataclass(frozen=True)
class Candidate:
    """A model with all of its seeds.

    Args:
        runs: one per seed, in descending order of validation score; the network of the first one is registered.
        score: mean validation score over the seeds.
        folder: ``models/DATASET/MODEL``.
        raw: the downloaded data.
        data: the prepared data.
        planned: model and seed of each run that the pipeline trains, according to ``params.yaml``.
        inputs: gives the checksums of what the training of a run folder would read now.
        files: gives the files of conf/ that it would read.
    """

    runs: Sequence[Run]
    score: float
    folder: Path
    raw: Path
    data: PreparedData
    planned: Collection[tuple[str, int]] = ()
    inputs: Callable[[RunFolder], Mapping[str, str]] | None = None
    files: Callable[[RunFolder], Collection[str]] = lambda folder: ()

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        folder: Path,
        raw: Path,
        data: PreparedData,
    ) -> "Candidate":
        """The model with the best mean validation score among the `runs` in ``models/DATASET``; not by test scores."""
        winner = leaderboard(runs).iloc[0]
        own = sorted((run for run in runs if run.model == winner["model"]), key=lambda run: -run.best_score)
        return cls(own, float(winner[own[0].monitor]), folder / own[0].model, raw, data)

    @property
    def best(self) -> Run:
        """The run of the seed with the best validation score."""
        return self.runs[0]

    @property
    def run_ids(self) -> list[str]:
        return [run.run_id for run in self.runs]

    def run_folder(self, run: Run) -> RunFolder:
        return RunFolder(self.folder / str(run.seed))

    def changes(self, run: Run) -> list[str]:
        """Which inputs of a training have changed since, such as ``code``; all of them if they are not known."""
        folder = self.run_folder(run)
        then = folder.inputs("trained")
        if then is None or self.inputs is None:
            return ["inputs"]
        now = self.inputs(folder)
        return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
