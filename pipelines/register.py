"""Register stage: the model with the best mean validation score, as a version of the registered model."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import build_options, optional_path, source_of
from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.config.plan import read_plan
    from unroll.data.prepared import PreparedData
    from unroll.data.raw import sample_texts
    from unroll.evaluation.runs import check_scored_on, read_runs
    from unroll.files import write_json, write_text
    from unroll.registry.candidate import Candidate
    from unroll.registry.gate import Gate
    from unroll.registry.versions import register
    from unroll.tracking.offline import requiring

    gate, source = build_options(Gate, config), source_of(config)
    plan = read_plan(optional_path(config.plan), source.task)
    runs, data = read_runs(Path(config.runs), plan.models, plan.seeds), PreparedData(Path(config.data))
    check_scored_on(runs, data)
    dataset = HydraConfig.get().runtime.choices["dataset"]
    if runs[0].dataset != dataset:
        raise ValueError(f"runs={config.runs} are of {runs[0].dataset}; accepted with dataset={dataset}: runs of that")
    candidate = Candidate.of(runs, Path(config.runs), Path(config.raw), data)
    texts = sample_texts(candidate.raw, source)
    with requiring():
        registration = register(candidate, runs, gate, texts)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "champion.json", registration.facts())
    write_text(output / "model_card.md", registration.card)
    print(f"{registration.registered_model} version {registration.version}: {registration.reason}")


if __name__ == "__main__":
    main()
