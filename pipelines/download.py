"""Download stage: a dataset from the Hub or a folder, as parquet with a manifest."""

from pathlib import Path

from _stage import stage
from omegaconf import DictConfig

from unroll.config import source_of


@stage
def main(config: DictConfig) -> None:
    from unroll.data.download.download import download

    manifest = download(source_of(config), Path(config.output))
    for split, facts in manifest["splits"].items():
        print(f"{config.output}: {split} {facts['rows']:,} rows")


if __name__ == "__main__":
    main()
