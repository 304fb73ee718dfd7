"""A model from training to its alias, with an MLflow server on PostgreSQL and its artifacts in S3."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.postgresql import POSTGRES, free_port, postgres
from tests.tiny import OPTIONS, tiny_parts
from tests.tracking.repository import commit_everything, enter
from tests.tracking.trained import make_provenance, write_record
from unroll.data.prepared import PreparedData
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.evaluation.runs import read_runs
from unroll.inference.predictor import Predictor
from unroll.registry.candidate import Candidate
from unroll.registry.gate import Gate
from unroll.registry.registered_model import RegisteredModel
from unroll.registry.versions import equal_answers, register
from unroll.tracking.logger import EpochLogger
from unroll.tracking.provenance import PROVENANCE
from unroll.tracking.runs import training_run
from unroll.tracking.upload import upload
from unroll.training.train import train

BUCKET = "mlflow"
TEXTS = ["not good today", "so very bad"]
GATE = Gate(level=0.05, margin=0.01, cheaper_by=0.1, cost="parameters")

pytestmark = pytest.mark.skipif(not POSTGRES, reason="no PostgreSQL in /usr/lib/postgresql")


@contextmanager
def s3(environment: dict[str, str]) -> Iterator[None]:
    """Serve a bucket; add the variables that a client needs to `environment`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }
    try:
        client = boto3.client(
            "s3",
            endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=BUCKET)
        yield
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """The environment variables of a client of the server."""
    port = free_port()
    environment = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    with postgres() as database, s3(environment):
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", database, "--default-artifact-root", f"s3://{BUCKET}", "--no-serve-artifacts"),
            *("--workers", "1"),
        ]
        own = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        own["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        process = subprocess.Popen(command, env=own | environment, stderr=subprocess.DEVNULL)
        try:
            wait_for(process, f"http://127.0.0.1:{port}/health")
            yield environment
        finally:
            process.terminate()
            process.wait()


def wait_for(process: subprocess.Popen[bytes], address: str) -> None:
    """Wait until a server answers."""
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            assert process.poll() is None, "the MLflow server does not start"
            time.sleep(0.2)


@pytest.fixture
def client(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client of the server, in a project with one commit."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "README.md").touch()
    commit_everything(tmp_path)
    enter(tmp_path, monkeypatch)
    return MlflowClient()


def run_pipeline(data: PreparedData, folder: Path, max_epochs: int) -> None:
    """Run the train and the evaluate stage; `folder` is models/DATASET/MODEL/SEED."""
    provenance = make_provenance(data, folder.parts[-3])
    with training_run(provenance, folder / "checkpoints" / "run.json") as run:
        result = train(data, tiny_parts("gru", max_epochs=max_epochs), OPTIONS, folder, EpochLogger(run))
        provenance.save(folder / PROVENANCE)
        write_record(folder, data, run.run_id, **result)
    evaluate(data, folder, EvaluateOptions(batch_size=8, threads=1))
    upload(folder)


def test_a_model_goes_from_training_to_champion_and_back(
    client: MlflowClient, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "reviews"
    registrations = []
    for model, max_epochs in (("first", 1), ("second", 3)):
        run_pipeline(reviews, folder / model / "1", max_epochs)
        candidate = Candidate.of(read_runs(folder, [model]), folder, reviews.folder.parent / "raw", reviews)
        registrations.append(register(candidate, candidate.runs, GATE, TEXTS))

    first, second = registrations
    assert (first.version, first.champion, second.version) == (1, True, 2)
    assert client.get_model_version("reviews", "2").tags["decision"] == second.reason
    alias = "champion" if second.champion else "challenger"
    loaded = mlflow.pyfunc.load_model(f"models:/reviews@{alias}")
    answers = loaded.predict(pd.DataFrame({"text": TEXTS})).to_dict("records")
    assert equal_answers(answers, Predictor.load(folder / "second" / "1" / "model").predict(TEXTS))

    run = client.get_run(client.get_model_version("reviews", "2").run_id)
    assert run.info.artifact_uri.startswith(f"s3://{BUCKET}/")
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/loss")] == [1, 2, 3]
    assert register(candidate, candidate.runs, GATE, TEXTS) == second  # the second time nothing changes

    before, after = RegisteredModel(client, "reviews").roll_back(version=1)
    assert (before, after) == (2 if second.champion else 1, 1)
    assert int(client.get_model_version_by_alias("reviews", "champion").version) == 1
