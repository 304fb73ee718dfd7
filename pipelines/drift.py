"""Compares new text with the training data. Not a stage of the pipeline: run by hand or by a scheduler."""

from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import build_options, source_of


@stage
def main(config: DictConfig) -> None:
    from unroll.drift.drift import DriftOptions, find_drift, report
    from unroll.files import make_folder, write_json

    options = build_options(DriftOptions, config)
    drift = find_drift(source_of(config), options)
    make_folder(Path(options.output).parent)
    write_json(Path(options.output), drift.facts())
    print(report(drift))


if __name__ == "__main__":
    main()
