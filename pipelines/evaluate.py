"""Evaluate stage: a trained model on the test split; or every model and seed of a plan."""

from _stage import stage
from omegaconf import DictConfig


@stage
def main(config: DictConfig) -> None:
    from unroll.config import plain

    if config.plan is not None:
        from unroll.plan.all_runs import evaluate_all

        evaluate_all(config)
        return

    from unroll.plan.evaluate import Evaluation, evaluate_run

    metrics = evaluate_run(Evaluation(plain(config)))
    print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
