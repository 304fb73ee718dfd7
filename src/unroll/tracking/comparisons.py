"""A comparison as an MLflow run that links to the compared runs."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from unroll.evaluation.leaderboard import TIMED, equally_good
from unroll.evaluation.pairs import conclusion, enumerate_words
from unroll.evaluation.report import FILES
from unroll.evaluation.runs import Run
from unroll.tracking.git import source_tags
from unroll.tracking.runs import TrackedRun, look_up
from unroll.tracking.store import open_experiment, open_store

COMPARED = "comparison.runs"  # tag with a checksum of the ids of the runs, because many ids exceed the length of a tag


def log_comparison(runs: Sequence[Run], folder: Path) -> str:
    """Log the report in `folder` and the metrics of the winner to the MLflow run of these runs; return its id.

    Raises:
        ValueError: the store cannot be used, or the experiment of the dataset is deleted.
    """
    client = open_store()
    run_id = _open_run(client, runs)
    board, pairs = pd.read_csv(folder / "leaderboard.csv"), pd.read_csv(folder / "pairs.csv")
    winner, monitor = board.iloc[0], runs[0].monitor
    model, equals = str(winner["model"]), equally_good(board, monitor)
    said = f"**{model}** has the best mean {monitor} of these runs"
    if len(equals) > 1:
        said = f"{enumerate_words(equals)} have the same mean {monitor}, the best of these runs"
    note = [f"{said}; see index.html."]
    if len(pairs):
        note.append(f"On the same test examples, {conclusion(pairs, model)}")
    note += ["", *(_link(client, run) for run in runs)]
    for name, value in {**source_tags("compare"), "comparison.winner": model, MLFLOW_RUN_NOTE: "\n".join(note)}.items():
        client.set_tag(run_id, name, value)
    figures = winner.drop(["model", "seeds", *TIMED.values()], errors="ignore")  # earlier versions named no devices
    scores = {str(name): float(it) for name, it in figures.dropna().items()}
    logged = client.get_run(run_id).data.metrics
    TrackedRun(client, run_id).log_metrics({name: it for name, it in scores.items() if logged.get(name) != it})
    for name in FILES:
        client.log_artifact(run_id, str(folder / name))
    client.set_terminated(run_id)
    return run_id


def _open_run(client: MlflowClient, runs: Sequence[Run]) -> str:
    experiment = open_experiment(client, runs[0].dataset)
    compared = sha256(",".join(sorted(run.run_id for run in runs)).encode()).hexdigest()
    if found := client.search_runs([experiment], f"tags.`{COMPARED}` = '{compared}'", max_results=1):
        return str(found[0].info.run_id)
    tags = {COMPARED: compared, "dataset": runs[0].dataset, "task": runs[0].task}
    return str(client.create_run(experiment, run_name="comparison", tags=tags).info.run_id)


def _link(client: MlflowClient, run: Run) -> str:
    name, found = f"{run.model}, seed {run.seed}", look_up(client, run.run_id)
    if found is None or found.info.lifecycle_stage == "deleted":
        return f"- {name}: run {run.run_id}, which is {'deleted' if found else 'not in this store'}"
    return f"- [{name}](#/experiments/{found.info.experiment_id}/runs/{found.info.run_id})"
