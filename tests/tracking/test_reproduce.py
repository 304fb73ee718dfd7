from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tiny import save_random_model
from tests.tracking.repository import commit_everything
from tests.tracking.trained import make_provenance, run_of, train_pretending, write_record
from tests.training.pretrained_folders import save_vectors
from unroll.data.prepared import PreparedData
from unroll.tracking.provenance import Provenance
from unroll.tracking.reproduce import code_remarks, compare, differences, read_provenance, scores, unequal_files
from unroll.tracking.store import open_experiment, open_store
from unroll.tracking.upload import upload


@pytest.fixture
def config(reviews: PreparedData) -> dict[str, Any]:
    model = {"hidden_size": 5, "dropout": 0.5}
    return {"data": str(reviews.folder), "model": model, "output": "models/here", "run_name": "gru-3"}


@pytest.fixture
def then(repository: Path, reviews: PreparedData, config: dict[str, Any]) -> Provenance:
    return make_provenance(reviews, config=config)


def test_nothing_differs_where_nothing_changed(then: Provenance, config: dict[str, Any]) -> None:
    elsewhere = config | {"output": "reproduced/there", "run_name": "gru-3-again", "reproduces": "0" * 32}
    assert differences(then, elsewhere) == []
    assert code_remarks(then) == [
        f"commit {then.tags['mlflow.source.git.commit']}, unchanged, with the same code and configuration"
    ]


def test_parameters_that_differ_are_named_with_both_values(then: Provenance, config: dict[str, Any]) -> None:
    today = config | {"model": {"hidden_size": 6, "layers": [1, 2]}}
    assert differences(then, today) == [
        "parameter model.dropout: 0.5 → absent",
        "parameter model.hidden_size: 5 → 6",
        "parameter model.layers: absent → [1, 2]",
    ]


def test_packages_that_differ_are_named_with_both_versions(then: Provenance, config: dict[str, Any]) -> None:
    others = then.packages | {"torch": "1.0", "gone": "2.0"}
    del others["numpy"]
    assert differences(replace(then, packages=others), config) == [
        "package gone: 2.0 → absent",
        f"package numpy: absent → {then.packages['numpy']}",
        f"package torch: 1.0 → {then.packages['torch']}",
    ]


def test_other_data_are_a_difference(then: Provenance, config: dict[str, Any], topics: PreparedData) -> None:
    old, new = then.tags["dataset.checksum"], topics.checksum
    found = differences(then, config | {"data": str(topics.folder)})
    assert f"data checksum: {old} → {new}" in found


def test_data_that_are_not_prepared_name_the_command(then: Provenance, config: dict[str, Any]) -> None:
    found = differences(then, config | {"data": "data/prepared/reviews"})
    assert any(line.startswith("data: data/prepared/reviews") and "pipelines/prepare.py" in line for line in found)


def test_other_pretrained_weights_under_the_same_name_are_a_difference(
    repository: Path, reviews: PreparedData, config: dict[str, Any]
) -> None:
    made = [save_vectors(repository / f"{scale}", ["good"], scale=scale) for scale in (1.0, 2.0)]
    (repository / "name").symlink_to(made[0])
    config |= {"pretrained": str(repository / "name"), "model": {"_target_": "unroll.nn.SequenceModel"}}
    then = make_provenance(reviews, config=config)
    assert differences(then, config) == []
    (repository / "name").unlink()
    (repository / "name").symlink_to(made[1])
    (found,) = differences(then, config)
    assert found.startswith(f"weights pretrained.checksum: {then.tags['pretrained.checksum']} → ")
    (repository / "name").unlink()
    (found,) = differences(then, config)
    assert found.startswith("data: pretrained=") and "accepted: " in found


def test_code_that_differs_is_named_and_configuration_is_judged_by_its_values(
    repository: Path, then: Provenance, config: dict[str, Any]
) -> None:
    (repository / "src/net.py").write_text("two")
    (repository / "conf/train.yaml").write_text("two")
    assert differences(then, config) == ["code src/net.py"]
    assert code_remarks(then)[1:] == ["not committed now: conf/train.yaml, src/net.py"]


def test_a_commit_of_no_code_is_no_difference_and_is_said(
    repository: Path, then: Provenance, config: dict[str, Any]
) -> None:
    (repository / "README.md").write_text("two")
    commit = commit_everything(repository)
    assert differences(then, config) == []
    (said,) = code_remarks(then)
    assert said.endswith(f"→ {commit}, with the same code and configuration")


def test_code_that_was_not_committed_then_is_said_and_is_compared(
    repository: Path, reviews: PreparedData, config: dict[str, Any]
) -> None:
    (repository / "src/net.py").write_text("two")
    then = make_provenance(reviews, config=config)
    assert differences(then, config) == []
    assert code_remarks(then)[1:] == ["not committed then: src/net.py", "not committed now: src/net.py"]
    (repository / "src/net.py").write_text("one")
    assert differences(then, config) == ["code src/net.py"]


def test_code_that_changed_during_the_training_is_a_difference(
    repository: Path, then: Provenance, config: dict[str, Any]
) -> None:
    (repository / "src/net.py").write_text("two")
    mixed = then.resumed()
    (repository / "src/net.py").write_text("one")
    assert differences(mixed, config) == ["code: changed while the run was trained (code src/net.py)"]


def test_a_commit_that_cannot_be_seen_is_a_difference(then: Provenance, config: dict[str, Any]) -> None:
    elsewhere = replace(then, tags=then.tags | {"mlflow.source.git.commit": "0" * 40})
    assert differences(elsewhere, config) == [
        f"code: commit {'0' * 40} is not in this repository; `git fetch` may find it"
    ]
    del elsewhere.tags["mlflow.source.git.commit"]
    assert "outside a git repository" in differences(elsewhere, config)[0]


def test_a_run_records_what_it_was_trained_with(reviews: PreparedData, tmp_path: Path) -> None:
    folder = train_pretending(reviews, tmp_path / "gru" / "3")
    provenance = read_provenance(open_store(), run_of(folder).run_id)
    assert provenance == Provenance.load(folder / "training")
    assert provenance.overrides == ["model=gru", "seed=3"]


def test_a_run_that_is_no_training_is_named() -> None:
    client = open_store()
    run_id = client.create_run(open_experiment(client, "others")).info.run_id
    with pytest.raises(ValueError, match=f"run {run_id} has no artifacts training/"):
        read_provenance(client, run_id)
    with pytest.raises(ValueError, match="run nonsense is not in the MLflow store"):
        read_provenance(client, "nonsense")


@pytest.fixture
def trained(reviews: PreparedData, tmp_path: Path) -> Path:
    folder = train_pretending(reviews, tmp_path / "gru" / "3")
    upload(folder)
    return folder


def test_equal_trainings_have_equal_scores_and_files(trained: Path) -> None:
    client, run_id = open_store(), run_of(trained).run_id
    compared = scores(client, run_id, trained)
    assert [(score.epoch, score.name) for score in compared] == [
        (epoch, name) for epoch in (1, 2, 3) for name in ("train/loss", "val/loss")
    ]
    assert all(score.is_equal for score in compared)
    assert unequal_files(client, run_id, trained) == []


def test_a_score_that_differs_in_its_last_digit_is_found(trained: Path) -> None:
    history = pd.read_csv(trained / "history.csv")
    history.loc[1, "train/loss"] = 0.30000000000000010
    history.to_csv(trained / "history.csv", index=False, na_rep="nan")
    (unequal,) = [it for it in scores(open_store(), run_of(trained).run_id, trained) if not it.is_equal]
    assert (unequal.epoch, unequal.name, unequal.then) == (2, "train/loss", 0.30000000000000004)


def test_an_epoch_more_or_less_is_found(trained: Path) -> None:
    lines = (trained / "history.csv").read_text().splitlines()
    (trained / "history.csv").write_text("\n".join([*lines[:3], lines[3].replace("3", "4", 1)]) + "\n")
    unequal = [it for it in scores(open_store(), run_of(trained).run_id, trained) if not it.is_equal]
    assert {it.epoch for it in unequal} == {3, 4}
    assert all((it.then is None) == (it.epoch == 4) for it in unequal)


def test_a_model_with_other_weights_is_found(trained: Path, reviews: PreparedData) -> None:
    save_random_model(reviews, trained / "model", seed=1)
    assert unequal_files(open_store(), run_of(trained).run_id, trained) == ["weights.safetensors"]


def test_a_difference_names_the_devices_if_they_differ(trained: Path, reviews: PreparedData) -> None:
    """As for a run of a GPU that is reproduced on a CPU."""
    client, run_id = open_store(), run_of(trained).run_id
    write_record(trained, reviews, run_id, device="cpu")
    save_random_model(reviews, trained / "model", seed=1)
    client.set_tag(run_id, "device", "cuda (NVIDIA H100)")
    said = r"weights\.safetensors not equal, trained on cuda \(NVIDIA H100\) then and on cpu now; see "
    with pytest.raises(ValueError, match=said):
        compare(client, run_id, trained)
    client.set_tag(run_id, "device", "cpu")
    with pytest.raises(ValueError, match=r"weights\.safetensors not equal; see "):
        compare(client, run_id, trained)


def test_a_run_without_a_model_is_named(reviews: PreparedData, tmp_path: Path) -> None:
    folder = train_pretending(reviews, tmp_path / "gru" / "3")
    with pytest.raises(ValueError, match="has no model"):
        unequal_files(open_store(), run_of(folder).run_id, folder)
