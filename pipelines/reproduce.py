"""Trains an MLflow run again, if nothing has changed since, and compares. Not a stage of the pipeline: run by hand."""

from functools import partial

from _stage import stage
from omegaconf import DictConfig

from unroll.checks import check_name
from unroll.config import compose_again, override


@stage
def main(config: DictConfig) -> None:
    from unroll.tracking.reproduce import reproduce

    if config.run is None:
        raise ValueError("run=null; accepted: the run_id of a training, from models/DATASET/MODEL/SEED/run.json")
    check_name("run", config.run)
    reproduce(config.run, config.output, config.despite_differences, partial(compose_again, "train"), override)


if __name__ == "__main__":
    main()
