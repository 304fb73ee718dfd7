"""Compare stage: every evaluated model of a dataset over its seeds, as tables, a page and an MLflow run."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import optional_path, source_of
from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.config.plan import read_plan
    from unroll.data.prepared import PreparedData
    from unroll.evaluation.report import FILES, write_comparison
    from unroll.evaluation.runs import read_runs

    plan = read_plan(optional_path(config.plan), source_of(config).task)
    runs, output = read_runs(Path(config.runs), plan.models, plan.seeds), Path(config.output)
    write_comparison(runs, PreparedData(Path(config.data)), output, config.level)
    print(f"{output}: {', '.join(FILES)}")

    from unroll.tracking.comparisons import log_comparison
    from unroll.tracking.offline import tolerating

    again = " ".join(["python pipelines/compare.py", *HydraConfig.get().overrides.task])
    with tolerating(f"the comparison in {output}", again):
        log_comparison(runs, output)


if __name__ == "__main__":
    main()
