"""Register stage: the model with the best mean validation score becomes a version of the registered model."""

from itertools import product
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import build_options, optional_path, source_of
from unroll.stage import stage

PARAMS = Path("params.yaml")  # lists the runs of the pipeline


@stage
def main(config: DictConfig) -> None:
    from unroll.plan.plan import read_plan
    from unroll.registry.gate import Gate
    from unroll.registry.versions import RegisterPaths, register_best

    dataset, source = HydraConfig.get().runtime.choices["dataset"], source_of(config)
    gate, paths = build_options(Gate, config), build_options(RegisterPaths, config)
    chosen = read_plan(optional_path(config.plan), source.task)
    pipeline = read_plan(PARAMS if PARAMS.is_file() else None, source.task)
    planned = set(product(pipeline.models or [], pipeline.seeds or []))
    done = register_best(dataset, source, paths, gate, chosen.models, chosen.seeds, planned)
    print(f"{done.registered_model} version {done.version}: {done.reason}")


if __name__ == "__main__":
    main()
