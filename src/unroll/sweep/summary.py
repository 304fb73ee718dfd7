"""What a sweep says when it ends: on the console, and in its MLflow run."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from unroll.sweep.claims import SWEEPER
from unroll.sweep.figures import param_importances, study_figures
from unroll.sweep.owner import this_process
from unroll.sweep.space import assignments
from unroll.sweep.studies import ERROR, OBJECTIVES, OVERRIDES, best_trials
from unroll.tracking.offline import tolerating
from unroll.tracking.runs import TrackedRun
from unroll.tracking.store import open_store
from unroll.tracking.sweeps import close_parent, illustrate_parent, name_of

Lock = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Findings:
    """What came of a study so far.

    Args:
        lines: that say it.
        metrics: the trials in each state, and the best values.
        status: of the sweep's run; RUNNING where another process works on a trial.
        complete: the number of complete trials.
    """

    lines: list[str]
    metrics: dict[str, float]
    status: str
    complete: int


def end_sweep(
    study: Study,
    run_id: str,
    files: list[Path],
    later: str,
    hint: Callable[[Study], str] | None = None,
    is_interrupted: bool = False,
    lock: Lock = nullcontext,
) -> bool:
    """Print what came of the study, and give it to the run of the sweep; return whether any trial is complete.

    The run ends when no trial is left that another process works on; on Ctrl-C, as KILLED.

    Args:
        files: to be kept in the run.
        later: what to do where MLflow does not answer.
        hint: says what to do with the best trials.
        lock: of a study that other processes work on too, which may end at the same time.
    """
    findings = _look(study, hint, is_interrupted)
    print(*findings.lines, sep="\n", flush=True)
    with tolerating("the figures of the sweep", later):
        run = TrackedRun(open_store(), run_id)
        with lock():
            findings = _look(study, hint, is_interrupted)  # again: it waited for the store and for the lock
            note = "\n".join(f"- {line}" for line in findings.lines)
            close_parent(run, findings.status, findings.metrics, note)
        _illustrate(study, run, files, lock)
    return findings.complete > 0


def describe(trial: FrozenTrial, objectives: list[str]) -> str:
    """``trial 13, best_score 0.9712: model=gru optimizer.lr=0.003``."""
    values = ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, trial.values, strict=True))
    return f"trial {trial.number}, {values}: {' '.join(trial.user_attrs[OVERRIDES])}"


def _look(study: Study, hint: Callable[[Study], str] | None, is_interrupted: bool) -> Findings:
    trials, best, objectives = study.get_trials(deepcopy=False), best_trials(study), study.user_attrs[OBJECTIVES]
    states = Counter(trial.state for trial in trials)
    counts = ", ".join(f"{states[state]} {state.name.lower()}" for state in TrialState if states[state])
    lines = [f"{study.study_name}: {len(trials)} trials, {counts}"]
    lines += [f"trial {trial.number} failed: {_error(trial)}" for trial in trials if trial.state == TrialState.FAIL]
    lines += [f"best: {describe(trial, objectives)}" for trial in best] + ([hint(study)] if best and hint else [])

    metrics = {f"trials/{state.name.lower()}": float(states[state]) for state in TrialState}
    if len(best) == 1:
        metrics |= {f"best/{name}": value for name, value in zip(objectives, best[0].values, strict=True)}
    over = "KILLED" if is_interrupted else "FINISHED" if best else "FAILED"
    status = "RUNNING" if any(_is_of_another(trial) for trial in trials) else over
    return Findings(lines, metrics, status, states[TrialState.COMPLETE])


def _is_of_another(trial: FrozenTrial) -> bool:
    """Whether it runs, and is none that this process was interrupted in."""
    return trial.state == TrialState.RUNNING and trial.user_attrs.get(SWEEPER) != this_process()


def _illustrate(study: Study, run: TrackedRun, files: list[Path], lock: Lock) -> None:
    """Give the run importances and pictures, unless another process has completed a trial since: it will do so."""
    objectives, complete = study.user_attrs[OBJECTIVES], _complete(study)
    importances = param_importances(study, objectives)  # takes seconds for hundreds of trials
    metrics = {
        f"importance/{objective}/{name_of(key)}": share
        for objective, shares in importances.items()
        for key, share in shares.items()
    }
    with TemporaryDirectory() as work:
        pictures = []
        for name, figure in study_figures(study, objectives, importances).items():
            pictures.append(Path(work) / f"{name}.png")
            figure.savefig(pictures[-1], dpi=150)
        with lock():
            if _complete(study) == complete:
                illustrate_parent(run, metrics, [*pictures, *files])


def _complete(study: Study) -> int:
    return len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))


def _error(trial: FrozenTrial) -> str:
    return f"{' '.join(assignments(trial.params))}: {trial.user_attrs.get(ERROR, 'it ended without a word')}"
