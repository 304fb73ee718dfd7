"""Compare stage: every evaluated model of a dataset over its seeds, as tables, a page and an MLflow run."""

import os
from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import source_of, task_overrides


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData
    from unroll.evaluation.report import FILES, write_comparison
    from unroll.evaluation.runs import read_runs
    from unroll.plan.plan import read_plan

    source, output, raw = source_of(config), Path(config.output), Path(config.raw)
    plan = read_plan(config.plan, source.task)
    runs = read_runs(Path(config.runs), plan.models, plan.seeds)
    write_comparison(
        runs,
        PreparedData(Path(config.data)),
        output,
        config.level,
        raw=raw if raw.is_dir() else None,
        text_columns=source.text_columns,
        tracking_uri=os.environ["MLFLOW_TRACKING_URI"],
    )
    print(f"{output}: {', '.join(FILES)}")

    from unroll.tracking.comparisons import log_comparison
    from unroll.tracking.offline import tolerating

    with tolerating(f"the comparison in {output}", " ".join(["python pipelines/compare.py", *task_overrides()])):
        log_comparison(runs, output)


if __name__ == "__main__":
    main()
