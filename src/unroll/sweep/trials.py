"""The sweeper's side of trials: it takes them in batches and prints the result of each."""

import time
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn
from optuna import Study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from unroll.exceptions import StoreLost
from unroll.locks import study_lock
from unroll.sweep.ownership import CLAIM, DEATHS, WORKER, abandoned_trials, is_claimed, take
from unroll.sweep.space import Space, assignments
from unroll.sweep.studies import ERROR, OVERRIDES

MAX_DEATHS = 3  # processes that may die while they run a trial; then it has failed


class Trials:
    """The trials of a study, for one of the processes that share it.

    Args:
        size: the number of trials of the whole study.
        sampler: makes the sampler of the trial with the given number.
    """

    def __init__(
        self, study: Study, storage: str, space: Space, size: int, sampler: Callable[[int], BaseSampler]
    ) -> None:
        self._study = study
        self._storage = storage
        self._space = space
        self._size = size
        self._sampler = sampler
        self._announced: set[int] = set()

    def next_batch(self, count: int) -> list[Trial]:
        """Take up to `count` trials, abandoned ones first; an empty list if none is left for this process.

        While the only trials left are those whose sweeper is dead but whose job still runs, wait for these jobs.
        """
        while True:
            with study_lock(self._storage):
                abandoned, orphans = abandoned_trials(self._study)
                trials = [self._take(trial.number, trial) for trial in self._resumable(abandoned)[:count]]
                known = len(self._study.get_trials(deepcopy=False))
                for number in range(known, min(self._size, known + count - len(trials))):
                    trials.append(self._take(number))
            if trials or not orphans:
                return trials
            self._announce(orphans)
            time.sleep(1)

    def _take(self, number: int, abandoned: FrozenTrial | None = None) -> Trial:
        self._study.sampler = self._sampler(number)
        trial = self._study.ask() if abandoned is None else Trial(self._study, abandoned._trial_id)
        take(trial)
        trial.set_user_attr(OVERRIDES, self._space.suggest(trial))
        self._study.sampler = RandomSampler()  # GridSampler would call Study.stop after its last point, which raises
        return trial

    def _resumable(self, abandoned: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The abandoned trials except those whose process died too often, which fail, so that the study can end."""
        kept = []
        for trial in abandoned:
            deaths = trial.user_attrs.get(DEATHS, 0) + (trial.user_attrs.get(WORKER) is not None)
            self._study._storage.set_trial_user_attr(trial._trial_id, DEATHS, deaths)
            if deaths < MAX_DEATHS:
                kept.append(trial)
                continue
            error = f"its process died {deaths} times"
            self._study._storage.set_trial_user_attr(trial._trial_id, ERROR, error)
            self._study.tell(trial.number, state=TrialState.FAIL)
            print(f"trial {trial.number}: failed, {error}", flush=True)
        return kept

    def _announce(self, orphans: Sequence[FrozenTrial]) -> None:
        for trial in orphans:
            if trial.number not in self._announced:
                self._announced.add(trial.number)
                job = trial.user_attrs[WORKER]
                print(f"trial {trial.number}: waiting for its job, process {job['pid']} on {job['host']}", flush=True)

    def finish(self, trial: Trial, returned: JobReturn) -> None:
        """Print the result of a trial; if its job ended without recording one, the trial has failed.

        Raises:
            ValueError: MLflow or the study cannot be used, so that the next trials could not run either.
        """
        with study_lock(self._storage):
            if not is_claimed(trial, trial.user_attrs[CLAIM]):
                print(f"trial {trial.number}: another process has taken it over", flush=True)
                return
            value = returned._return_value  # the property `return_value` would print a pruned job as failed
            if isinstance(value, StoreLost):
                raise ValueError(
                    f"trial {trial.number} is unfinished: {value}; to resume it, run the same command "
                    "when the store can be reached"
                )
            if not trial.storage.get_trial(trial._trial_id).state.is_finished():
                trial.set_user_attr(ERROR, str(value))
                self._study.tell(trial.number, state=TrialState.FAIL)
            ended = trial.storage.get_trial(trial._trial_id)
        result = {TrialState.FAIL: "failed", TrialState.PRUNED: "pruned"}.get(ended.state)
        result = result or "  ".join(f"{value:.6g}" for value in ended.values)
        print(f"trial {trial.number}: {result}  {' '.join(assignments(trial.params))}", flush=True)


def overrides_of_job(trial: Trial) -> list[str]:
    """The overrides of the trial's job: the trial's values, its folder, its number and its claim."""
    return [
        *trial.user_attrs[OVERRIDES],
        f"hydra.sweep.subdir='{trial.number}'",
        f"hydra.sweeper.trial={trial.number}",
        f"hydra.sweeper.claim='{trial.user_attrs[CLAIM]}'",
    ]
