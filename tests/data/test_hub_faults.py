"""Faults of a Hub: their effect on the download, and on the next one."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.hub_download import Download, assert_refused, to_raw
from tests.fork_server import bin_folder
from tests.loopback_hub import OLD, Hub, corrupt, drop, refuse, trickle, truncate

Run = Callable[..., Download]

TRAIN = "train-00000-of-00001.parquet"
REVIEWS = ("dataset.path=acme/reviews", f"dataset.revision={OLD}")


def assert_arrived(done: Download, hub: Hub) -> None:
    """All rows are present, and the manifest contains the checksum of the file on the Hub."""
    assert done.status == 0, done
    assert done.manifest["splits"]["train"]["rows"] == 2
    original = hub.repositories["acme/reviews"][OLD] / "data" / TRAIN
    assert done.manifest["files"][f"data/{TRAIN}"] == hashlib.sha256(original.read_bytes()).hexdigest()


@pytest.mark.parametrize("fault", [drop, truncate], ids=["dropped", "truncated"])
def test_a_file_that_came_in_part_is_completed(hub: Hub, download: Run, fault: Callable[..., None]) -> None:
    hub.faults[TRAIN] = [fault]
    done = download(hub.endpoint, *REVIEWS)
    if done.status:  # a truncated file is an error, and complete after the next run
        assert_refused(done, "acme/reviews")
        done = download(hub.endpoint, *REVIEWS)
    assert_arrived(done, hub)


def test_a_file_corrupted_on_its_way_is_fetched_again(hub: Hub, download: Run) -> None:
    hub.faults[TRAIN] = [corrupt]
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)
    assert hub.requests.count(f"GET {TRAIN}") == 2


def test_a_file_corrupted_twice_is_an_error_that_the_next_run_heals(hub: Hub, download: Run) -> None:
    hub.faults[TRAIN] = [corrupt, corrupt]
    assert_refused(download(hub.endpoint, *REVIEWS), f"data/{TRAIN}", "SHA-256", "twice")
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def cached(hub_home: Path) -> Path:
    """The cached training file."""
    return next((hub_home / "hub").rglob(TRAIN)).resolve()


def test_a_cached_file_that_was_damaged_is_fetched_again(hub: Hub, download: Run, tmp_path: Path) -> None:
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)
    file = cached(tmp_path / "cache")
    file.write_bytes(file.read_bytes()[::-1])
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_offline_a_damaged_cached_file_is_an_error_and_fetched_when_online_again(
    hub: Hub, download: Run, tmp_path: Path
) -> None:
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)
    (tmp_path / "data/raw/rotten_tomatoes/manifest.json").unlink()
    file = cached(tmp_path / "cache")
    file.write_bytes(file.read_bytes()[::-1])
    assert download(hub.endpoint, *REVIEWS, HF_HUB_OFFLINE="1").status == 1
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_small_file_which_has_git_s_checksum_is_checked_too(hub: Hub, download: Run, tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        (folder / f"{split}.csv").write_text(f"text,label\n{split} good,1\n{split} bad,0\n")
    hub.repositories["acme/csv"] = {OLD: folder}
    hub.faults["train.csv"] = [corrupt]
    done = download(hub.endpoint, "dataset.path=acme/csv", f"dataset.revision={OLD}")
    assert done.status == 0, done
    checksum = hashlib.sha256((folder / "train.csv").read_bytes()).hexdigest()
    assert done.manifest["files"]["train.csv"] == checksum


@pytest.mark.parametrize("subject", ["revision", TRAIN])
def test_a_hub_that_asks_to_wait_is_asked_again(hub: Hub, download: Run, subject: str) -> None:
    hub.faults[subject] = [refuse(429, Retry_After="1")]
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_hub_that_asks_to_wait_for_an_hour_is_an_error(hub: Hub, download: Run) -> None:
    hub.faults["revision"] = [refuse(429, Retry_After="3600")]
    assert_refused(download(hub.endpoint, *REVIEWS), "acme/reviews", "429")


@pytest.mark.parametrize("status", [500, 503, 404])
def test_a_file_that_is_refused_is_an_error_and_the_next_run_completes(hub: Hub, download: Run, status: int) -> None:
    hub.faults[TRAIN] = [refuse(status)]
    assert_refused(download(hub.endpoint, *REVIEWS), "acme/reviews", str(status))
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_private_dataset_needs_its_token(hub: Hub, download: Run) -> None:
    hub.token = "hf_secret"
    assert_refused(download(hub.endpoint, *REVIEWS), "acme/reviews", "HF_TOKEN")
    assert_refused(download(hub.endpoint, *REVIEWS, HF_TOKEN="hf_wrong"), "acme/reviews", "HF_TOKEN")
    assert_arrived(download(hub.endpoint, *REVIEWS, HF_TOKEN="hf_secret"), hub)


@pytest.mark.parametrize("subject", ["revision", TRAIN])
def test_a_hub_that_trickles_ends_in_seconds_and_the_next_run_completes(hub: Hub, download: Run, subject: str) -> None:
    hub.faults[subject] = [trickle]
    done = download(hub.endpoint, *REVIEWS)
    assert done.status == 1, done  # the whole body would take minutes, and then succeed
    assert f"; the Hub at {hub.endpoint} cannot be reached" in done.errors
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_hub_that_vanishes_in_mid_file_is_an_error_and_the_next_run_completes(hub: Hub, download: Run) -> None:
    hub.faults[TRAIN] = [drop] * 20
    done = download(hub.endpoint, *REVIEWS)
    hub.faults.clear()
    if done.status:
        assert "error: " in done.errors and hub.endpoint in done.errors
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_download_that_was_killed_is_completed_by_the_next_run(
    hub: Hub, download: Run, project: Path, tmp_path: Path
) -> None:
    hub.faults[TRAIN] = [trickle]
    killed = subprocess.Popen(
        [bin_folder() / "python", project / "pipelines/download.py", *to_raw(tmp_path), *REVIEWS],
        env=os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "cache")},
    )
    while f"GET {TRAIN}" not in hub.requests:
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert_arrived(download(hub.endpoint, *REVIEWS), hub)


def test_a_pinned_checksum_is_checked(hub: Hub, download: Run) -> None:
    original = hub.repositories["acme/reviews"][OLD] / "data" / TRAIN
    right = hashlib.sha256(original.read_bytes()).hexdigest()
    pin = f"+dataset.sha256={{data/{TRAIN}: %s}}"
    refused = download(hub.endpoint, *REVIEWS, pin % ("0" * 64))
    assert_refused(refused, f"data/{TRAIN}", right, "dataset.sha256", "0" * 64)
    assert_arrived(download(hub.endpoint, *REVIEWS, pin % right), hub)


def test_a_pinned_file_that_is_not_there_is_named(hub: Hub, download: Run) -> None:
    refused = download(hub.endpoint, *REVIEWS, "+dataset.sha256={nothing.parquet: %s}" % ("0" * 64))
    assert_refused(refused, "'nothing.parquet'", f"data/{TRAIN}")
