"""Ownership of a trial: the sweeper that took it and the process that runs its job, on this machine or another.

A process of this machine is looked up. One of another machine is taken to be alive while the trial's heartbeat, which
is kept in the study's database, is recent.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import psutil
from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

SWEEPER = "sweeper"  # user attributes of a trial: the process that took it,
WORKER = "worker"  # the process that runs its job, until the job ends,
CLAIM = "claim"  # a token, new each time the trial is taken and passed only to its job,
DEATHS = "deaths"  # and how many processes died while they ran it

INTERVAL = 20  # seconds between heartbeats
GRACE = 600  # seconds without a heartbeat after which a process of another machine counts as dead
TOLERANCE = 5  # seconds by which a process's start time may differ, since it changes when the clock is adjusted


def this_process() -> dict[str, Any]:
    """Host, process id and start time of this process; the start time distinguishes later processes with its id."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def is_running(owner: dict[str, Any]) -> bool:
    """Whether the process, which belongs to this machine, is running."""
    try:
        process = psutil.Process(owner["pid"])
        is_same = abs(process.create_time() - owner["started"]) < TOLERANCE
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def take(trial: Trial) -> None:
    """Make this process the owner of the trial. The caller holds the study's lock."""
    record_heartbeat(trial)
    trial.set_user_attr(WORKER, None)
    trial.set_user_attr(CLAIM, uuid4().hex)
    trial.set_user_attr(SWEEPER, this_process())


def is_claimed(trial: Trial, claim: str) -> bool:
    """Whether `claim` is still the trial's token: no other process has taken the trial. The caller holds the lock."""
    return bool(trial.storage.get_trial(trial._trial_id).user_attrs.get(CLAIM) == claim)


def abandoned_trials(study: Study) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The running trials whose sweeper is dead: a list of those without a job, and of those whose job still runs.

    The caller holds the study's lock.
    """
    storage: Any = study._storage
    silent = storage._get_stale_trial_ids(study._study_id)  # no heartbeat for `GRACE` seconds

    def is_alive(role: str, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(role)
        if owner is None:
            return False
        is_local = owner["host"] == socket.gethostname()
        return is_running(owner) if is_local else trial._trial_id not in silent

    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    abandoned = [trial for trial in running if not is_alive(SWEEPER, trial)]
    orphans = [trial for trial in abandoned if is_alive(WORKER, trial)]
    return [trial for trial in abandoned if trial not in orphans], orphans


def record_heartbeat(trial: Trial) -> None:
    storage: Any = trial.storage
    storage.record_heartbeat(trial._trial_id)


@contextmanager
def heartbeat(trials: Sequence[Trial]) -> Iterator[None]:
    """Record a heartbeat of each trial every `INTERVAL` seconds, from a thread, until the block ends."""
    is_over = Event()

    def keep_beating() -> None:
        while not is_over.wait(INTERVAL):
            for trial in trials:
                with suppress(SQLAlchemyError, StorageInternalError):  # a missed heartbeat does no harm
                    record_heartbeat(trial)

    thread = Thread(target=keep_beating, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
