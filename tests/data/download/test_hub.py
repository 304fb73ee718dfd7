"""`pipelines/download.py` with HF_ENDPOINT set to a local Hub."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.hub_download import Download, assert_refused
from tests.loopback_hub import NEW, OLD, Hub


def test_a_pinned_commit_is_downloaded_and_recorded_in_the_manifest(
    hub: Hub, download: Callable[..., Download]
) -> None:
    done = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert done.status == 0, done
    assert done.output.splitlines()[0] == f"{done.raw}/rotten_tomatoes: train 2 rows"
    assert done.manifest["commit"] == done.manifest["revision"] == OLD
    assert done.manifest["label_names"] == ["bad", "good"]


def test_a_branch_is_resolved_to_its_commit_and_later_served_from_the_cache(
    hub: Hub, download: Callable[..., Download]
) -> None:
    overrides = ("dataset.path=acme/reviews", "dataset.revision=main")
    done = download(hub.endpoint, *overrides)
    assert done.status == 0, done
    assert done.manifest["revision"] == "main"
    assert done.manifest["commit"] == NEW
    assert done.manifest["splits"]["train"]["rows"] == 3

    (done.raw / "rotten_tomatoes/manifest.json").unlink()
    hub.broken = 500
    assert download(hub.endpoint, *overrides).status == 1
    again = download(hub.endpoint, *overrides[:1], f"dataset.revision={NEW}", HF_HUB_OFFLINE="1")
    assert again.status == 0, again
    assert again.manifest["commit"] == NEW


def test_an_unknown_repository_is_named(hub: Hub, download: Callable[..., Download]) -> None:
    assert_refused(download(hub.endpoint, "dataset.path=acme/nothing"), "dataset.path='acme/nothing'", hub.endpoint)


@pytest.mark.parametrize("revision", ["v7", "c" * 40])
def test_an_unknown_revision_is_named(hub: Hub, download: Callable[..., Download], revision: str) -> None:
    done = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={revision}")
    assert_refused(done, f"dataset.revision='{revision}'", "acme/reviews")


def test_a_failing_hub_is_an_error_without_retries(hub: Hub, download: Callable[..., Download]) -> None:
    hub.broken = 500
    done = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(done, "dataset.path='acme/reviews'", hub.endpoint, "500")
    assert hub.requests == ["GET revision"]  # not retried


def test_a_silent_hub_is_an_error_without_retries(hub: Hub, download: Callable[..., Download]) -> None:
    hub.silent = True
    done = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(done, f"the Hub at {hub.endpoint} cannot be reached", "dataset.path=FOLDER")
    assert hub.requests == ["GET revision"]  # not retried


def test_an_unreachable_hub_is_an_error(download: Callable[..., Download]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = download(endpoint)
    assert_refused(done, f"the Hub at {endpoint} cannot be reached", "dataset.path=FOLDER")


def test_a_missing_folder_that_is_taken_for_a_repository_is_named_first(download: Callable[..., Download]) -> None:
    done = download("http://127.0.0.1:1", "dataset.path=data/nothere")
    taken = "dataset.path='data/nothere': no such folder or file here, so it was taken for a Hub repository; "
    assert_refused(done, f"error: {taken}the Hub at http://127.0.0.1:1 cannot be reached")


def test_offline_without_a_cached_copy_is_an_error(download: Callable[..., Download]) -> None:
    done = download("http://hub.invalid", HF_HUB_OFFLINE="1")
    assert_refused(done, "cornell-movie-review-data/rotten_tomatoes", "HF_HUB_OFFLINE")


def test_a_hub_behind_a_proxy_is_reached(hub: Hub, download: Callable[..., Download]) -> None:
    done = download(
        "http://hub.invalid", "dataset.path=acme/reviews", f"dataset.revision={OLD}", HTTP_PROXY=hub.endpoint
    )
    assert done.status == 0, done
    assert done.manifest["commit"] == OLD


def test_rotten_tomatoes_as_configured(
    hub: Hub, download: Callable[..., Download], project: Path, shared_datasets: Path
) -> None:
    pinned = "aa13bc287fa6fcab6daf52f0dfb9994269ffea28"
    repository = "cornell-movie-review-data/rotten_tomatoes"
    hub.repositories[repository] = {pinned: shared_datasets / "rotten_tomatoes"}
    done = download(hub.endpoint)
    assert done.status == 0, done
    manifest = done.manifest
    assert (manifest["path"], manifest["commit"]) == (repository, pinned)
    assert manifest["label_names"] == ["neg", "pos"]
    assert {split: facts["rows"] for split, facts in manifest["splits"].items()} == {
        "train": 8530,
        "validation": 1066,
        "test": 1066,
    }
