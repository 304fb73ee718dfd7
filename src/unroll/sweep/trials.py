"""The sweeper's side of trials: it takes them in batches and prints the result of each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Trials:
    """The trials of a study, for one of the processes that share it."""

    study: Study
    storage: str
    space: Space
    size: int  # the number of trials of the whole study
    sampler: Callable[[int], BaseSampler]  # makes the sampler of the trial with the given number
    _announced: set[int] = field(default_factory=set)

    def next_batch(self, count: int) -> list[Trial]:
        """Take up to `count` trials, abandoned ones first; an empty list if none is left for this process.

        While the only trials left are those whose sweeper is dead but whose job still runs, wait for these jobs.
        """
        while True:
            with study_lock(self.storage):
                abandoned, orphans = abandoned_trials(self.study)
                trials = [self._take(trial.number, trial) for trial in self._resumable(abandoned)[:count]]
                known = len(self.study.get_trials(deepcopy=False))
                for number in range(known, min(self.size, known + count - len(trials))):
                    trials.append(self._take(number))
            if trials or not orphans:
                return trials
            for trial in orphans:
                if trial.number not in self._announced:
                    job = trial.user_attrs[WORKER]
                    waiting = f"waiting for its job, process {job['pid']} on {job['host']}"
                    print(f"trial {trial.number}: {waiting}", flush=True)
            self._announced.update(trial.number for trial in orphans)
            time.sleep(1)

    def _take(self, number: int, abandoned: FrozenTrial | None = None) -> Trial:
        self.study.sampler = self.sampler(number)
        trial = self.study.ask() if abandoned is None else Trial(self.study, abandoned._trial_id)
        take(trial)
        trial.set_user_attr(OVERRIDES, self.space.suggest(trial))
        self.study.sampler = RandomSampler()  # GridSampler would call Study.stop after its last point, which raises
        return trial

    def _resumable(self, abandoned: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The abandoned trials except those whose process died too often, which fail, so that the study can end."""
        kept, storage = [], self.study._storage
        for trial in abandoned:
            deaths = trial.user_attrs.get(DEATHS, 0) + (trial.user_attrs.get(WORKER) is not None)
            storage.set_trial_user_attr(trial._trial_id, DEATHS, deaths)
            if deaths < MAX_DEATHS:
                kept.append(trial)
                continue
            error = f"its process died {deaths} times"
            storage.set_trial_user_attr(trial._trial_id, ERROR, error)
            self.study.tell(trial.number, state=TrialState.FAIL)
            print(f"trial {trial.number}: failed, {error}", flush=True)
        return kept

    def finish(self, trial: Trial, returned: JobReturn) -> None:
        """Print the result of a trial; if its job ended without recording one, the trial has failed.

        Raises:
            ValueError: MLflow or the study cannot be used, so that the next trials could not run either.
        """
        with study_lock(self.storage):
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
                self.study.tell(trial.number, state=TrialState.FAIL)
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
