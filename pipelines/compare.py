"""Compare stage: every evaluated model of a dataset over its seeds, as a table and a page."""

from pathlib import Path

from omegaconf import DictConfig

from unroll.config.build import optional_path, source_of
from unroll.config.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.evaluation.plan import read_plan
    from unroll.evaluation.report import write_report
    from unroll.evaluation.runs import read_runs

    plan = read_plan(optional_path(config.plan), source_of(config).task)
    write_report(read_runs(Path(config.runs), plan.models, plan.seeds), Path(config.output))
    print(f"{config.output}/index.html and leaderboard.csv")


if __name__ == "__main__":
    main()
