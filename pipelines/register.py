"""Register stage: the model with the best mean validation score becomes a version of the registered model."""

from dataclasses import replace
from itertools import product
from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import build_options, choice, source_of

PARAMS = "params.yaml"  # lists the runs of the pipeline


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData
    from unroll.data.raw import sample_texts
    from unroll.evaluation.runs import read_runs
    from unroll.plan.plan import read_plan
    from unroll.plan.train import present_files, present_inputs
    from unroll.registry.candidate import Candidate
    from unroll.registry.gate import Gate
    from unroll.registry.versions import register_best

    dataset, source, gate = choice("dataset"), source_of(config), build_options(Gate, config)
    chosen = read_plan(config.plan, source.task)
    pipeline = read_plan(PARAMS if Path(PARAMS).is_file() else None, source.task)
    planned = set(product(pipeline.models or [], pipeline.seeds or []))
    folder, raw = Path(config.runs), Path(config.raw)
    runs = read_runs(folder, chosen.models, chosen.seeds)
    candidate = Candidate.of(runs, folder, raw, PreparedData(Path(config.data)))
    candidate = replace(candidate, planned=planned, inputs=present_inputs, files=present_files)
    done = register_best(dataset, candidate, runs, gate, sample_texts(raw, source), Path(config.output))
    print(f"{done.registered_model} version {done.version}: {done.reason}")


if __name__ == "__main__":
    main()
