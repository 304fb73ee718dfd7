"""Makes an earlier champion of a registered model the champion again. Not a stage of the pipeline: run by hand."""

from _stage import stage
from omegaconf import DictConfig

from unroll.arguments import check_arguments
from unroll.config import choice


@stage
def main(config: DictConfig) -> None:
    from unroll.registry.registered_model import RegisteredModel
    from unroll.tracking.offline import requiring
    from unroll.tracking.store import open_store

    name = choice("dataset")
    check_arguments(RegisteredModel.roll_back, {"version": config.version}, "")
    with requiring():
        before, after = RegisteredModel(open_store(), name).roll_back(config.version)
    print(f"{name}: champion is version {after}; it was {f'version {before}' if before else 'none'}")


if __name__ == "__main__":
    main()
