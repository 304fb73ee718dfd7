"""Pretrain stage: word vectors or a language model from unlabelled text, as one MLflow run and a registered model."""

from _stage import stage
from omegaconf import DictConfig


@stage
def main(config: DictConfig) -> None:
    from unroll.config import plain, task_overrides
    from unroll.plan.pretrain import run_pretraining

    run_pretraining(plain(config), task_overrides())


if __name__ == "__main__":
    main()
