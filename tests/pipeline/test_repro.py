"""A complete `dvc repro`, and a second one after an edit."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.pipeline.conftest import Project
from unroll.files import sha256
from unroll.registry.registered_model import RegisteredModel

pytestmark = pytest.mark.xdist_group("pipeline")  # one process: the project is reproduced once

RUNS = [
    ("demo_reviews", "fcnn"),
    ("demo_reviews", "lstm"),
    ("demo_entities", "fcnn"),
    ("demo_entities", "bilstm"),
]


@contextmanager
def edited(path: Path, pattern: str, replacement: str) -> Iterator[None]:
    """Replace text in the file during the block."""
    before = path.read_text()
    after = re.sub(pattern, replacement, before)
    assert after != before
    path.write_text(after)
    try:
        yield
    finally:
        path.write_text(before)


def stages_run(printed: str) -> list[str]:
    return re.findall(r"^Running stage '(.+)':$", printed, re.MULTILINE)


def trained(printed: str) -> dict[str, str]:
    """By dataset, how many of its runs a stage had to train: ``1 of 2``."""
    return dict(re.findall(r"^(\w+): (\d+ of \d+) runs to be trained", printed, re.MULTILINE))


def changes(project: Project) -> dict[str, object]:
    """By stage, the changes for which DVC would run it again."""
    printed = project.ok("dvc status --json")
    found: dict[str, object] = json.loads(printed)
    return found


@pytest.fixture(scope="session")
def client(reproduced: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{reproduced.root}/mlflow.db")


@pytest.mark.parametrize(("dataset", "model"), RUNS)
def test_every_run_leaves_its_model_scores_and_predictions(reproduced: Project, dataset: str, model: str) -> None:
    folder = reproduced.root / "models" / dataset / model / "1"
    assert (folder / "model/weights.safetensors").is_file()
    assert (folder / "predictions.parquet").is_file()
    metric = "test/f1" if dataset == "demo_entities" else "test/accuracy"
    assert 0 <= json.loads((folder / "metrics.json").read_text())[metric] <= 1
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("dataset", ["demo_reviews", "demo_entities"])
def test_each_dataset_has_a_leaderboard_and_a_page(reproduced: Project, dataset: str) -> None:
    report = reproduced.root / "reports" / dataset
    assert len((report / "leaderboard.csv").read_text().splitlines()) == 3
    page = (report / "index.html").read_text()
    assert "<svg" in page
    assert not re.search(r'(src|href)="https?://', page)


def test_nothing_runs_again_when_nothing_changed(reproduced: Project) -> None:
    reproduced.ok("dvc repro")  # other tests train by hand in the same folders
    assert changes(reproduced) == {}
    assert "Data and pipelines are up to date." in reproduced.ok("dvc repro")


def test_an_edit_is_trained_at_once_and_registered_when_it_is_committed(reproduced: Project) -> None:
    with edited(reproduced.root / "conf/model/lstm.yaml", "hidden_size: 128", "hidden_size: 8"):
        done = reproduced.run("dvc repro")
        assert done.returncode != 0
        assert "error: not committed: conf/model/lstm.yaml." in done.stderr
        ran = [stage for stage in stages_run(done.stdout) if "@demo_reviews" in stage]
        assert ran == [f"{stage}-classification@demo_reviews" for stage in ("train", "compare", "register")]
        assert trained(done.stdout)["demo_reviews"] == "1 of 2"
        reproduced.commit()
        printed = reproduced.ok("dvc repro")
        assert trained(printed).get("demo_entities", "0 of 2") == "0 of 2"
        assert [stage for stage in stages_run(printed) if "@demo_reviews" in stage] == [
            "register-classification@demo_reviews"
        ]
    reproduced.commit()
    printed = reproduced.ok("dvc repro")
    # The earlier results are restored; nothing is trained.
    assert trained(printed)["demo_reviews"] == "1 of 2"
    assert re.search(r"^\[1/1\] lstm 1 +.* kept from an earlier training$", printed, re.MULTILINE)
    assert "epoch" not in re.sub("in epoch", "", printed)


def test_a_new_seed_trains_that_seed_only(reproduced: Project) -> None:
    folder = reproduced.root / "models/demo_reviews/fcnn"
    before = (folder / "1/run.json").read_bytes()
    with edited(reproduced.root / "params.yaml", r"seeds:\n- 1", "seeds:\n- 1\n- 2"):
        assert trained(reproduced.ok("dvc repro train-classification")) == {"demo_reviews": "2 of 4"}
    assert (folder / "1/run.json").read_bytes() == before
    assert (folder / "2/metrics.json").is_file()
    for model in ("fcnn", "lstm"):
        shutil.rmtree(reproduced.root / "models/demo_reviews" / model / "2")
    assert trained(reproduced.ok("dvc repro train-classification")) == {"demo_reviews": "0 of 2"}
    assert "compare-classification@demo_reviews" not in changes(reproduced)


def test_a_changed_result_is_noticed_and_made_again(reproduced: Project) -> None:
    weights = reproduced.root / "models/demo_entities/fcnn/1/model/weights.safetensors"
    before = weights.read_bytes()
    reproduced.ok("dvc repro")
    weights.unlink()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert trained(reproduced.ok("dvc repro train-labeling")) == {"demo_entities": "1 of 2"}
    assert weights.read_bytes() == before
    assert changes(reproduced) == {}


def test_an_experiment_with_another_value_trains_that_model_only(reproduced: Project) -> None:
    printed = reproduced.ok("dvc exp run -S conf/model/lstm.yaml:hidden_size=16 compare-classification")
    assert trained(printed) == {"demo_reviews": "1 of 2"}
    assert "hidden_size: 16" in (reproduced.root / "conf/model/lstm.yaml").read_text()
    assert re.search(r"conf/model/lstm\.yaml +hidden_size +128 +16", reproduced.ok("dvc params diff"))
    reproduced.ok("git checkout -q conf && dvc repro compare-classification")


def test_what_is_registered_is_asked_of_the_store_and_not_of_the_cache(reproduced: Project) -> None:
    champion = reproduced.root / "reports/demo_entities/champion.json"
    before = champion.read_bytes()
    champion.unlink()
    assert stages_run(reproduced.ok("dvc repro register-labeling")) == ["register-labeling@demo_entities"]
    assert champion.read_bytes() == before


def test_a_comment_in_a_model_file_trains_nothing(reproduced: Project) -> None:
    with edited(reproduced.root / "conf/model/lstm.yaml", r"\A", "# a remark\n"):
        printed = reproduced.ok("dvc repro train-classification")
    assert trained(printed) == {"demo_reviews": "0 of 2"}
    assert trained(reproduced.ok("dvc repro train-classification")) == {"demo_reviews": "0 of 2"}


def test_an_edited_prepare_option_prepares_again_without_a_download(reproduced: Project) -> None:
    with edited(reproduced.root / "conf/prepare.yaml", "min_count: 1", "min_count: 2"):
        stages = stages_run(reproduced.ok("dvc repro --dry"))
    assert "prepare-labeling@demo_entities" in stages
    assert "download-labeling@demo_entities" not in stages


def test_a_removed_model_leaves_the_leaderboard(reproduced: Project) -> None:
    with edited(reproduced.root / "params.yaml", r"- fcnn\n  - lstm", "- lstm"):
        assert "compare-classification@demo_reviews" in stages_run(reproduced.ok("dvc repro --dry"))
        reproduced.ok("python pipelines/compare.py dataset=demo_reviews plan=params.yaml output=elsewhere")
    assert "fcnn" not in (reproduced.root / "elsewhere/leaderboard.csv").read_text()


@pytest.mark.parametrize(("dataset", "model"), RUNS)
def test_a_training_is_a_finished_mlflow_run_with_its_test_scores(
    reproduced: Project, client: MlflowClient, dataset: str, model: str
) -> None:
    record = reproduced.root / "models" / dataset / model / "1/run.json"
    run = client.get_run(json.loads(record.read_text())["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["model.hidden_size"] == "128"
    assert run.data.params["trainer.max_epochs"] == "1"
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert len(run.data.tags["dataset.checksum"]) == 64
    assert {"val/accuracy", "train/loss", "test/accuracy", "test/loss", "tokens_per_second"} <= set(run.data.metrics)
    assert run.inputs.dataset_inputs[0].dataset.name == dataset
    assert "evaluation" in [artifact.path for artifact in client.list_artifacts(run.info.run_id)]


@pytest.mark.parametrize("dataset", ["demo_reviews", "demo_entities"])
def test_a_comparison_is_a_run_beside_those_that_it_compares(
    reproduced: Project, client: MlflowClient, dataset: str
) -> None:
    experiment = client.get_experiment_by_name(dataset)
    assert experiment is not None
    folders = (reproduced.root / "models" / dataset).glob("*/1/run.json")
    compared = [json.loads(file.read_text())["run_id"] for file in folders]
    found = client.search_runs([experiment.experiment_id], "attributes.run_name = 'comparison'")
    (run,) = [one for one in found if all(run_id in one.data.tags["mlflow.note.content"] for run_id in compared)]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "index.html",
        "leaderboard.csv",
        "pairs.csv",
    }


def test_a_comparison_is_written_to_disk_if_the_store_cannot_be_reached(reproduced: Project) -> None:
    command = "python pipelines/compare.py dataset=demo_reviews plan=params.yaml output=elsewhere"
    said = reproduced.ok(command, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert said.count("warning: the comparison in elsewhere is missing from MLflow") == 1
    assert f"to upload it later: {command}" in said
    for name in ("leaderboard.csv", "pairs.csv", "metrics/lstm.json"):
        expected = reproduced.root / "reports/demo_reviews" / name
        assert (reproduced.root / "elsewhere" / name).read_bytes() == expected.read_bytes()
    assert "<svg" in (reproduced.root / "elsewhere/index.html").read_text()


def test_the_page_is_the_same_whether_or_not_the_database_can_be_opened(reproduced: Project) -> None:
    no_database = f"sqlite:///{reproduced.root}/params.yaml/mlflow.db"
    command = "python pipelines/compare.py dataset=demo_reviews plan=params.yaml output=elsewhere"
    assert "warning: the comparison in elsewhere" in reproduced.ok(command, MLFLOW_TRACKING_URI=no_database)
    page = reproduced.root / "reports/demo_reviews/index.html"
    assert (reproduced.root / "elsewhere/index.html").read_bytes() == page.read_bytes()


@pytest.mark.parametrize("dataset", ["demo_reviews", "demo_entities"])
def test_the_best_model_is_the_registered_champion(reproduced: Project, client: MlflowClient, dataset: str) -> None:
    champion = client.get_model_version_by_alias(dataset, "champion")
    board = pd.read_csv(reproduced.root / "reports" / dataset / "leaderboard.csv")
    best = board.filter(regex="^val/").filter(regex="^(?!.*_sd$)").iloc[0, 0]
    # At least as good: other tests train again, and only a better model replaces a champion.
    assert float(champion.tags["validation_mean"]) >= best - 1e-9


@pytest.mark.parametrize("dataset", ["demo_reviews", "demo_entities"])
def test_a_champion_has_its_lineage_and_a_card(reproduced: Project, client: MlflowClient, dataset: str) -> None:
    champion = client.get_model_version_by_alias(dataset, "champion")
    commits = reproduced.ok("git log --format=%H").split()
    lock = Path(client.download_artifacts(champion.run_id, f"registry/version-{champion.version}/dvc.lock"))
    assert champion.tags["git.commit"] in commits
    assert champion.tags["dvc.lock"] == sha256(lock)
    assert f"path: models/{dataset}" in lock.read_text()
    assert (champion.tags["dataset.path"], champion.tags["dataset.revision"]) == (f"data/demo/{dataset}", "folder")
    card = (reproduced.root / "reports" / dataset / "model_card.md").read_text()
    assert card.startswith(f"# {dataset}: ")
    assert "Licence: mit" in card


def test_a_roll_back_puts_the_champion_where_it_was(
    reproduced: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)  # where MLflow looks up a model's source
    first = client.get_model_version_by_alias("demo_entities", "champion")
    again = client.create_model_version("demo_entities", first.source, first.run_id, model_id=first.model_id)
    RegisteredModel(client, "demo_entities").make_champion(int(again.version))
    printed = reproduced.ok("python pipelines/rollback.py dataset=demo_entities")
    assert f"demo_entities: champion is version {first.version}; it was version {again.version}" in printed
    assert client.get_model_version_by_alias("demo_entities", "champion").version == first.version


def test_a_sweep_writes_to_its_own_folder_and_leaves_dvc_alone(reproduced: Project, client: MlflowClient) -> None:
    before = changes(reproduced)
    reproduced.ok("python pipelines/train.py -m model=fcnn seed=1,2 hydra.sweep.dir=multirun/here")
    for job in ("0", "1"):
        assert (reproduced.root / "multirun/here" / job / "model/weights.safetensors").is_file()
    assert changes(reproduced) == before


def test_a_sweeps_seed_repeats_the_pipelines_run_digit_for_digit(reproduced: Project) -> None:
    sweep = reproduced.root / "multirun/here/0"
    if not sweep.exists():
        reproduced.ok("python pipelines/train.py -m model=fcnn seed=1 hydra.sweep.dir=multirun/here")
    pipeline = reproduced.root / "models/demo_reviews/fcnn/1"
    for file in ("model/weights.safetensors", "model/vocabulary.json"):
        assert (sweep / file).read_bytes() == (pipeline / file).read_bytes()


def test_what_is_promoted_is_a_model_of_the_pipeline(reproduced: Project) -> None:
    small = "model=fcnn model.hidden_size=8,16 optimizer.lr=0.002"
    study = "hydra/sweeper=optuna hydra.sweeper.study=small hydra.sweeper.n_trials=2"
    printed = reproduced.ok(f"python pipelines/train.py -m {study} {small}")
    assert "params.yaml, classification: models: [fcnn, lstm, fcnn_small]" in printed
    reproduced.ok("python pipelines/promote.py study=small")
    assert "fcnn_small" in (reproduced.root / "params.yaml").read_text()
    printed = reproduced.ok("dvc repro train-classification")
    assert "demo_reviews: 1 of 3 runs to be trained, 2 are up to date" in printed
    assert re.search(r"^\[1/1\] fcnn_small 1 ", printed, re.MULTILINE)
    composed = reproduced.ok("python pipelines/train.py model=fcnn_small --cfg job --package optimizer")
    assert "lr: 0.002" in composed
    shutil.rmtree(reproduced.root / "multirun/small")


def test_a_training_that_this_machine_cannot_do_opens_no_run(reproduced: Project, client: MlflowClient) -> None:
    done = reproduced.run("python pipelines/train.py trainer=gpu run_name=no-gpu hydra.run.dir=elsewhere")
    if done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert "trainer.accelerator='gpu'" in done.stderr
    assert "Traceback" not in done.stderr
    experiment = client.get_experiment_by_name("demo_reviews")
    assert experiment is not None
    assert client.search_runs([experiment.experiment_id], "attributes.run_name = 'no-gpu'") == []
