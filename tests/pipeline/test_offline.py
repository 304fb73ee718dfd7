"""An MLflow server that stops during a training, by refusing or by hanging, and is started again."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.fork_server import bin_folder
from tests.pipeline.conftest import Project, copy_project
from tests.pipeline.tracking_server import TrackingServer
from tests.tiny import prepare_tiny
from unroll.files import read_json

pytestmark = pytest.mark.xdist_group("offline")  # one process: the server is stopped and started again

EPOCHS = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_tiny("classification", tmp_path_factory.mktemp("tiny")).folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    with TrackingServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, server: TrackingServer) -> Project:
    """A checkout that logs to the server."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    project.environment["MLFLOW_TRACKING_URI"] = server.address
    return project


def train_and_stop(project: Project, options: str, stop: Callable[[], None]) -> str:
    """Train, and `stop` the server after the second epoch; return what was printed."""
    command = [str(bin_folder() / "python"), "pipelines/train.py", *options.split()]
    command += [f"trainer.max_epochs={EPOCHS}", f"patience={EPOCHS}"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=project.root, env=project.environment, **streams) as training:
        lines: list[str] = []
        for printed in training.stdout:
            if printed.startswith("epoch 2/"):
                stop()
            lines.append(printed)
    assert training.returncode == 0, "".join(lines)
    return "".join(lines)


@pytest.mark.parametrize(("event", "comeback", "model"), [("kill", "start", "gru"), ("hang", "wake", "elman")])
def test_a_training_whose_server_goes_away_ends_and_is_uploaded_later(
    project: Project, data: Path, server: TrackingServer, event: str, comeback: str, model: str
) -> None:
    options, run_folder = f"data={data} model={model}", f"models/demo_reviews/{model}/1"
    said = train_and_stop(project, options, getattr(server, event))
    assert said.count("training continues without it") == 1
    assert said.count("python pipelines/upload.py") == 1
    assert "Traceback" not in said

    assert "warning: the evaluation in" in project.ok(f"python pipelines/evaluate.py {options}")
    folder = project.root / run_folder
    for file in ("model/weights.safetensors", "history.csv", "run.json", "metrics.json", "predictions.parquet"):
        assert (folder / file).is_file()

    upload = f"python pipelines/upload.py folder={run_folder}"
    down = project.run(upload)
    assert (down.returncode, "cannot be used" in down.stderr, "Traceback" in down.stderr) == (1, True, False)

    getattr(server, comeback)()
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    uploaded = project.ok(upload)
    assert (
        f"{run_folder}: uploaded" in uploaded
        and f"of {EPOCHS} epochs, figures, model, evaluation, pictures, end" in uploaded
    )
    assert "nothing is missing: MLflow has all of 1 runs" in project.ok(upload)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before

    client, run_id = MlflowClient(server.address), read_json(folder / "run.json")["run_id"]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert read_json(folder / "metrics.json").items() <= run.data.metrics.items()
    for name in ("train/loss", "val/loss", "val/accuracy"):
        points = client.get_metric_history(run_id, name)
        assert sorted(point.step for point in points) == list(range(1, EPOCHS + 1))
    files = {file.path for file in client.list_artifacts(run_id, "evaluation")}
    assert {"evaluation/predictions.parquet", "evaluation/confusion.png"} <= files


class Failing(BaseHTTPRequestHandler):
    """A server that returns its experiments and fails at every other request."""

    def answer(self) -> None:
        body = json.dumps({"experiments": []} if "experiments" in self.path else {"message": "disk full"}).encode()
        self.send_response(200 if "experiments" in self.path else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_a_registry_that_fails_is_one_line(project: Project) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as failing:
        threading.Thread(target=failing.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{failing.server_port}"
        done = project.run("python pipelines/rollback.py dataset=demo_reviews", MLFLOW_TRACKING_URI=address)
        failing.shutdown()
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert f"error: MLFLOW_TRACKING_URI='{address}'" in done.stderr
    assert "disk full" in done.stderr
