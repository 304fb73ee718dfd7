"""Trains or evaluates the runs of a dataset that params.yaml lists and that are not up to date."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from joblib import cpu_count
from omegaconf import DictConfig

from unroll.checks import counted
from unroll.cluster import Cluster
from unroll.conf_files import message_with_file
from unroll.config import choice, compose_again, source_of, task_overrides
from unroll.data.prepared import PreparedData
from unroll.exceptions import JobFailed
from unroll.hardware import may_have_gpu
from unroll.plan.evaluate import Evaluation, evaluate_run
from unroll.plan.plan import check_models, read_plan
from unroll.plan.train import Training, report_uncommitted, train_run
from unroll.run_folder import State
from unroll.side_by_side import Done, side_by_side

TRAINING_MODULES = (__name__, "unroll.training.network", "unroll.tracking.upload", "unroll.tracking.logger")
EVALUATION_MODULES = (__name__, "unroll.evaluation.evaluate", "unroll.tracking.upload")
ON_GPU = {"cuda": 2, "mps": 1}  # runs at a time; two, because one leaves a GPU idle while Python starts its kernels
ONE_RUN = ("model", "seed", "output", "run", "run_name", "reproduces")  # options for a single run only


class Places(NamedTuple):
    """How many runs there are at a time, and what is said of where they are."""

    processes: int
    where: str = ""


def train_all(config: DictConfig) -> None:
    """Train every model with every seed of the plan, in ``models/DATASET/MODEL/SEED``; skip what is up to date.

    Args:
        config: of the running train command, whose overrides apply to all runs. Without `jobs` the number of parallel
            trainings follows from the cores; on a GPU it is that of `ON_GPU`, and one if there are several devices.

    Raises:
        ValueError: `jobs` or an override is not accepted, or a training failed; the others are completed first.
    """
    if (cluster := Cluster.here()) is not None:
        if cluster.rank:
            raise JobFailed("process 0 says why")
        raise ValueError(f"plan={config.plan} by {cluster.starter}; accepted: one training, model=… seed=…")
    dataset, trainings = choice("dataset"), []
    for model, seed, overrides in _runs(config):
        own = compose_again("train", [*overrides, f"output=models/{dataset}/{model}/{seed}"])
        trainings.append(Training(dataset, model, own, overrides))
    report_uncommitted(dataset, PreparedData(Path(trainings[0].config["data"])))
    trainer, threads = trainings[0].config["trainer"], trainings[0].config["threads"]
    places = partial(_places, trainer.get("accelerator", "auto"), trainer.get("devices"), threads, config.jobs)
    _complete(trainings, "trained", _train, places, TRAINING_MODULES)


def evaluate_all(config: DictConfig) -> None:
    """Evaluate every run of the plan on the test split, as `train_all` trains them."""
    evaluations = [Evaluation(compose_again("evaluate", overrides)) for *_, overrides in _runs(config)]
    places = partial(_places, evaluations[0].config["device"], 1, 1, config.jobs)
    _complete(evaluations, "evaluated", _evaluate, places, EVALUATION_MODULES)


def _runs(config: DictConfig) -> Iterator[tuple[str, int, list[str]]]:
    """Model, seed and overrides of each run; all models with the first seed come first."""
    task = source_of(config).task
    common, plan = _common(config.jobs), read_plan(config.plan, task)
    check_models(config.plan, task, plan.models or [])
    for seed, model in product(plan.seeds or [], plan.models or []):
        yield model, seed, [*common, f"model={model}", f"seed={seed}"]


def _common(jobs: Any) -> list[str]:
    """The overrides for every run; raises ValueError for a multirun, invalid `jobs` or an option of a single run."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ValueError("plan=… in a multirun (-m): the plan lists the models and seeds; accepted: one of the two")
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ValueError(f"jobs={jobs}; accepted: a whole number from 1, or null for one per core")
    keys = {override: override.partition("=")[0].lstrip("+~") for override in task_overrides()}
    for override, key in keys.items():
        if key in ONE_RUN:
            raise ValueError(f"{override} and plan=…: the plan lists the models and seeds; accepted: one of the two")
    return [override for override, key in keys.items() if key not in ("plan", "jobs")]


def _train(training: Training) -> str:
    is_kept = training.folder.is_kept(training.inputs)
    try:
        record = train_run(training, is_planned=True)
    except ValueError as error:
        raise ValueError(message_with_file(error, training.overrides, "train", {"model": training.model})) from error
    how = "kept from an earlier training" if is_kept else f"{record.training_seconds:.0f} s"
    return f"{record.monitor} {record.best_score:.4f} in epoch {record.best_epoch} of {record.epochs}, {how}"


def _evaluate(evaluation: Evaluation) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in evaluate_run(evaluation, keep=True).items())


def _complete(
    runs: Sequence[Training] | Sequence[Evaluation],
    state: State,
    work: Callable[[Any], str],
    places: Callable[[], Places],
    modules: Sequence[str],
) -> None:
    """Do the work on every run that is not up to date, in parallel; print the results, in a terminal with a bar."""
    from tqdm import tqdm

    stale = [run for run in runs if not run.folder.is_current(state, run.inputs)]
    skipped = f", {len(runs) - len(stale)} are up to date" if len(stale) < len(runs) else ""
    processes, where = places() if stale else Places(0)
    print(f"{choice('dataset')}: {len(stale)} of {len(runs)} runs to be {state}{where}{skipped}", flush=True)
    if not stale:
        return
    titles = [" ".join(run.folder.path.parts[-2:]) for run in stale]  # the model and the seed
    total, processes, width = len(stale), min(processes, len(stale)), max(map(len, titles))
    failed: list[str] = []
    start, done = time.monotonic(), 0
    with tqdm(total=total, unit="run", disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False) as bar:
        for event in side_by_side(work, stale, processes, modules):
            title = titles[event.index]
            if isinstance(event, Done):
                bar.update()
                done += 1
                failed += [title] * (event.error is not None)
                result = event.result if event.error is None else f"failed: {event.error}"
                bar.write(f"[{done:>{len(str(total))}}/{total}] {title:<{width}}  {result}")
            elif event.text.startswith("epoch ") and not bar.disable:
                bar.set_postfix_str(f"{title}: {event.text}"[:90])
            else:
                bar.write(f"{title:<{width}}  {event.text}")
            sys.stdout.flush()
    print(f"{counted(total, 'run')} in {time.monotonic() - start:.0f} s, {processes} at a time", flush=True)
    if failed:
        raise ValueError(f"{len(failed)} of {counted(total, 'run')} failed, for the reasons above: {', '.join(failed)}")


def _places(asked: str, devices: Any, threads: int, jobs: int | None) -> Places:
    """The number of parallel runs, `jobs` or what suits the device: one per core, or few if they share a GPU.

    Raises:
        ValueError: the device is not here.
    """
    cores = max(1, cpu_count() // threads)
    if asked == "cpu" or (asked == "auto" and not may_have_gpu()):  # found without PyTorch
        return Places(jobs or (cores if devices == 1 else 1))
    from unroll.nn.devices import CPU, announce, choose

    device = choose(asked, "trainer.accelerator", "trainer=auto; trainer=cpu works everywhere")
    announce(device, asked)
    if device == CPU or devices != 1:
        return Places(jobs or (cores if devices == 1 else 1))
    processes = jobs or min(cores, ON_GPU[device.type])
    return Places(processes, f" on {device.type}, {processes} at a time (jobs=N for another number)")
