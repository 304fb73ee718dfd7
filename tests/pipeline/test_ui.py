"""MLflow's page with the runs, in a browser."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from tests.browser import needs_browser, open_page
from tests.pipeline.conftest import Project
from tests.postgresql import free_port

pytestmark = pytest.mark.xdist_group("pipeline")  # one process: the project is reproduced once


@pytest.fixture(scope="module")
def mlflow_page(reproduced: Project) -> Iterator[str]:
    """The address of `make ui`'s server."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        ["make", "ui", f"PORT={port}"],
        cwd=reproduced.root,
        env=reproduced.environment,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(address, seconds=1800)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(address: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=30).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


@needs_browser
def test_the_page_shows_an_experiments_runs(reproduced: Project, mlflow_page: str) -> None:
    experiment = MlflowClient(f"sqlite:///{reproduced.root}/mlflow.db").get_experiment_by_name("demo_entities")
    assert experiment is not None
    with open_page(f"{mlflow_page}/#/experiments/{experiment.experiment_id}/runs") as page:
        page.get_by_text("bilstm-1").first.wait_for(timeout=600_000)
        assert page.get_by_text("fcnn-1").count() > 0


def test_a_server_is_its_own_page(reproduced: Project) -> None:
    printed = reproduced.ok("make ui", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert printed == "MLflow: http://127.0.0.1:9\n"
