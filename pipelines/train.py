"""Train stage: one model on one dataset with one seed, as one MLflow run."""

import os
from contextlib import nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unroll.config.build import build_options, plain
from unroll.config.check import check_targets
from unroll.config.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData
    from unroll.files import write_json
    from unroll.training.options import TrainOptions

    options = build_options(TrainOptions, config)
    data = PreparedData(Path(config.data))
    output = Path(os.path.relpath(config.output))
    parts = {name: plain(config[name]) for name in ("model", "optimizer", "scheduler", "trainer")}
    for name, part in parts.items():
        check_targets(part, name)

    from unroll.tracking.logger import EpochLogger
    from unroll.tracking.offline import impatient, tolerating
    from unroll.tracking.origin import FOLDER, Origin
    from unroll.tracking.runs import training_run
    from unroll.tracking.upload import upload
    from unroll.training.train import abandoned_without_checkpoint, discard_checkpoints, open_checkpoints, train

    names, overrides = HydraConfig.get().runtime.choices, list(HydraConfig.get().overrides.task)
    identity = {"dataset": names["dataset"], "task": data.task, "model": names["model"], "seed": config.seed}
    tags = {"reproduces": config.reproduces} if config.reproduces else {}
    origin = Origin.of(names["dataset"], config.run_name, plain(config), data, overrides, tags)
    record = open_checkpoints(output, data, parts, options) / "run.json"
    with abandoned_without_checkpoint(output), training_run(origin, record) as run:
        logger = EpochLogger(run)
        result = train(data, parts, options, output, logger)
        (output / "metrics.json").unlink(missing_ok=True)  # of a model that was here before
        origin.save(output / FOLDER)
        write_json(output / "run.json", {**identity, "run_id": run.run_id, **result})
    with tolerating(f"all of {output}"), impatient() if logger.is_lost else nullcontext():
        upload(output)
    discard_checkpoints(output)
    print(f"{output}: best {result['monitor']} {result['best_score']:.4f} in epoch {result['best_epoch']}")


if __name__ == "__main__":
    main()
