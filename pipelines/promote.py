"""A sweep's best trial becomes a model of the pipeline. No stage: run by hand, when a sweep is over."""

from pathlib import Path

from omegaconf import DictConfig

from unroll.config.build import build_options
from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.sweep.promote import PromoteOptions, promote

    promoted = promote(build_options(PromoteOptions, config), Path("conf"))
    print(f"{promoted.file}: {promoted.origin}")
    print(f"{config.plan}: {promoted.group}.{promoted.line}")
    print("dvc repro trains it with every seed, next to the others")


if __name__ == "__main__":
    main()
