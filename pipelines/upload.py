"""Brings to MLflow what it lacks of the runs on this disk, for a store that was away. No stage of the pipeline."""

from pathlib import Path

from omegaconf import DictConfig

from unroll.stage import stage


@stage
def main(config: DictConfig) -> None:
    from unroll.exceptions import StoreUnavailable
    from unroll.tracking.offline import requiring
    from unroll.tracking.store import open_store
    from unroll.tracking.upload import run_folders, upload

    roots = [Path("models"), Path("multirun"), Path("reproduced")] if config.folder is None else [Path(config.folder)]
    folders = run_folders(*roots)
    if not folders:
        raise ValueError(
            f"folder={' and '.join(map(str, roots))}: no finished training there; accepted: a folder with some"
        )
    open_store()  # an address that is no store's is an error of no run
    lacking = failed = 0
    for folder in folders:
        try:
            with requiring():
                lacked = upload(folder)
        except StoreUnavailable:
            raise
        except ValueError as error:
            failed += 1
            print(f"{folder}: not uploaded: {error}", flush=True)
            continue
        if lacked:
            lacking += 1
            print(f"{folder}: uploaded {', '.join(lacked)}", flush=True)
    if not lacking and not failed:
        print(f"nothing is missing: MLflow has all of {len(folders)} runs")
    if failed:
        raise ValueError(f"{failed} of {len(folders)} runs were not uploaded, for the reasons above")


if __name__ == "__main__":
    main()
