"""The training of a language model: what it learns and returns, and that it can be resumed."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from tests.launches import Launches
from tests.pretraining.corpora import cyclic
from tests.tiny import MODELS
from unroll.data.pretrained import Pretrained
from unroll.data.schema import DataSchema
from unroll.data.tokens import SPECIAL_WORDS
from unroll.files import write_checksums
from unroll.inference.building import build_model
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.fit import LanguageModeling, LanguageTask, Report
from unroll.pretraining.reading import SequentialPassages, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler

OPTIONS: dict[str, Any] = dict(
    epochs=4, min_count=1, batch_tokens=60, window=8, context=2, samples=4, lr=0.03, checkpoint_steps=3, device="cpu"
)


def small(model: str = "bilstm", **encoder: Any) -> dict[str, Any]:
    config = MODELS[model] | {"embedding_size": 6, "casing_size": 2, "hidden_size": 8}
    return config | {"encoder": config["encoder"] | encoder}


def learn(
    corpus: TokenCorpus, config: dict[str, Any], checkpoints: Path, report: Report = lambda *_: None, **options: Any
) -> Pretrained:
    checkpoints.mkdir(exist_ok=True)
    return LanguageModeling(config, **(OPTIONS | options)).learn(corpus, 1, checkpoints, report)


def history(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open(newline="") as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def test_the_perplexity_on_held_out_documents_falls(tmp_path: Path) -> None:
    """Of 6 equally frequent words, each of which determines the next and the one before."""
    learn(cyclic(), small(), tmp_path, epochs=12)
    rows = history(tmp_path)
    for name in ("val/perplexity", "val/backward_perplexity"):
        assert 3 < rows[0][name] < 8
        assert rows[-1][name] < 1.5
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    means = [np.mean([np.log(row[f"val/{it}perplexity"]) for it in ("", "backward_")]) for row in rows]
    np.testing.assert_allclose(means, [row["val/loss"] for row in rows], rtol=1e-5)


def test_a_forward_model_has_one_perplexity(tmp_path: Path) -> None:
    learn(cyclic(), small("lru"), tmp_path, epochs=1)
    assert [name for name in history(tmp_path)[0] if name.startswith("val/")] == ["val/loss", "val/perplexity"]


@pytest.mark.parametrize(
    ("model", "encoder"), [("bilstm_char_crf", {}), ("awd_lstm", {"separate": True})], ids=["characters", "stacked"]
)
def test_what_is_returned_fits_the_network_that_it_is_for(model: str, encoder: dict[str, Any], tmp_path: Path) -> None:
    corpus, config = cyclic(), small(model, **encoder)
    found = learn(corpus, config, tmp_path / "run", epochs=1)
    (tmp_path / "kept").mkdir()
    found.save(tmp_path / "kept")
    write_checksums(tmp_path / "kept")
    loaded = Pretrained.load(tmp_path / "kept")
    assert (loaded.kind, loaded.vocabulary) == ("language_model", corpus.vocabulary)
    schema = DataSchema("labeling", ["O"], corpus.vocabulary, SPECIAL_WORDS, corpus.tokenizer, False)
    network = build_model(loaded.config | {"head": "softmax"}, schema)
    state = {"embedding.words.weight": loaded.weights.pop("words"), **loaded.weights}
    result = network.load_state_dict({name: torch.from_numpy(it) for name, it in state.items()}, strict=False)
    assert not result.unexpected_keys
    assert all(name.startswith("head.") for name in result.missing_keys)


class Stopped(Exception):
    """Raised in the middle of a training."""


@pytest.mark.parametrize("step", [4, 7])  # within the first epoch, and after it
def test_a_training_that_is_stopped_and_resumed_gives_the_same_weights(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, config = cyclic(), small("awd_lstm", separate=True)
    unbroken = learn(corpus, config, tmp_path / "unbroken", epochs=2)
    train, steps = LanguageTask.training_step, iter(range(1, 100))

    def stopping(task: LanguageTask, *arguments: Any) -> Tensor:
        if next(steps) == step:
            raise Stopped
        return train(task, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(LanguageTask, "training_step", stopping)
        learn(corpus, config, tmp_path / "broken", epochs=2)
    resumed = learn(corpus, config, tmp_path / "broken", epochs=2)

    assert resumed.weights.keys() == unbroken.weights.keys()
    for name, weight in unbroken.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], weight, err_msg=name)
    scores = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in history(tmp_path / it)]
        for it in ("unbroken", "broken")
    ]
    assert scores[0] == scores[1]


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = learn(cyclic(), small(), tmp_path, epochs=1)
    monkeypatch.setattr(LanguageTask, "training_step", lambda *_: pytest.fail("another step"))
    again = learn(cyclic(), small(), tmp_path, epochs=1)
    assert all((again.weights[name] == weight).all() for name, weight in first.weights.items())


def test_a_damaged_checkpoint_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = learn(cyclic(), small(), tmp_path, epochs=1)
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:-100])
    again = learn(cyclic(), small(), tmp_path, epochs=1)
    assert "is damaged: starting over" in capsys.readouterr().out
    assert all((again.weights[name] == weight).all() for name, weight in first.weights.items())


def test_each_epoch_is_reported(tmp_path: Path) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    learn(cyclic(), small(), tmp_path, lambda *it: reports.append(it), epochs=2)
    assert [{"epoch": epoch, **figures} for epoch, figures in reports] == pytest.approx(history(tmp_path))


def test_a_training_step_waits_for_nothing() -> None:
    corpus = cyclic()
    modeling = LanguageModeling(small(), **OPTIONS)
    windows = Windows(corpus.table, corpus.sequences, 8, 2)
    batches = ShuffledPassages(windows, 1, 60, Sampler(len(corpus.vocabulary), 4))
    task = LanguageTask(modeling.build(corpus), batches, SequentialPassages(windows, 60), modeling)
    passage = next(iter(batches))
    task.to("meta")
    tensors = torch.utils._pytree.tree_map(lambda it: it.to("meta") if isinstance(it, Tensor) else it, passage)
    optimizer = torch.optim.AdamW(task.model.parameters(), foreach=True)
    with Launches("meta") as operations:
        task.training_step(tensors, 0).backward()
        clip_grad_norm_(task.model.parameters(), 1.0)
        optimizer.step()
        task.validation_step(tensors, 0)
    assert "_foreach_addcdiv_" in operations.names


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("epochs", 0),
        ("max_words", 0),
        ("window", 3),
        ("context", 0),
        ("samples", 0),
        ("dropout", 1.0),
        ("lr", 0.0),
        ("lr", float("inf")),
        ("weight_decay", -0.1),
        ("device", "tpu"),
    ],
)
def test_an_option_out_of_range_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^pretraining\.{option}=.*accepted: "):
        LanguageModeling(small(), **{option: value})


@pytest.mark.parametrize("model", ["tfidf", "fcnn"])
def test_models_without_recurrence_are_refused(model: str, tmp_path: Path) -> None:
    config = {key: value for key, value in MODELS[model].items() if key != "characters"}
    with pytest.raises(ValueError, match=r"accepted: "):
        learn(cyclic(), config, tmp_path)


def test_a_corpus_of_single_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="accepted: more text"):
        learn(cyclic(length=1), small(), tmp_path)


def test_a_loss_that_is_not_finite_names_the_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"try a smaller lr than|NaN or infinite"):
        learn(cyclic(), small(), tmp_path, lr=1e30, epochs=1)
