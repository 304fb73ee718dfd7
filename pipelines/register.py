"""Register stage: the model with the best mean validation score, as a version of the registered model."""

from pathlib import Path

from omegaconf import DictConfig

from unroll.config.build import optional_path, source_of
from unroll.config.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData
    from unroll.data.samples import sample_texts
    from unroll.evaluation.leaderboard import leaderboard
    from unroll.evaluation.plan import read_plan
    from unroll.evaluation.runs import read_runs
    from unroll.files import write_json
    from unroll.tracking.models import model_uri
    from unroll.tracking.registry import Candidate, register
    from unroll.tracking.store import open_store

    source = source_of(config)
    plan = read_plan(optional_path(config.plan), source.task)
    runs = read_runs(Path(config.runs), plan.models, plan.seeds)
    winner = leaderboard(runs).iloc[0]
    run = max((run for run in runs if run.model == winner["model"]), key=lambda run: run.best_score)
    folder = Path(config.runs) / run.model / str(run.seed)
    candidate = Candidate(
        dataset=run.dataset,
        model=run.model,
        seed=run.seed,
        run_id=run.run_id,
        model_uri=model_uri(open_store(), run.run_id),
        score=float(winner[run.monitor]),
        monitor=run.monitor,
        checksum=PreparedData(Path(config.data)).checksum,
        folder=folder / "model",
    )
    decision = register(candidate, sample_texts(Path(config.raw), source))
    Path(config.output).mkdir(parents=True, exist_ok=True)
    write_json(Path(config.output) / "champion.json", decision)
    print(f"{candidate.dataset} version {decision['version']}: {decision['reason']}")


if __name__ == "__main__":
    main()
