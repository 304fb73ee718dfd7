"""Add a sweep's best trial to the pipeline as a model. Not a DVC stage: run it by hand after a sweep."""

from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import build_options


@stage
def main(config: DictConfig) -> None:
    from unroll.sweep.promote import PromoteOptions, promote

    promoted = promote(build_options(PromoteOptions, config), Path("conf"))
    print(f"{promoted.file}: {promoted.trial}")
    print(f"{config.plan}: {promoted.group}.{promoted.line}")
    first = f"add {promoted.missing} to {promoted.group}.datasets in {config.plan}, " if promoted.missing else ""
    print(f"to train it with every seed: {first}dvc repro")


if __name__ == "__main__":
    main()
