"""A sweeper's side of its trials: it claims them in batches, and says what came of each."""

import time
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn
from optuna import Study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from unroll.exceptions import StoreLost
from unroll.locks import study_lock
from unroll.sweep.claims import CLAIM, DEATHS, WORKER, forsaken_trials, is_claimed, take
from unroll.sweep.space import Space, assignments
from unroll.sweep.studies import ERROR, OVERRIDES

MOST_DEATHS = 3


class Trials:
    """The trials of a study, as one of its sweepers meets them.

    Args:
        storage: of the study, for its lock.
        size: the number of trials of the whole study.
        sampler: makes the one for the trial with that number.
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

    def claim(self, count: int) -> list[Trial]:
        """The next trials for this process, at most so many; none when none is left that it could take, ever.

        Those that were left in the middle come first. One whose job still runs, though its sweeper is gone, is waited
        for.
        """
        while True:
            with study_lock(self._storage):
                abandoned, orphans = forsaken_trials(self._study)
                trials = [self._take(trial.number, trial) for trial in self._without_deadly(abandoned)[:count]]
                known = len(self._study.get_trials(deepcopy=False))
                for number in range(known, min(self._size, known + count - len(trials))):
                    trials.append(self._take(number))
            if trials or not orphans:
                return trials
            self._announce(orphans)
            time.sleep(1)

    def _take(self, number: int, left: FrozenTrial | None = None) -> Trial:
        self._study.sampler = self._sampler(number)
        trial = self._study.ask() if left is None else Trial(self._study, left._trial_id)
        take(trial, self._space.suggest(trial))
        self._study.sampler = RandomSampler()  # told of its last point, that of a grid would end Optuna's own loop
        return trial

    def _without_deadly(self, abandoned: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Fail those that took their process with them too often, so that the study gets past them."""
        kept = []
        for trial in abandoned:
            deaths = trial.user_attrs.get(DEATHS, 0) + (trial.user_attrs.get(WORKER) is not None)
            self._study._storage.set_trial_user_attr(trial._trial_id, DEATHS, deaths)
            if deaths < MOST_DEATHS:
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

    def report(self, trial: Trial, returned: JobReturn) -> None:
        """Print what came of a trial; one whose job ended before it began, and so told nothing, has failed.

        Raises:
            ValueError: MLflow or the study cannot be used, and the next trials would fare alike.
        """
        with study_lock(self._storage):
            if not is_claimed(trial, trial.user_attrs[CLAIM]):
                print(f"trial {trial.number}: another process has taken it over", flush=True)
                return
            outcome = returned._return_value  # `return_value` prints that the job failed, of one that was pruned too
            if isinstance(outcome, StoreLost):
                raise ValueError(f"trial {trial.number} is not over: {outcome}; once that answers: the same command")
            if not self._now(trial).state.is_finished():
                trial.set_user_attr(ERROR, str(outcome))
                self._study.tell(trial.number, state=TrialState.FAIL)
        ended = self._now(trial)
        said = {TrialState.FAIL: "failed", TrialState.PRUNED: "pruned"}.get(ended.state)
        said = said or "  ".join(f"{value:.6g}" for value in ended.values)
        print(f"trial {trial.number}: {said}  {' '.join(assignments(trial.params))}", flush=True)

    def _now(self, trial: Trial) -> FrozenTrial:
        return self._study._storage.get_trial(trial._trial_id)


def overrides_of_job(trial: Trial) -> list[str]:
    """What the job is given: the trial's values, its folder, and by what it knows that the trial still is its own."""
    return [
        *trial.user_attrs[OVERRIDES],
        f"hydra.sweep.subdir='{trial.number}'",
        f"hydra.sweeper.trial={trial.number}",
        f"hydra.sweeper.claim='{trial.user_attrs[CLAIM]}'",
    ]
