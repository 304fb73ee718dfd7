"""What a training prints before it starts, and what it keeps."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import OPTIONS, tiny_parts
from tests.tracking.repository import commit_everything, enter
from unroll.data.prepared import PreparedData
from unroll.files import write_json
from unroll.plan.train import Training, _keep_replaced, report_uncommitted, train_run
from unroll.run_folder import RunFolder


def test_it_names_what_is_not_committed(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    enter(tmp_path, monkeypatch)
    report_uncommitted("mine", reviews)
    assert "no model can be registered: git finds no commit" in capsys.readouterr().out
    commit_everything(tmp_path)
    report_uncommitted("mine", reviews)
    assert capsys.readouterr().out == ""
    (tmp_path / "conf/dataset").mkdir(parents=True)
    for name in ("mine", "other"):
        (tmp_path / f"conf/dataset/{name}.yaml").touch()
    report_uncommitted("mine", reviews)
    assert capsys.readouterr().out.startswith("not committed: conf/dataset/mine.yaml; to register the model, commit ")
    (tmp_path / "conf/model").mkdir()
    (tmp_path / "conf/model/other.yaml").touch()
    report_uncommitted("mine", reviews, ["conf/model/majority.yaml"])
    assert capsys.readouterr().out.startswith("not committed: conf/dataset/mine.yaml; to register the model, commit ")
    report_uncommitted("mine", reviews)
    assert "not committed: conf/dataset/mine.yaml, conf/model/other.yaml; " in capsys.readouterr().out


CONFIG = {"output": "models/reviews/gru/1", "seed": 1}
PLAIN = {"code": "a", "config": "plain", "data": "c"}


def training(**inputs: str) -> Training:
    made = Training("reviews", "gru", CONFIG, [])
    made.__dict__["inputs"] = {**PLAIN, **inputs}  # a cached property
    return made


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished training of gru as its file describes it."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(Path("models/reviews/gru/1"))
    folder.path.mkdir(parents=True)
    write_json(folder.record, {"run_id": "plain"})
    folder.stamp("trained", PLAIN)
    return folder


def test_another_configuration_of_a_model_is_kept_before_it_is_replaced(
    plain: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    _keep_replaced(training(config="wider"))
    said = capsys.readouterr().out
    assert said.startswith("models/reviews/gru/1: replaces gru with another configuration, which `dvc repro` restores")
    assert "conf/model/NAME.yaml with `defaults: [gru]`" in said
    plain.record.unlink()
    assert plain.take_back(PLAIN) and plain.record.is_file()


@pytest.mark.parametrize("inputs", [{}, {"code": "x"}])
def test_the_same_configuration_is_replaced_without_a_word(
    plain: RunFolder, capsys: pytest.CaptureFixture[str], inputs: dict[str, str]
) -> None:
    _keep_replaced(training(**inputs))
    assert capsys.readouterr().out == "" and not plain.is_kept(PLAIN)


def of_reviews(model: str, data: PreparedData, changes: dict[str, Any], *overrides: str) -> Training:
    """A training whose configuration has `changes` in its parts."""
    parts = tiny_parts(model)
    parts |= {key: parts[key] | it for key, it in changes.items()}
    others = {"data": str(data.folder), "output": "models/reviews/gru/1", "finetune": {}, "objectives": ["best_score"]}
    return Training("reviews", model, {**asdict(OPTIONS), **parts, **others}, list(overrides))


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        ("gru", {"model": {"hidden_size": -3}}, "model.hidden_size=-3; accepted: 1 or more"),
        ("gru", {"model": {"dropout": 1.5}}, "model.dropout=1.5; accepted: 0 to below 1"),
        ("gru", {"scheduler": {"warmup": 2}}, "scheduler.warmup=2; accepted: 0 to below 1"),
        ("gru", {"optimizer": {"lr": -1}}, "optimizer.lr=-1; accepted: a number above 0"),
        ("gru", {"trainer": {"precision": "bf17"}}, "trainer.precision='bf17'; accepted: 32-true"),
        ("crfsuite", {}, "model: CRFSuite is for labeling and tagging, and the dataset's task is classification"),
    ],
)
def test_a_wrong_value_ends_a_training_before_it_says_or_writes_anything(
    model: str,
    changes: dict[str, Any],
    said: str,
    reviews: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        train_run(of_reviews(model, reviews, changes))
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_a_head_that_was_typed_and_is_not_used_is_refused(reviews: PreparedData) -> None:
    with pytest.raises(ValueError, match=r"^model\.head=crf is for labeling"):
        train_run(of_reviews("gru", reviews, {"model": {"head": "crf"}}, "model=gru", "model.head=crf"))
