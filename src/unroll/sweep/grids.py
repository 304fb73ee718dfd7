"""A multirun that was no study, seen as one: what it found is shown in the same way."""

from collections.abc import Sequence
from typing import Any

from optuna import Study, create_study, create_trial, logging
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from unroll.sweep.jobs import Job
from unroll.sweep.multirun import Multirun
from unroll.sweep.objectives import directions_of
from unroll.sweep.studies import ERROR, OBJECTIVES, OVERRIDES


def study_of_jobs(multirun: Multirun, jobs: Sequence[Job]) -> Study:
    """A study in memory, with a trial a job."""
    logging.set_verbosity(logging.WARNING)
    study = create_study(study_name=multirun.name, directions=directions_of(multirun.objectives))
    study.set_user_attr(OBJECTIVES, multirun.objectives)
    distributions = {key: CategoricalDistribution(choices) for key, choices in multirun.swept.items()}
    for job in jobs:
        values = job.value if isinstance(job.value, list) else [job.value]
        given = dict(override.partition("=")[::2] for override in job.overrides)
        attributes: dict[str, Any] = {OVERRIDES: job.overrides} | ({ERROR: job.error} if job.error else {})
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if job.error else TrialState.COMPLETE,
                params={key: given[key] for key in distributions if key in given},
                distributions={key: one for key, one in distributions.items() if key in given},
                values=None if job.error else values,
                user_attrs=attributes,
            )
        )
    return study
