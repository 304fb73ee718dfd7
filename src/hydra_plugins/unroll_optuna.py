"""Plugin for Hydra, which accepts only classes of `hydra_plugins` and imports them in every command."""

from typing import Any

from hydra.plugins.sweeper import Sweeper


class OptunaSweeper(Sweeper):
    """The sweeper of `hydra/sweeper=optuna`, which imports Optuna only for a sweep, because Optuna is slow to import.

    In a job's configuration, `trial` is the number of its trial, and `claim` shows whether it still belongs to the job.
    """

    def __init__(self, trial: None, claim: None, **options: Any) -> None:
        from unroll.sweep.sweeper import StudySweeper

        self._sweeper = StudySweeper(**options)

    def setup(self, **context: Any) -> None:
        self._sweeper.setup(**context)

    def sweep(self, arguments: list[str]) -> Any:
        return self._sweeper.sweep(arguments)
