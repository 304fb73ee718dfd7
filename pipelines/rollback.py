"""Puts `champion` back on a version that it was before. No stage of the pipeline: run by hand."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.check import check_arguments
from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.registry.rollback import roll_back
    from unroll.tracking.offline import requiring

    name = HydraConfig.get().runtime.choices["dataset"]
    check_arguments(roll_back, {"version": config.version}, "")
    with requiring():
        before, after = roll_back(name, config.version)
    print(f"{name}: champion is version {after}; it was version {before}")


if __name__ == "__main__":
    main()
