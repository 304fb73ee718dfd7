"""What a sweep says when it ends: on the console, and in its MLflow run."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from unroll.sweep.figures import param_importances, study_figures
from unroll.sweep.space import assignments
from unroll.sweep.studies import ERROR, OBJECTIVES, OVERRIDES, best_trials
from unroll.tracking.offline import tolerating
from unroll.tracking.sweeps import close_parent


def end_sweep(
    study: Study,
    run_id: str,
    files: list[Path],
    later: str,
    hint: Callable[[Study], str] | None = None,
    is_interrupted: bool = False,
) -> bool:
    """Print what came of the study, and give it to the run of the sweep; return whether any trial is complete.

    The run ends when no trial is left that another process works on, or on Ctrl-C, as KILLED.

    Args:
        files: to be kept in the run.
        later: what to do where MLflow does not answer.
        hint: says what to do with the best trials.
    """
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state for trial in trials)
    counts = ", ".join(f"{states[state]} {state.name.lower()}" for state in TrialState if states[state])
    lines = [f"{study.study_name}: {len(trials)} trials, {counts}"]
    lines += [f"trial {trial.number} failed: {_error(trial)}" for trial in trials if trial.state == TrialState.FAIL]
    objectives = study.user_attrs[OBJECTIVES]
    best = best_trials(study)
    lines += [f"best: {describe(trial, objectives)}" for trial in best] + ([hint(study)] if best and hint else [])
    print(*lines, sep="\n", flush=True)

    metrics = {f"trials/{state.name.lower()}": float(count) for state, count in states.items()}
    if len(best) == 1:
        metrics |= {f"best/{name}": value for name, value in zip(objectives, best[0].values, strict=True)}
    for objective, shares in param_importances(study, objectives).items():
        metrics |= {f"importance/{objective}/{name.lstrip('+')}": share for name, share in shares.items()}
    is_over = not states[TrialState.RUNNING]
    status = "KILLED" if is_interrupted else ("FINISHED" if best else "FAILED") if is_over else "RUNNING"
    note = "\n".join(f"- {line}" for line in lines)
    with tolerating("the figures of the sweep", later):
        close_parent(run_id, status, metrics, note, study_figures(study, objectives), files)
    return bool(best)


def describe(trial: FrozenTrial, objectives: list[str]) -> str:
    """``trial 13, best_score 0.9712: model=gru optimizer.lr=0.003``."""
    values = ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, trial.values, strict=True))
    return f"trial {trial.number}, {values}: {' '.join(trial.user_attrs[OVERRIDES])}"


def _error(trial: FrozenTrial) -> str:
    return f"{' '.join(assignments(trial.params))}: {trial.user_attrs.get(ERROR, 'it ended without a word')}"
