"""Train stage: one model on one dataset with one seed, as one MLflow run; or every model and seed of a plan."""

from collections.abc import Sequence
from typing import Any

from _stage import stage
from omegaconf import DictConfig


@stage
def main(config: DictConfig) -> float | list[float] | None:
    from unroll.config import plain

    if config.plan is not None:
        from unroll.plan.all_runs import train_all

        train_all(config)
        return None

    from unroll.plan.train import Training, train_together
    from unroll.sweep.objectives import values_of

    training = Training.of_this_command(plain(config))
    callbacks: Sequence[Any] = ()
    if training.is_trial:
        from unroll.sweep.pruning import trial_callbacks

        callbacks = trial_callbacks(config.trainer)
    record = train_together(training, callbacks)
    if record is None:  # the first process of a cluster has it
        return None
    print(f"{training.folder.path}: best {record.monitor} {record.best_score:.4f} in epoch {record.best_epoch}")
    return values_of(vars(record), config.objectives)


if __name__ == "__main__":
    main()
