"""Register stage: the model with the best mean validation score becomes a version of the registered model."""

from itertools import product
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import build_options, source_of
from unroll.stage import stage

PARAMS = "params.yaml"  # lists the runs of the pipeline


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData
    from unroll.data.raw import sample_texts
    from unroll.evaluation.runs import read_runs
    from unroll.plan.plan import read_plan
    from unroll.registry.gate import Gate
    from unroll.registry.versions import register_best

    dataset, source, gate = HydraConfig.get().runtime.choices["dataset"], source_of(config), build_options(Gate, config)
    chosen = read_plan(config.plan, source.task)
    pipeline = read_plan(PARAMS if Path(PARAMS).is_file() else None, source.task)
    done = register_best(
        dataset,
        runs=read_runs(Path(config.runs), chosen.models, chosen.seeds),
        folder=Path(config.runs),
        raw=Path(config.raw),
        data=PreparedData(Path(config.data)),
        texts=sample_texts(Path(config.raw), source),
        gate=gate,
        planned=set(product(pipeline.models or [], pipeline.seeds or [])),
        output=Path(config.output),
    )
    print(f"{done.registered_model} version {done.version}: {done.reason}")


if __name__ == "__main__":
    main()
