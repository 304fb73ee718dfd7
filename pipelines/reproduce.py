"""Trains an MLflow run again, if all is as it was then, and compares. No stage of the pipeline."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from unroll.config.compose import compose_again, override
from unroll.stage import stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

OWN = ("output=", "run_name=", "reproduces=")  # what the training again has values of its own for


@stage
def main(config: DictConfig) -> None:
    from unroll.tracking.offline import requiring
    from unroll.tracking.reproduce import code_remarks, differences, origin_of
    from unroll.tracking.store import open_store

    if config.run is None:
        raise ValueError("run=null; accepted: a training's run_id, as models/DATASET/MODEL/SEED/run.json has it")
    with requiring():
        client = open_store()
        then = origin_of(client, config.run)
    own = {"output": config.output, "run_name": f"{then.name}-again", "reproduces": config.run}
    overrides = [given for given in then.overrides if not given.startswith(OWN)]
    overrides += [override(key, text) for key, text in own.items()]
    today = compose_again("train", overrides)
    found = differences(then, today)
    print(f"run {config.run}: python pipelines/train.py {shlex.join(then.overrides)}")
    for line in code_remarks(then):
        print(line)
    for line in found:
        print(f"differs: {line}")
    if found and not config.despite_differences:
        raise ValueError(
            f"{len(found)} differences, listed above, so training again may give something else; "
            "despite_differences=true does it all the same"
        )
    print("training again" if found else "nothing differs: training again", flush=True)
    train = Path(__file__).with_name("train.py")
    folder = override("hydra.run.dir", config.output)
    trained = subprocess.run([sys.executable, str(train), *overrides, folder])
    if trained.returncode:
        raise ValueError(f"the training ended with status {trained.returncode}, for the reason above")
    with requiring():
        _compare(client, config.run, Path(config.output))


def _compare(client: "MlflowClient", run_id: str, output: Path) -> None:
    from unroll.tracking.reproduce import scores, unequal_files

    compared = scores(client, run_id, output)
    print(f"{'epoch':>5}  {'score':<14}  {'then':<20}  now")
    for score in compared:
        mark = "" if score.is_equal else "  ≠"
        print(f"{score.epoch:>5}  {score.name:<14}  {score.then!r:<20}  {score.now!r}{mark}")
    unequal = sum(not score.is_equal for score in compared)
    files = unequal_files(client, run_id, output)
    if unequal or files:
        said = [f"{unequal} of {len(compared)} scores"] * bool(unequal) + files
        raise ValueError(f"run {run_id} is not reproduced: {', '.join(said)} not equal; see {output}")
    print(f"run {run_id} is reproduced: {len(compared)} scores equal to the last digit, and every byte of the model")


if __name__ == "__main__":
    main()
