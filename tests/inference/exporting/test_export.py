"""Exported folders, and predictions from them compared with those of the trained model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.tiny import random_model, save_baseline, save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Tokens
from unroll.files import write_checksums
from unroll.inference.exporting import export as exporting
from unroll.inference.exporting.export import export
from unroll.inference.model_folder import ONNX_MODEL
from unroll.inference.onnx_model import OnnxModel
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel

TEXTS = ["Ada Brown met us in Paris , today .", "not good", "warm goal", "very old and bad match", "the plan we lead !"]
HEAVY = ["torch", "pytorch_lightning", "lightning", "mlflow", "pandas", "pyarrow", "scipy", "sklearn", "datasets"]
HEAVY += ["hydra", "omegaconf", "onnx", "safetensors"]
DATA = ["reviews", "entities", "topics", "tags"]


def close(found: Any, expected: Any) -> None:
    """Assert equality, of numbers up to 1e-5."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            close(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            close(*pair)
    else:
        assert found == expected


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("dataset", DATA)
def test_an_exported_model_answers_as_the_trained_one(
    dataset: str, probabilities: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    data: PreparedData = request.getfixturevalue(dataset)
    trained = save_random_model(data, tmp_path / "model", "bilstm_char_crf")
    export(trained, tmp_path / "onnx")

    found, expected = (
        Predictor.load(folder).predict(TEXTS, probabilities=probabilities) for folder in (tmp_path / "onnx", trained)
    )

    assert len({str(it) for it in expected}) == len(TEXTS)
    close(found, expected)


def test_a_folder_is_a_graph_json_and_nothing_pickled(entities: PreparedData, tmp_path: Path) -> None:
    trained = save_random_model(entities, tmp_path / "model", "bilstm_char_crf")
    size, agreement = export(trained, tmp_path / "new" / "onnx")
    files = {path.name: path for path in (tmp_path / "new" / "onnx").iterdir()}
    shared = {"vocabulary.json", "alphabet.json", "tokenizer.json", "config.json"}
    assert set(files) == shared | {ONNX_MODEL, "sha256.json"}
    assert all(files[name].read_bytes() == (trained / name).read_bytes() for name in shared)
    assert (size, agreement) == (files[ONNX_MODEL].stat().st_size, None)
    onnx.checker.check_model(onnx.load(files[ONNX_MODEL]), full_check=True)


def test_predicting_imports_neither_pytorch_nor_the_packages_of_training(
    reviews: PreparedData, entities: PreparedData, tmp_path: Path
) -> None:
    for data, name in ((reviews, "gru"), (entities, "bilstm_char_crf")):
        export(save_random_model(data, tmp_path / "model", name), tmp_path / name)
    code = (
        "import sys; from pathlib import Path; from unroll.inference.predictor import Predictor\n"
        f"for folder in {[str(tmp_path / name) for name in ('gru', 'bilstm_char_crf')]}:\n"
        f"    assert len(Predictor.load(Path(folder)).predict({TEXTS}, probabilities=True)) == {len(TEXTS)}\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded.intersection(HEAVY)


def test_texts_that_cannot_be_used_are_coerced_as_by_the_trained_model(reviews: PreparedData, tmp_path: Path) -> None:
    trained = save_random_model(reviews, tmp_path / "model", "gru")
    export(trained, tmp_path / "onnx")
    exported = Predictor.load(tmp_path / "onnx")
    found = exported.predict(["good", None, " "], errors="coerce", probabilities=True)
    assert found[1] == found[2] == {"label": None, "probability": None, "probabilities": None}
    close(found, Predictor.load(trained).predict(["good", None, " "], errors="coerce", probabilities=True))
    with pytest.raises(ValueError, match="text 1 is empty"):
        exported.predict(["good", " "])


@pytest.mark.parametrize("change", ["damaged", "unrecorded", "another format", "no decoder", "missing"])
def test_a_model_file_that_was_not_written_by_export_is_refused(
    change: str, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = tmp_path / "onnx"
    export(save_random_model(reviews, tmp_path / "model", "gru"), folder)
    file, sums = folder / ONNX_MODEL, folder / "sha256.json"
    if change == "damaged":
        file.write_bytes(file.read_bytes()[:-1])
    elif change == "unrecorded":
        sums.write_text(json.dumps({k: it for k, it in json.loads(sums.read_text()).items() if k != ONNX_MODEL}))
    elif change == "another format":
        file.write_bytes(b"PK\3\4")
        write_checksums(folder)
    elif change == "no decoder":
        model = onnx.load(file)
        del model.metadata_props[:]
        onnx.save(model, file)
        write_checksums(folder)
    else:
        file.unlink()
    with pytest.raises(ValueError, match=f"^the model in {folder} cannot be used .*: copy or train it again$"):
        Predictor.load(folder)


def test_a_baseline_is_not_exported(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_baseline(reviews, tmp_path / "model", "majority")
    with pytest.raises(ValueError, match=f"the model in {folder} is a Majority; accepted: a network"):
        export(folder, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_only_an_earlier_export_is_replaced(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "gru")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear Ada")
    for output in (tmp_path / "mine", tmp_path / "mine" / "letter.txt", folder):
        with pytest.raises(ValueError, match="it exists and is not an exported model; accepted: a new folder"):
            export(folder, output)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "Dear Ada"
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        export(folder, tmp_path / "empty")
    assert TrainedModel.load(folder).config == random_model(reviews, "gru").config


def test_an_export_is_not_replaced_by_itself(reviews: PreparedData, tmp_path: Path) -> None:
    export(save_random_model(reviews, tmp_path / "model", "gru"), tmp_path / "onnx")
    with pytest.raises(ValueError, match="the model itself; accepted: another folder"):
        export(tmp_path / "onnx", tmp_path / "onnx")
    assert Predictor.load(tmp_path / "onnx").predict(["good"])


@pytest.fixture
def certain(entities: PreparedData, tmp_path: Path) -> Path:
    """A model whose labels depend on the words alone, so that int8 does not change them."""
    trained = random_model(entities, "bilstm_char_crf")
    assert isinstance(trained.model, SequenceModel)
    with torch.no_grad():
        for name, parameter in trained.model.named_parameters():
            if name.endswith("transitions"):
                parameter.zero_()
            elif "head.output" in name:
                parameter *= 20
    trained.save(tmp_path / "certain")
    return tmp_path / "certain"


def test_int8_is_smaller_and_keeps_the_labels(certain: Path, tmp_path: Path) -> None:
    texts = TEXTS * 8
    small = export(certain, tmp_path / "int8", int8=True, texts=texts)
    assert small.agreement is not None and small.agreement >= exporting.LEAST_AGREEMENT
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8" / ONNX_MODEL).graph.node}
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= kinds
    stored = {it.data_type for it in onnx.load(tmp_path / "int8" / ONNX_MODEL).graph.initializer if it.dims}
    assert onnx.TensorProto.INT8 in stored
    found = Predictor.load(tmp_path / "int8").predict(texts)
    expected = Predictor.load(certain).predict(texts)
    pairs = [pair for a, b in zip(found, expected, strict=True) for pair in zip(a["labels"], b["labels"], strict=True)]
    assert small.agreement == pytest.approx(np.mean([a == b for a, b in pairs]))


def test_int8_that_changes_labels_is_refused(certain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scramble(model: onnx.ModelProto) -> onnx.ModelProto:
        table = next(it for it in model.graph.initializer if it.name.startswith("word_table"))
        rows = onnx.numpy_helper.to_array(table)
        table.CopyFrom(onnx.numpy_helper.from_array(rows[::-1].copy(), table.name))
        return model

    monkeypatch.setattr(exporting, "quantize", scramble)
    with pytest.raises(ValueError, match=r"int8 keeps \d+\.\d+% of the labels .*accepted: 99\.5% or more"):
        export(certain, tmp_path / "onnx", int8=True, texts=TEXTS)
    assert not (tmp_path / "onnx").exists()


def test_int8_without_texts_is_refused(certain: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int8 without texts; accepted: texts on which"):
        export(certain, tmp_path / "onnx", int8=True)


def test_long_texts_are_divided_into_batches_of_bounded_size(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(save_random_model(reviews, tmp_path / "model", "gru"), tmp_path / "onnx")
    shapes, run = [], OnnxModel.scores

    def record(model: OnnxModel, tokens: Tokens[np.ndarray]) -> np.ndarray:
        shapes.append(tokens.words.shape)
        return run(model, tokens)

    monkeypatch.setattr(OnnxModel, "scores", record)
    Predictor.load(tmp_path / "onnx").predict(["good " * 3000] * 12)
    assert shapes == [(5, 3000), (5, 3000), (2, 3000)]


def test_a_model_that_needs_a_missing_package_says_how_to_do_without(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "gru")
    code = (
        "import sys; sys.modules['torch'] = None\n"  # as if it were not installed
        f"from unroll.inference.predictor import Predictor; Predictor.load({str(folder)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert "torch is not installed: export the model with `unroll export`, or install unroll[train]" in last
