"""``import unroll`` as in a notebook."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import unroll
from tests.tiny import MODELS, OPTIONS, save_random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.inference.predictor import Predictor
from unroll.training.train import train as train_parts

SMALL = {"embedding_size": 6, "casing_size": 2, "hidden_size": 8}


def test_importing_the_package_imports_nothing_else() -> None:
    program = "import json, sys; before = {*sys.modules}; import unroll; print(json.dumps([*{*sys.modules} - before]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout)
    assert [name for name in imported if name.startswith("unroll")] == ["unroll"]
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"unroll"}


def test_its_names_are_listed_and_exist() -> None:
    assert set(unroll.__all__) <= set(dir(unroll))
    assert all(hasattr(unroll, name) for name in unroll.__all__)
    assert unroll.__version__ == version("unroll")
    assert unroll.PreparedData is PreparedData
    assert unroll.Predictor is Predictor
    assert unroll.nn is sys.modules["unroll.nn"]
    with pytest.raises(AttributeError, match="module 'unroll' has no attribute 'nothing'"):
        unroll.nothing  # noqa: B018


def test_from_a_folder_of_texts_to_predictions(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    data = unroll.prepare(project / "data/demo/demo_reviews", output="prepared/demo_reviews", limit=200)
    model = unroll.build_model("bilstm", data, hidden_size=16)
    runs = [unroll.train(model, data, seed=seed, epochs=1) for seed in (1, 2)]
    scores = [unroll.evaluate(run, data) for run in runs]
    board = unroll.compare(runs)
    predictions = unroll.load(runs[0]).predict(["Not bad at all.", "Never good."])

    assert [run.path for run in runs] == [Path("runs/demo_reviews/bilstm/1"), Path("runs/demo_reviews/bilstm/2")]
    assert not any(run.checkpoints.exists() for run in runs)
    assert board[["model", "seeds"]].to_dict("records") == [{"model": "bilstm", "seeds": 2}]
    assert board["test/accuracy"][0] == pytest.approx(sum(score["test/accuracy"] for score in scores) / 2)
    assert {row["label"] for row in predictions} <= {"negative", "positive"}
    assert runs[0].read_record().epochs == 1
    assert unroll.PreparedData("prepared/demo_reviews").checksum == data.checksum


@pytest.mark.parametrize("name", ["gru", "tfidf"])
def test_a_training_is_that_of_the_train_stage(name: str, reviews: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts(name, max_epochs=2)
    sizes = SMALL if name == "gru" else {}
    model = unroll.build_model(name, reviews, **sizes)
    expected = train_parts(reviews, parts, OPTIONS, tmp_path / "expected")

    options = {key: value for key, value in vars(OPTIONS).items() if key not in ("seed", "vectors")}
    run = unroll.train(model, reviews, 1, tmp_path / name / "1", epochs=2, optimizer={"lr": 0.05}, **options)

    record = run.read_record()
    assert vars(record) | {"training_seconds": 0} == {
        "processes": None,  # of a baseline
        "sequences_per_step": None,
        **expected,
        "dataset": reviews.folder.name,
        "task": "classification",
        "model": name,
        "seed": 1,
        "run_id": record.run_id,
        "microseconds_per_token": None,
        "training_seconds": 0,
    }
    (weights,) = run.model.glob("weights.safetensors")
    assert weights.read_bytes() == (tmp_path / "expected" / "model" / "weights.safetensors").read_bytes()


def test_a_file_is_prepared_with_its_own_columns(tmp_path: Path) -> None:
    rows = [f"{label},a {word} visit number {i}" for i in range(20) for label, word in (("yes", "good"), ("no", "bad"))]
    (tmp_path / "visits.csv").write_text("\n".join(["verdict,body", *rows]) + "\n")
    columns = {"text": "body", "label": "verdict"}
    options = {"validation_fraction": 0.25, "tokenizer": {"lowercase": False}}

    data = unroll.prepare(tmp_path / "visits.csv", tmp_path / "visits", columns=columns, **options)

    assert sorted(data.label_names) == ["no", "yes"]
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [27, 9, 4]  # test is carved first
    assert not data.schema.tokenizer.options.lowercase


def test_sentences_with_tags_are_prepared(project: Path, tmp_path: Path) -> None:
    path, columns = project / "data/demo/demo_entities", {"tokens": "tokens", "labels": "ner_tags"}
    data = unroll.prepare(path, tmp_path / "entities", task="labeling", columns=columns, limit=20)
    assert data.task == "labeling"
    assert "O" in data.label_names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "regression"}, "task='regression'; accepted: classification, multilabel, labeling"),
        ({"limits": 3}, r"limits: unknown key \(did you mean 'limit'\?\); accepted: .*splits.*limit"),
        ({"limit": "3"}, "limit='3': "),
        ({"tokenizer": {"lower": True}}, r"tokenizer\.lower: unknown key.*; accepted: .*lowercase"),
        (
            {"columns": {"text": "text"}},
            r"dataset\.columns=\['text'\] for dataset\.task=classification; accepted: \['text', 'label'\]",
        ),
        ({"columns": {"text": "text", "label": "mood"}}, "'mood'.*has no such column"),
    ],
)
def test_options_of_prepare_that_are_wrong_are_named(
    options: dict[str, object], message: str, project: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        unroll.prepare(project / "data/demo/demo_reviews", tmp_path / "out", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("bilstmm", {}, f"model='bilstmm'; accepted: {', '.join(MODELS)}"),
        ("bilstm", {"hidden": 3}, r"model\.hidden: unknown key.*; accepted: embedding_size, .*hidden_size"),
        ("bilstm", {"hidden_size": "3"}, r"model\.hidden_size='3': "),
        ("bilstm", {"encoder": {"layers": 2}}, r"model\.encoder\.layers: unknown key.*; accepted: cell, num_layers"),
        ("bilstm", {"_target_": "os.system"}, r"model\._target_: unknown key"),
        ("crfsuite", {}, "CRFSuite is for labeling"),
        ("gru", {"head": "crf"}, r"^model\.head=crf is for labeling and tagging, .*; accepted: softmax"),
    ],
)
def test_models_and_keys_that_are_unknown_are_named(
    name: str, overrides: dict[str, object], message: str, reviews: PreparedData
) -> None:
    with pytest.raises(ValueError, match=message):
        unroll.build_model(name, reviews, **overrides)


def test_a_promoted_trial_which_is_more_than_a_model_is_refused(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/best.yaml").write_text("# @package _global_\nmodel: {_target_: x}\nbatch_size: 8\n")
    monkeypatch.setattr("unroll.api.project_root", lambda: tmp_path)
    with pytest.raises(
        ValueError, match=r"^model='best': conf/model/best\.yaml is a promoted trial.*train\.py dataset=NAME model=best"
    ):
        unroll.build_model("best", reviews)


def test_a_variant_of_a_model_is_built_from_its_file_and_that_of_the_original(
    project: Path, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project / "conf/model", tmp_path / "conf/model")
    (tmp_path / "conf/model/my_gru.yaml").write_text("defaults: [gru]\nhidden_size: 4\nencoder: {num_layers: 2}\n")
    monkeypatch.setattr("unroll.api.project_root", lambda: tmp_path)
    variant = unroll.build_model("my_gru", reviews, encoder={"bidirectional": True})
    original = unroll.build_model("gru", reviews, hidden_size=4, encoder={"bidirectional": True, "num_layers": 2})
    assert str(variant) == str(original)


def test_keys_of_parts_are_overridden_and_the_others_stay(reviews: PreparedData) -> None:
    one_way = unroll.build_model("bilstm", reviews, hidden_size=8, encoder={"bidirectional": False})
    both_ways = unroll.build_model("bilstm", reviews, hidden_size=8)
    assert [model.encoder.output_size for model in (one_way, both_ways)] == [8, 16]
    assert unroll.build_model("bilstm", reviews).encoder.output_size == 2 * MODELS["bilstm"]["hidden_size"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patiense": 3}, r"patiense: unknown key \(did you mean 'patience'\?\); accepted: .*batch_size"),
        ({"batch_size": 0}, "batch_size=0; accepted: 1 or more"),
        ({"optimizer": {"rate": 1}}, r"optimizer\.rate: unknown key; accepted: lr, "),
        ({"trainer": {"devices": [[]]}}, r"trainer\.devices"),
        ({"epochs": 0}, "max_epochs=0"),
        ({"optimizer": {"lr": "fast"}}, r"^optimizer\.lr='fast'; accepted: a number above 0$"),
        ({"scheduler": {"warmup": 2}}, r"^scheduler\.warmup=2; accepted: 0 to below 1$"),
        ({"seed": 2**32}, "^seed=4294967296; accepted: a whole number from 0 to 4294967295$"),
    ],
)
def test_options_of_train_that_are_wrong_are_named(
    options: dict[str, object], message: str, reviews: PreparedData, tmp_path: Path
) -> None:
    model = unroll.build_model("gru", reviews, **SMALL)
    with pytest.raises(ValueError, match=message):
        unroll.train(model, reviews, output=tmp_path, **options)  # type: ignore[arg-type]


def test_a_model_of_other_origin_is_not_trained(reviews: PreparedData, tmp_path: Path) -> None:
    other = unroll.load(save_random_model(reviews, tmp_path / "model")).model.model
    with pytest.raises(ValueError, match=r"model=SequenceModel; accepted: what unroll\.build_model returned"):
        unroll.train(other, reviews, output=tmp_path)
