"""The summary of a sweep, on the console and in its MLflow run."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from unroll.sweep.figures import param_importances, study_figures
from unroll.sweep.ownership import SWEEPER, this_process
from unroll.sweep.space import assignments
from unroll.sweep.studies import ERROR, OBJECTIVES, OVERRIDES, best_trials, complete_trials
from unroll.tracking.offline import tolerating
from unroll.tracking.runs import TrackedRun
from unroll.tracking.store import open_store
from unroll.tracking.sweeps import name_of

LockStudy = Callable[[], AbstractContextManager[None]]


def end_sweep(
    study: Study,
    run_id: str,
    files: list[Path],
    later: str,
    hint: Callable[[Study], str] | None = None,
    is_interrupted: bool = False,
    lock_study: LockStudy = nullcontext,
) -> bool:
    """Print the summary of the study, log it to the sweep's MLflow run, and end the run.

    The run stays open while another process runs a trial. After an interruption its status is KILLED.

    Args:
        files: artifacts to log.
        later: the command that logs the summary, printed if MLflow cannot be reached.
        hint: returns a line about how to use the best trials.
        lock_study: locks a study that other processes share, which may end at the same time.

    Returns:
        Whether any trial is complete.
    """
    lines, metrics, _ = _summarize(study, hint, is_interrupted)
    print(*lines, sep="\n", flush=True)
    with tolerating("the summary of the sweep", later):
        run = TrackedRun(open_store(), run_id)
        with lock_study():  # trials may have ended during the wait for the lock
            lines, metrics, status = _summarize(study, hint, is_interrupted)
            run.log_metrics(metrics)
            run.client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n".join(f"- {line}" for line in lines))
            if status != "RUNNING":  # a running run must have no end time
                run.client.set_terminated(run_id, status)
        _log_figures(study, run, files, lock_study)
    return metrics["trials/complete"] > 0


def trial_line(trial: FrozenTrial, objectives: list[str]) -> str:
    """``trial 13, best_score 0.9712: model=gru optimizer.lr=0.003``."""
    values = ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, trial.values, strict=True))
    return f"trial {trial.number}, {values}: {' '.join(trial.user_attrs[OVERRIDES])}"


def _summarize(
    study: Study, hint: Callable[[Study], str] | None, is_interrupted: bool
) -> tuple[list[str], dict[str, float], str]:
    """The text in lines; the number of trials in each state and the best values; the status of the MLflow run."""
    trials, best, objectives = study.get_trials(deepcopy=False), best_trials(study), study.user_attrs[OBJECTIVES]
    states = Counter(trial.state for trial in trials)
    counts = [f"{states[state]} {state.name.lower()}" for state in TrialState if states[state]]
    total = f"{len(trials)} trial{'' if len(trials) == 1 else 's'}"
    lines = [f"{study.study_name}: {', '.join([total, *counts])}"]
    for trial in trials:
        if trial.state == TrialState.FAIL:
            error = trial.user_attrs.get(ERROR, "no error was recorded")
            lines.append(f"trial {trial.number} failed: {' '.join(assignments(trial.params))}: {error}")
    lines += [f"best: {trial_line(trial, objectives)}" for trial in best] + ([hint(study)] if best and hint else [])

    metrics = {f"trials/{state.name.lower()}": float(states[state]) for state in TrialState}
    if len(best) == 1:
        metrics |= {f"best/{name}": value for name, value in zip(objectives, best[0].values, strict=True)}
    # An interruption of this process leaves its own trials running.
    running = [trial.user_attrs.get(SWEEPER) for trial in trials if trial.state == TrialState.RUNNING]
    if any(sweeper != this_process() for sweeper in running):
        return lines, metrics, "RUNNING"
    return lines, metrics, "KILLED" if is_interrupted else "FINISHED" if best else "FAILED"


def _log_figures(study: Study, run: TrackedRun, files: list[Path], lock_study: LockStudy) -> None:
    """Log importances and figures, unless another process has completed a trial meanwhile: it logs newer ones."""
    objectives, complete = study.user_attrs[OBJECTIVES], len(complete_trials(study))
    importances = param_importances(study, objectives)  # takes seconds for hundreds of trials
    metrics = {
        f"importance/{objective}/{name_of(key)}": share
        for objective, shares in importances.items()
        for key, share in shares.items()
    }
    with TemporaryDirectory() as folder:
        pictures = []
        for name, figure in study_figures(study, objectives, importances).items():
            pictures.append(Path(folder) / f"{name}.png")
            figure.savefig(pictures[-1], dpi=150)
        with lock_study():
            if len(complete_trials(study)) == complete:
                run.log_metrics(metrics)
                for file in [*pictures, *files]:
                    run.client.log_artifact(run.run_id, str(file), "sweep")
