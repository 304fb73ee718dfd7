"""Train stage: one model on one dataset with one seed, as one MLflow run."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import build_options, plain
from unroll.config.check import check_targets
from unroll.stage import stage


@stage
def main(config: DictConfig) -> float | list[float]:
    from unroll.data.prepared import PreparedData
    from unroll.files import write_json
    from unroll.training.options import TrainOptions

    options = build_options(TrainOptions, config)
    data = PreparedData(Path(config.data))
    output = Path(os.path.relpath(config.output))
    parts = {name: plain(config[name]) for name in ("model", "optimizer", "scheduler", "trainer")}
    for name, part in parts.items():
        check_targets(part, name)

    from unroll.locks import run_lock
    from unroll.sweep.objectives import MEASURED, check_objectives, values_of
    from unroll.sweep.pruning import trial_callbacks
    from unroll.tracking.logger import EpochLogger
    from unroll.tracking.offline import impatient, tolerating
    from unroll.tracking.provenance import MIXED_CODE, PROVENANCE, Provenance
    from unroll.tracking.runs import training_run
    from unroll.tracking.sweeps import sweep_tags
    from unroll.tracking.upload import upload
    from unroll.training.cost import microseconds_per_token
    from unroll.training.train import (
        abandoned_without_checkpoint,
        discard_checkpoints,
        is_interrupted,
        open_checkpoints,
        train,
    )

    check_objectives(config.objectives)
    callbacks = trial_callbacks(config.trainer)
    hydra_config: Any = HydraConfig.get()
    names, overrides = hydra_config.runtime.choices, list(hydra_config.overrides.task)
    identity = {"dataset": names["dataset"], "task": data.task, "model": names["model"], "seed": config.seed}
    tags = sweep_tags(hydra_config) | ({"reproduces": config.reproduces} if config.reproduces else {})
    name = config.run_name + (f" #{tags['trial']}" if "trial" in tags else "")
    with run_lock(output):
        checkpoints = open_checkpoints(output, data, parts, options)
        begun = checkpoints / PROVENANCE
        if is_interrupted(output) and begun.exists():
            origin = Provenance.load(begun).resumed()
        else:
            origin = Provenance.of(names["dataset"], name, plain(config), data, overrides, tags)
        origin.save(begun)
        if MIXED_CODE in origin.tags:
            hint = f"it will not be registered; to begin anew: rm -r {checkpoints}"
            print(f"{output}: begun with other code ({origin.tags[MIXED_CODE]}), {hint}", flush=True)
        with abandoned_without_checkpoint(output), training_run(origin, checkpoints / "run.json") as run:
            logger = EpochLogger(run)
            result = train(data, parts, options, output, logger, callbacks)
            if MEASURED in config.objectives:
                result[MEASURED] = microseconds_per_token(output / "model", data, options.batch_size)
            (output / "metrics.json").unlink(missing_ok=True)  # of a model that was here before
            origin.save(output / PROVENANCE)
            write_json(output / "run.json", {**identity, "run_id": run.run_id, **result})
        with tolerating(f"all of {output}"), impatient() if logger.is_lost else nullcontext():
            upload(output)
        discard_checkpoints(output)
        print(f"{output}: best {result['monitor']} {result['best_score']:.4f} in epoch {result['best_epoch']}")
        return values_of(result, config.objectives)


if __name__ == "__main__":
    main()
