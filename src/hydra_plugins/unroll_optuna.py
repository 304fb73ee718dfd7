"""Plugin for Hydra, which accepts only classes of `hydra_plugins` and imports them in every command."""

from unroll.sweep import sweeper


class OptunaSweeper(sweeper.StudySweeper):
    """The sweeper of `hydra/sweeper=optuna`."""
