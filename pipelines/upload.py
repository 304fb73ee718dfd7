"""Uploads what is missing from MLflow of the runs on this disk. Not a stage of the pipeline: run by hand."""

from pathlib import Path

from _stage import stage
from omegaconf import DictConfig


@stage
def main(config: DictConfig) -> None:
    from unroll.tracking.upload import upload_all

    roots = ["models", "multirun", "reproduced"] if config.folder is None else [config.folder]
    upload_all([Path(root) for root in roots])


if __name__ == "__main__":
    main()
