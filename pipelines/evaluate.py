"""Evaluate stage: a trained model on the test split, once."""

from pathlib import Path

from omegaconf import DictConfig

from unroll.config.build import build_options
from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.data.prepared import PreparedData

    data, run = PreparedData(Path(config.data)), Path(config.run)

    from unroll.evaluation.evaluate import EvaluateOptions, evaluate
    from unroll.tracking.offline import tolerating
    from unroll.tracking.upload import upload

    metrics = evaluate(data, run, build_options(EvaluateOptions, config))
    print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    with tolerating(f"the evaluation in {run}"):
        upload(run)


if __name__ == "__main__":
    main()
