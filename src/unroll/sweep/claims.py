"""Who works on a trial: the sweeper that took it and the process that runs its job, on this machine or another."""

from typing import Any
from uuid import uuid4

from optuna import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from unroll.sweep.heartbeat import beat, silent_trials
from unroll.sweep.owner import is_alive, is_here, this_process
from unroll.sweep.studies import OVERRIDES

SWEEPER = "sweeper"  # attributes of a trial: the process that took it,
WORKER = "worker"  # the one that runs the job, until it ends,
CLAIM = "claim"  # new each time it is taken, and known to that job alone,
DEATHS = "deaths"  # and how often a process died that ran it


def take(trial: Trial, overrides: list[str]) -> None:
    """Make this process the trial's owner. To be called under the study's lock, as all of this file."""
    beat(trial)
    trial.set_user_attr(WORKER, None)
    trial.set_user_attr(CLAIM, uuid4().hex)
    trial.set_user_attr(SWEEPER, this_process())
    trial.set_user_attr(OVERRIDES, overrides)


def is_claimed(trial: Trial, claim: str) -> bool:
    """Whether the trial still belongs to the sweeper with that claim."""
    return bool(trial.storage.get_trial(trial._trial_id).user_attrs.get(CLAIM) == claim)


def forsaken_trials(study: Study) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The trials whose sweeper is gone: those that nobody works on, and those whose job still runs, in its folder."""
    silent = silent_trials(study)
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    forsaken = [trial for trial in running if not _lives(trial, SWEEPER, silent)]
    orphans = [trial for trial in forsaken if _lives(trial, WORKER, silent)]
    return [trial for trial in forsaken if trial not in orphans], orphans


def _lives(trial: FrozenTrial, role: str, silent: set[int]) -> bool:
    """Whether a process has that role: one of this machine that runs, or one of another that gives signs."""
    owner: dict[str, Any] | None = trial.user_attrs.get(role)
    if owner is None:
        return False
    return is_alive(owner) if is_here(owner) else trial._trial_id not in silent
