"""Trains or evaluates the runs of a dataset that params.yaml lists and that are not up to date."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from unroll.config.compose import compose_again
from unroll.plan.evaluate import Evaluation, evaluate_run
from unroll.plan.plan import read_plan
from unroll.plan.side_by_side import Done, side_by_side
from unroll.plan.train import Training, train_run
from unroll.run_folder import RunRecord

TRAINING_MODULES = ("unroll.plan.train", "unroll.training.network", "unroll.tracking.upload", "unroll.tracking.logger")
EVALUATION_MODULES = ("unroll.plan.evaluate", "unroll.evaluation.evaluate", "unroll.tracking.upload")
ONE_RUN = ("model", "seed", "output", "run", "run_name", "reproduces")  # options for a single run only


def train_all(plan: str, dataset: str, task: str, overrides: Sequence[str], jobs: int | None) -> None:
    """Train every model with every seed of the plan, in ``models/DATASET/MODEL/SEED``; skip what is up to date.

    Args:
        plan: a params.yaml.
        dataset, task: of the runs.
        overrides: of the train stage, for all runs.
        jobs: number of parallel trainings; None to choose it by the cores, or one if a GPU or several devices are used.

    Raises:
        ValueError: `jobs` or an override is not accepted, or a training failed; the others are completed first.
    """
    common = _common(overrides, jobs)
    trainings = []
    for seed, model in _runs(plan, task):
        own = [*common, f"model={model}", f"seed={seed}"]
        config = compose_again("train", [*own, f"output=models/{dataset}/{model}/{seed}"])
        trainings.append(Training(dataset, model, config, own).with_inputs())
    stale = [training for training in trainings if not training.folder.is_trained(training.inputs or {})]
    _say(dataset, "trained", len(trainings), len(stale))
    if stale:
        processes = jobs or _processes(stale[0].config)
        _work(stale, [_title(training.folder.path) for training in stale], _train, processes, TRAINING_MODULES)


def evaluate_all(plan: str, dataset: str, task: str, overrides: Sequence[str], jobs: int | None) -> None:
    """Evaluate every run of the plan on the test split; skip what is up to date. Arguments as in `train_all`."""
    common = _common(overrides, jobs)
    evaluations = []
    for seed, model in _runs(plan, task):
        own = [*common, f"model={model}", f"seed={seed}"]
        evaluations.append(Evaluation(compose_again("evaluate", own)).with_inputs())
    stale = [one for one in evaluations if not one.folder.is_evaluated(one.inputs or {})]
    _say(dataset, "evaluated", len(evaluations), len(stale))
    if stale:
        titles = [_title(evaluation.folder.path) for evaluation in stale]
        _work(stale, titles, _evaluate, jobs or _cores(), EVALUATION_MODULES)


def _runs(plan: str, task: str) -> list[tuple[int, str]]:
    """Seed and model of each run; all models with the first seed come first."""
    listed = read_plan(plan, task)
    return [(seed, model) for seed in listed.seeds or [] for model in listed.models or []]


def _common(overrides: Sequence[str], jobs: Any) -> list[str]:
    """The overrides for every run; raises ValueError for a multirun, invalid `jobs` or an option of a single run."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ValueError("plan=… in a multirun (-m): the plan lists the models and seeds; accepted: one of the two")
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ValueError(f"jobs={jobs}; accepted: a whole number from 1, or null for one per core")
    keys = {override: override.partition("=")[0].lstrip("+~") for override in overrides}
    for override, key in keys.items():
        if key in ONE_RUN:
            raise ValueError(f"{override} and plan=…: the plan lists the models and seeds; accepted: one of the two")
    return [override for override, key in keys.items() if key not in ("plan", "jobs")]


def _train(training: Training) -> str:
    is_kept = training.folder.is_kept(training.inputs or {})
    record: RunRecord = train_run(training, wait=True, skip=True)
    how = "kept from an earlier training" if is_kept else f"{record.training_seconds:.0f} s"
    return f"{record.monitor} {record.best_score:.4f} in epoch {record.best_epoch} of {record.epochs}, {how}"


def _evaluate(evaluation: Evaluation) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in evaluate_run(evaluation, keep=True).items())


def _work(
    items: Sequence[Any], titles: Sequence[str], work: Callable[[Any], str], processes: int, modules: Sequence[str]
) -> None:
    """Do the work in parallel, and print the results: as lines, in a terminal with a progress bar."""
    from tqdm import tqdm

    errors: dict[str, str] = {}
    start, width, done = time.monotonic(), max(map(len, titles)), 0
    bar = tqdm(total=len(items), unit="run", disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False)
    with bar:
        for event in side_by_side(work, items, min(processes, len(items)), modules):
            title = titles[event.index]
            if not isinstance(event, Done):
                if event.text.startswith("epoch ") and not bar.disable:
                    bar.set_postfix_str(f"{title}: {event.text}"[:90])
                else:
                    bar.write(f"{title:<{width}}  {event.text}")
                    sys.stdout.flush()
                continue
            bar.update()
            done += 1
            if event.error is not None:
                errors[title] = event.error
            result = event.result if event.error is None else f"failed: {event.error}"
            bar.write(f"[{done:>{len(str(len(items)))}}/{len(items)}] {title:<{width}}  {result}")
            sys.stdout.flush()
    print(f"{len(items)} runs in {time.monotonic() - start:.0f} s, {min(processes, len(items))} at a time", flush=True)
    if errors:
        raise ValueError(f"{len(errors)} of {len(items)} runs failed, for the reasons above: {', '.join(errors)}")


def _say(dataset: str, done: str, total: int, stale: int) -> None:
    skipped = f", {total - stale} are up to date" if stale < total else ""
    print(f"{dataset}: {stale} of {total} runs to be {done}{skipped}", flush=True)


def _title(folder: Path) -> str:
    """``lstm 2``: the model and the seed."""
    return " ".join(folder.parts[-2:])


def _processes(config: dict[str, Any]) -> int:
    """Number of parallel trainings: cores divided by threads, or one if the trainer uses a GPU or several devices."""
    is_alone = config["trainer"].get("accelerator") != "cpu" or config["trainer"].get("devices") != 1
    return 1 if is_alone else max(1, _cores() // config["threads"])


def _cores() -> int:
    from joblib import cpu_count

    count: int = cpu_count()
    return count
