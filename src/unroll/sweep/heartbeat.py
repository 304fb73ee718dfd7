"""Signs of life of a trial, in its study's database: other machines cannot look at the processes of this one."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import Trial
from sqlalchemy.exc import SQLAlchemyError

INTERVAL = 20  # seconds from one sign to the next
GRACE = 120  # without one, nobody works on the trial any more


def heartbeat_storage(url: str, engine_kwargs: dict[str, Any]) -> RDBStorage:
    """A storage that knows since when a trial is silent, by the database's clock."""
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # trials are asked for and told here
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        return RDBStorage(url, engine_kwargs=engine_kwargs, heartbeat_interval=INTERVAL, grace_period=GRACE)


def beat(trial: Trial) -> None:
    """One sign."""
    storage: Any = trial.storage
    storage.record_heartbeat(trial._trial_id)


@contextmanager
def heartbeat(trials: Sequence[Trial]) -> Iterator[None]:
    """Signs for as long as the block takes, however long it blocks: they come from a thread."""
    is_over = Event()

    def keep_beating() -> None:
        while not is_over.wait(INTERVAL):
            for trial in trials:
                with suppress(SQLAlchemyError, StorageInternalError):  # the database is away: the next one will do
                    beat(trial)

    thread = Thread(target=keep_beating, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def silent_trials(study: Study) -> set[int]:
    """The ids of running trials that gave a sign once, and none for `GRACE` seconds."""
    storage: Any = study._storage
    return set(storage._get_stale_trial_ids(study._study_id))
