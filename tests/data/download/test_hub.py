"""The true download path against a Hub on this machine: `pipelines/download.py` with HF_ENDPOINT set to it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.hub_answer import Prediction, assert_refused
from tests.loopback_hub import NEW, OLD, Hub


def test_a_pinned_commit_arrives_and_the_manifest_says_so(hub: Hub, download: Callable[..., Prediction]) -> None:
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert answer.status == 0, answer
    assert answer.output.splitlines()[0] == "data/raw/rotten_tomatoes: train 2 rows"
    assert answer.manifest["commit"] == answer.manifest["revision"] == OLD
    assert answer.manifest["label_names"] == ["bad", "good"]


def test_a_branch_is_resolved_to_its_commit_and_later_served_from_the_cache(
    hub: Hub, download: Callable[..., Prediction]
) -> None:
    overrides = ("dataset.path=acme/reviews", "dataset.revision=main")
    answer = download(hub.endpoint, *overrides)
    assert answer.status == 0, answer
    assert answer.manifest["revision"] == "main"
    assert answer.manifest["commit"] == NEW
    assert answer.manifest["splits"]["train"]["rows"] == 3

    (answer.raw / "rotten_tomatoes/manifest.json").unlink()
    hub.broken = 500
    assert download(hub.endpoint, *overrides).status == 1
    again = download(hub.endpoint, *overrides[:1], f"dataset.revision={NEW}", HF_HUB_OFFLINE="1")
    assert again.status == 0, again
    assert again.manifest["commit"] == NEW


def test_an_unknown_repository_is_named(hub: Hub, download: Callable[..., Prediction]) -> None:
    assert_refused(download(hub.endpoint, "dataset.path=acme/nothing"), "dataset.path='acme/nothing'", hub.endpoint)


@pytest.mark.parametrize("revision", ["v7", "c" * 40])
def test_an_unknown_revision_is_named(hub: Hub, download: Callable[..., Prediction], revision: str) -> None:
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={revision}")
    assert_refused(answer, f"dataset.revision='{revision}'", "acme/reviews")


def test_a_failing_hub_ends_in_seconds(hub: Hub, download: Callable[..., Prediction]) -> None:
    hub.broken = 500
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(answer, "dataset.path='acme/reviews'", hub.endpoint, "500")


def test_a_silent_hub_ends_in_seconds(hub: Hub, download: Callable[..., Prediction]) -> None:
    hub.silent = True
    answer = download(hub.endpoint, "dataset.path=acme/reviews", f"dataset.revision={OLD}")
    assert_refused(answer, f"the Hub at {hub.endpoint} cannot be reached", "dataset.path=FOLDER")


def test_an_unreachable_hub_ends_in_seconds(download: Callable[..., Prediction]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        answer = download(endpoint)
    assert_refused(answer, f"the Hub at {endpoint} cannot be reached", "dataset.path=FOLDER")


def test_offline_without_a_cached_copy_is_an_error(download: Callable[..., Prediction]) -> None:
    answer = download("http://hub.invalid", HF_HUB_OFFLINE="1")
    assert_refused(answer, "cornell-movie-review-data/rotten_tomatoes", "HF_HUB_OFFLINE")


def test_a_hub_behind_a_proxy_is_reached(hub: Hub, download: Callable[..., Prediction]) -> None:
    answer = download(
        "http://hub.invalid", "dataset.path=acme/reviews", f"dataset.revision={OLD}", HTTP_PROXY=hub.endpoint
    )
    assert answer.status == 0, answer
    assert answer.manifest["commit"] == OLD


def test_rotten_tomatoes_as_configured(
    hub: Hub, download: Callable[..., Prediction], project: Path, shared_datasets: Path
) -> None:
    pinned = "aa13bc287fa6fcab6daf52f0dfb9994269ffea28"
    repository = "cornell-movie-review-data/rotten_tomatoes"
    hub.repositories[repository] = {pinned: shared_datasets / "rotten_tomatoes"}
    answer = download(hub.endpoint)
    assert answer.status == 0, answer
    manifest = answer.manifest
    assert (manifest["path"], manifest["commit"]) == (repository, pinned)
    assert manifest["label_names"] == ["neg", "pos"]
    assert {split: facts["rows"] for split, facts in manifest["splits"].items()} == {
        "train": 8530,
        "validation": 1066,
        "test": 1066,
    }
