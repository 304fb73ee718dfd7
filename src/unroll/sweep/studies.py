"""Studies in their storage: opened by several processes at once, and each trial worked on by one of them."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from optuna import Study, create_study, get_all_study_names, logging
from optuna import load_study as load_optuna_study
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from unroll.exceptions import without_password
from unroll.locks import study_lock
from unroll.sweep.heartbeat import heartbeat_storage
from unroll.sweep.objectives import directions_of

if TYPE_CHECKING:
    from unroll.sweep.space import Space

OVERRIDES = "overrides"  # attributes of a trial: what its job was given,
ERROR = "error"  # and what it said if it failed
OBJECTIVES = "objectives"  # of a study: the names of its values,
PARENT = "mlflow.run"  # and its run in MLflow


def study_name(job: str, overrides: Sequence[str], search: dict[str, Any]) -> str:
    """The name of a study that was given none: the same command, in whatever order, has the same."""
    text = " ".join([*sorted(overrides), json.dumps(search, sort_keys=True)])
    return f"{job}-{sha256(text.encode()).hexdigest()[:8]}"


def open_study(name: str, storage: str, objectives: Sequence[str], space: "Space", search: dict[str, Any]) -> Study:
    """Create the study, or go on with it. To be called under its lock.

    Args:
        objectives: what a job returns.
        search: the configuration of how values are drawn and trials given up.

    Raises:
        ValueError: the storage cannot be used, or the study was begun with another space, objectives or search.
    """
    try:
        study = create_study(
            study_name=name, storage=_storage(storage), directions=directions_of(objectives), load_if_exists=True
        )
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r} cannot be used: {error}") from error
    asked = {"objectives": list(objectives), "space": space.texts(), "overrides": sorted(space.fixed), **search}
    begun = study.user_attrs.get("asked")
    if begun is None:
        study.set_user_attr(OBJECTIVES, list(objectives))
        study.set_user_attr("asked", asked)
    elif begun != asked:
        changes = ", ".join(
            f"{key}: {begun.get(key)} then, {asked[key]} now" for key in asked if begun.get(key) != asked[key]
        )
        raise ValueError(
            f"study {name} was begun otherwise ({changes}); accepted: the same, or another hydra.sweeper.study"
        )
    return study


def load_study(name: str, storage: str) -> Study:
    """A study that exists.

    Raises:
        ValueError: the storage cannot be used, or has no such study.
    """
    try:
        with study_lock(storage):
            opened = _storage(storage)
            names = get_all_study_names(opened)
            if name in names:
                return load_optuna_study(study_name=name, storage=opened)
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise ValueError(f"storage={without_password(storage)!r} cannot be used: {error}") from error
    accepted = ", ".join(sorted(names)) or "there is none"
    raise ValueError(f"study={name}: no such study in {without_password(storage)}; accepted: {accepted}")


def best_trials(study: Study) -> list[FrozenTrial]:
    """The best complete trial, the first of equals; for several objectives, all those that no other beats."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        return []
    return [study.best_trial] if len(study.directions) == 1 else study.best_trials


def _storage(url: str) -> BaseStorage:
    logging.set_verbosity(logging.WARNING)
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return heartbeat_storage(url, wait)
