"""Train stage: one model on one dataset with one seed, as one MLflow run."""

import os
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

    from pytorch_lightning.loggers import MLFlowLogger

    from unroll.tracking.models import log_model
    from unroll.tracking.runs import training_run
    from unroll.training.train import abandoned_without_checkpoint, discard_checkpoints, open_checkpoints, train

    names = HydraConfig.get().runtime.choices
    identity = {"dataset": names["dataset"], "task": data.task, "model": names["model"], "seed": config.seed}
    record = open_checkpoints(output, data, parts, options) / "run.json"
    with (
        abandoned_without_checkpoint(output),
        training_run(names["dataset"], config.run_name, plain(config), data, record) as run,
    ):
        logger = MLFlowLogger(run_id=run.run_id, tracking_uri=run.client.tracking_uri)
        result = train(data, parts, options, output, logger)
        log_model(run, output / "model")
        run.log_metrics({"parameters": result["parameters"], "training_seconds": result["training_seconds"]})
        write_json(output / "run.json", {**identity, "run_id": run.run_id, **result})
    discard_checkpoints(output)
    print(f"{output}: best {result['monitor']} {result['best_score']:.4f} in epoch {result['best_epoch']}")


if __name__ == "__main__":
    main()
