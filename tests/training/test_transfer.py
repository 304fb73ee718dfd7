"""Networks that begin with pretrained weights, and the words that they know."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import OPTIONS, prepare_tiny, tiny_parts
from tests.training.pretrained_folders import ADDED, WIDTH, save_language_model, save_vectors
from unroll.data.prepared import PreparedData
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.inference.building import build_model
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.training.finetuning import layer_of
from unroll.training.train import microseconds_per_token, train
from unroll.training.transfer import Transfer, _shared

FOUND = ["good", "not", "warm"]


class SubwordVectors:
    """A stand-in for the vectors of words by their character n-grams."""

    def __init__(self, config: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self.width = weights["subwords"].shape[1]

    def vectors_of(self, words: Sequence[str]) -> np.ndarray:
        return np.array([[len(word)] * self.width for word in words], np.float32)


@pytest.fixture
def subwords(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(SubwordVectors=SubwordVectors)
    monkeypatch.setitem(sys.modules, "unroll.data.subword_vectors", module)


def start(name: Path | str, data: PreparedData, model: str = "bilstm", **changes: Any) -> Transfer:
    return Transfer.of(str(name), tiny_parts(model)["model"] | changes, data)


def words_of(transfer: Transfer) -> dict[str, np.ndarray]:
    weight = transfer.build().embedding.words.weight.detach().numpy()
    return dict(zip(transfer.data.schema.vocabulary, weight, strict=True))


def test_words_begin_with_their_vectors_and_the_pretrained_others_are_known_too(
    reviews: PreparedData, tmp_path: Path
) -> None:
    transfer = start(save_vectors(tmp_path / "v", [*FOUND, *ADDED]), reviews)
    found, vectors = words_of(transfer), transfer.pretrained.weights["words"]
    assert [*found] == [*reviews.schema.vocabulary, *ADDED]
    for row, word in enumerate([*FOUND, *ADDED], start=len(SPECIAL_WORDS)):
        np.testing.assert_array_equal(found[word], vectors[row])
    assert not found["<pad>"].any()


def test_words_without_a_vector_are_random_in_the_scale_of_the_others(reviews: PreparedData, tmp_path: Path) -> None:
    for scale in (0.01, 20.0):
        found = words_of(start(save_vectors(tmp_path / f"{scale}", FOUND, scale=scale), reviews))
        others = np.stack([it for word, it in found.items() if word not in (*FOUND, "<pad>")])
        assert scale / 3 < others.std() < scale * 3
        assert len(np.unique(others[:, 0])) == len(others)


@pytest.mark.usefixtures("subwords")
def test_words_without_a_vector_of_their_own_are_composed_of_their_subwords(
    reviews: PreparedData, tmp_path: Path
) -> None:
    transfer = start(save_vectors(tmp_path / "v", FOUND, buckets=5), reviews)
    found = words_of(transfer)
    for word in set(found) - {*FOUND, *SPECIAL_WORDS}:
        assert found[word].tolist() == [len(word)] * WIDTH
    np.testing.assert_array_equal(found["good"], transfer.pretrained.weights["words"][2])
    assert found["<unk>"].any() and not found["<pad>"].any()


@pytest.mark.parametrize("model", ["bilstm", "gru", "fcnn", "sru", "awd_lstm"])
def test_a_network_begins_with_the_encoder_of_a_language_model_and_a_head_of_its_own(
    model: str, reviews: PreparedData, tmp_path: Path
) -> None:
    pretrained = save_language_model(tmp_path / "lm", reviews, model)
    transfer = start(tmp_path / "lm", reviews, model)
    torch.manual_seed(1)
    before = build_model(transfer.config, transfer.data.schema).state_dict()
    torch.manual_seed(1)
    after = transfer.build().state_dict()
    weights = pretrained.weights | {"embedding.words.weight": pretrained.weights["words"]}
    for name, weight in after.items():
        np.testing.assert_array_equal(weight, before[name] if name.startswith("head.") else weights[name])
    assert {"embedding.casing.weight", "embedding.words.weight"} < {*after}


@pytest.mark.parametrize(("model", "layers", "more"), [("bilstm", 1, 3), ("bilstm_char_crf", 1, 2), ("awd_lstm", 2, 3)])
def test_layers_on_top_of_a_language_model_begin_at_random(
    model: str, layers: int, more: int, entities: PreparedData, tmp_path: Path
) -> None:
    pretrained = save_language_model(tmp_path / "lm", entities, model, characters=None)
    encoder = tiny_parts(model)["model"]["encoder"]
    transfer = start(tmp_path / "lm", entities, model, encoder=encoder | {"num_layers": more})
    torch.manual_seed(1)
    before = build_model(transfer.config, transfer.data.schema).state_dict()
    torch.manual_seed(1)
    after = transfer.build().state_dict()
    for name, weight in after.items():
        if 0 <= layer_of(name) < layers:
            width = pretrained.weights[name].shape[-1]  # without the columns of characters
            np.testing.assert_array_equal(weight[..., :width], pretrained.weights[name])
        elif layer_of(name) >= layers:
            assert torch.equal(weight, before[name])
    assert {layer_of(name) for name in after if name.startswith("encoder.")} == set(range(more))


def test_a_network_with_fewer_layers_than_a_language_model_is_refused(reviews: PreparedData, tmp_path: Path) -> None:
    save_language_model(tmp_path / "lm", reviews, "awd_lstm")
    encoder = tiny_parts("awd_lstm")["model"]["encoder"] | {"num_layers": 1}
    with pytest.raises(ValueError, match=r"num_layers=2, not 1; accepted: model\.encoder\.num_layers=2$"):
        start(tmp_path / "lm", reviews, "awd_lstm", encoder=encoder)


def test_dropout_pooling_and_the_head_are_the_network_s_own(entities: PreparedData, tmp_path: Path) -> None:
    save_language_model(tmp_path / "lm", entities)
    model = start(tmp_path / "lm", entities, dropout=0.1, pooling="concat", head="crf", word_dropout=0.0).build()
    assert type(model.head).__name__ == "CRFHead"


def test_an_encoder_that_also_reads_characters_begins_as_it_was(entities: PreparedData, tmp_path: Path) -> None:
    config = tiny_parts("bilstm_char_crf")["model"]
    pretrained = save_language_model(tmp_path / "lm", entities, "bilstm_char_crf", characters=None)
    model = start(tmp_path / "lm", entities, "bilstm_char_crf").build().eval()
    alone = build_model(config | {"characters": None}, start(tmp_path / "lm", entities).data.schema)
    state = {name: torch.from_numpy(it) for name, it in pretrained.weights.items() if name.startswith("encoder.")}
    alone.encoder.load_state_dict({name.removeprefix("encoder."): it for name, it in state.items()})
    size, lengths = alone.embedding.output_size, torch.tensor([4, 3])
    x = torch.randn(2, 4, model.embedding.output_size)
    found, expected = model.encoder(x, lengths), alone.eval().encoder(x[..., :size], lengths)
    torch.testing.assert_close(found[1], expected[1])
    x[..., size:].requires_grad_()
    model.encoder(x, lengths)[1].sum().backward()
    columns = model.encoder.forward_cells[0].loop.weight_ih_l0.grad[:, size:]
    assert columns.abs().sum() > 0  # so that it learns to read them


@pytest.mark.parametrize("model", ["qrnn", "sru"])
def test_an_encoder_without_columns_for_characters_is_refused(
    model: str, entities: PreparedData, tmp_path: Path
) -> None:
    """QRNN reads two tokens at a time, and the SRU has other weights where its input has the size of its states."""
    save_language_model(tmp_path / "lm", entities, model)
    characters = tiny_parts("bilstm_char_crf")["model"]["characters"]
    with pytest.raises(ValueError, match=r"cannot read characters as well .*; accepted: model\.characters=null$"):
        start(tmp_path / "lm", entities, model, characters=characters).check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": 9}, "model.hidden_size=8, not 9; accepted: model.hidden_size=8$"),
        ({"casing_size": 0}, "model.casing_size=2, not 0; accepted: model.casing_size=2$"),
        ({"embedding_size": 3, "hidden_size": 4}, "accepted: model.embedding_size=6 model.hidden_size=8$"),
    ],
)
def test_other_sizes_than_those_of_a_language_model_are_refused_with_the_override(
    changes: dict[str, Any], said: str, reviews: PreparedData, tmp_path: Path
) -> None:
    save_language_model(tmp_path / "lm", reviews)
    with pytest.raises(ValueError, match=f"^pretrained={tmp_path / 'lm'}: its weights have .*{said}"):
        start(tmp_path / "lm", reviews, **changes)


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ("lstm", "model.encoder.bidirectional=True$"),
        ("gru", r"model\.encoder\.bidirectional=True model\.encoder\.cell\._target_=unroll\.nn\.LSTM$"),
        ("fcnn", r"model\.encoder\._target_=unroll\.nn\.RecurrentEncoder .*"),
    ],
)
def test_another_encoder_than_that_of_a_language_model_is_refused_with_the_override(
    model: str, accepted: str, reviews: PreparedData, tmp_path: Path
) -> None:
    save_language_model(tmp_path / "lm", reviews)
    with pytest.raises(ValueError, match=f"accepted: .*{accepted}"):
        start(tmp_path / "lm", reviews, model)


def test_an_option_that_is_not_spelled_has_its_default_value(reviews: PreparedData, tmp_path: Path) -> None:
    pretrained = save_language_model(tmp_path / "lm", reviews)
    encoder = {key: it for key, it in pretrained.config["encoder"].items() if key not in ("residual", "num_layers")}
    assert start(tmp_path / "lm", reviews, encoder=encoder).build()


@pytest.mark.parametrize(("layers", "is_same"), [(1, True), (2, False)])
def test_directions_that_read_apart_differ_only_above_the_first_layer(layers: int, is_same: bool) -> None:
    """A language model has `separate: true`, as no direction may see the words that it predicts."""
    config = tiny_parts("bilstm")["model"]
    own = {"encoder": config["encoder"] | {"num_layers": layers}}
    apart = {"encoder": own["encoder"] | {"separate": True}}
    assert (
        _shared(config | own | {"encoder": own["encoder"] | {"separate": False}}) == _shared(config | apart)
    ) == is_same


def test_vectors_of_another_width_are_refused_with_the_override(reviews: PreparedData, tmp_path: Path) -> None:
    name = save_vectors(tmp_path / "v", FOUND, width=WIDTH + 1)
    with pytest.raises(ValueError, match=f"^pretrained={name}: .*accepted: model.embedding_size={WIDTH + 1}$"):
        start(name, reviews)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lowercase": False}, r"lowercase=False, not True\); .* tokenizer\.lowercase=False$"),
        ({"numbers": "zeros"}, r"numbers=zeros, not keep\)"),
        ({"split": "whitespace"}, r"split=whitespace, not words\)"),
    ],
)
def test_another_tokenizer_than_that_of_the_data_is_refused(
    options: dict[str, Any], said: str, reviews: PreparedData, tmp_path: Path
) -> None:
    name = save_vectors(tmp_path / "v", FOUND, **options)
    with pytest.raises(ValueError, match=f"^pretrained={name}: its tokenizer differs from that of .* \\({said}"):
        start(name, reviews)


def test_given_tokens_may_have_another_rule_to_find_them(entities: PreparedData, tmp_path: Path) -> None:
    rule = "whitespace" if entities.schema.tokenizer.options.split != "whitespace" else "treebank"
    assert start(save_vectors(tmp_path / "v", FOUND, split=rule), entities).build()
    with pytest.raises(ValueError, match="lowercase=False, not True"):
        start(save_vectors(tmp_path / "w", FOUND, lowercase=False), entities)


@pytest.mark.parametrize("change", ["missing", "unknown", "another shape"])
def test_weights_that_are_not_those_of_their_configuration_are_refused(
    change: str, reviews: PreparedData, tmp_path: Path
) -> None:
    pretrained = save_language_model(tmp_path / "lm", reviews)
    transfer, name = start(tmp_path / "lm", reviews), "encoder.forward_cells.0.loop.weight_ih_l0"
    weights = dict(pretrained.weights)
    changed = {
        "missing": {key: it for key, it in weights.items() if key != name},
        "unknown": weights | {"encoder.zz": weights[name]},
        "another shape": weights | {name: weights[name][:3]},
    }[change]
    with pytest.raises(ValueError, match=r"weights\.safetensors and config\.json do not belong together: encoder\."):
        replace(transfer, pretrained=replace(pretrained, weights=changed)).build()


def test_a_configuration_of_a_language_model_names_parts_of_networks_alone(
    reviews: PreparedData, tmp_path: Path
) -> None:
    (tmp_path / "evil").mkdir()
    pretrained = save_language_model(tmp_path / "lm", reviews)
    from tests.training.pretrained_folders import save

    evil = pretrained.config | {"encoder": {"_target_": "os.system", "command": "true"}}
    name = save(tmp_path / "made", replace(pretrained, config=evil))
    with pytest.raises(ValueError, match=r"its config\.json: model\.encoder\._target_='os\.system'; accepted: "):
        start(name, reviews)


def test_how_much_of_train_is_pretrained_is_printed(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    vocabulary = reviews.schema.vocabulary
    start(save_vectors(tmp_path / "all", [*vocabulary[2:], *ADDED]), reviews).report()
    own = len(vocabulary) - len(SPECIAL_WORDS)
    said = f"100.0% of the tokens of train and {own} of the {own} words of the vocabulary are pretrained"
    assert said in (printed := capsys.readouterr().out)
    assert "; 2 words are added to it\n" in printed
    assert not caplog.records

    start(save_vectors(tmp_path / "few", ["warm"]), reviews).report()
    train = reviews.split("train")
    share = (train.table.words[train.tokens] == vocabulary.index("warm")).mean()
    assert f"{share:.1%} of the tokens of train and 1 of the" in capsys.readouterr().out
    assert f"only {100 * share:.1f} % of the tokens of train are pretrained words" in caplog.text


def test_a_trained_model_knows_the_pretrained_words_in_every_split_and_in_new_texts(tmp_path: Path) -> None:
    """Words that are too rare in train, and words that are not in the dataset."""
    data = prepare_tiny("classification", tmp_path, min_count=30)
    name = save_vectors(tmp_path / "v", ["bad", "good", *ADDED])
    assert {"bad", "good"}.isdisjoint(data.schema.vocabulary)
    run = tmp_path / "run"
    train(data, tiny_parts("gru", max_epochs=1), replace(OPTIONS, pretrained=name), run)
    trained = TrainedModel.load(run / "model")
    assert trained.schema.vocabulary == [*data.schema.vocabulary, "bad", "good", *ADDED]

    evaluate(data, run, EvaluateOptions(8, 1))
    test, ids = data.joined(trained.schema.vocabulary).split("test"), trained.schema.vocabulary
    assert ids.index("bad") in test.table.words[test.tokens]
    assert microseconds_per_token(run / "model", data, 8) > 0

    predictor = Predictor(trained)
    found = predictor.predict(["splendid", "dire", "zyzzyva"], probabilities=True)
    assert len({str(answer["probabilities"]) for answer in found}) == 3


def test_a_training_begins_with_the_weights_and_changes_them(reviews: PreparedData, tmp_path: Path) -> None:
    pretrained = save_language_model(tmp_path / "lm", reviews)
    parts = tiny_parts("bilstm", max_epochs=1)
    weights = []
    for rate in (0.0, 0.05):
        parts["optimizer"] |= {"lr": rate}
        run = tmp_path / f"run{rate}"
        train(reviews, parts, replace(OPTIONS, pretrained=str(tmp_path / "lm")), run)
        weights.append(TrainedModel.load(run / "model").model.state_dict())
    name = "encoder.forward_cells.0.loop.weight_hh_l0"
    np.testing.assert_array_equal(weights[0][name], pretrained.weights[name])
    assert not np.array_equal(weights[1][name], pretrained.weights[name])


def test_a_baseline_ignores_them(reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = save_vectors(tmp_path / "v", ADDED, lowercase=False)
    train(reviews, tiny_parts("tfidf"), replace(OPTIONS, pretrained=name), tmp_path / "run")
    assert TrainedModel.load(tmp_path / "run/model").schema.vocabulary == reviews.schema.vocabulary
    assert "pretrained" not in capsys.readouterr().out


def test_an_interrupted_training_does_not_go_on_with_other_pretrained_weights(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, run = tiny_parts("gru", max_epochs=1), tmp_path / "run"
    for scale in (1.0, 2.0):
        folder = tmp_path / "v"
        if folder.exists():
            folder.rename(tmp_path / "before")
        options = replace(OPTIONS, pretrained=save_vectors(folder, FOUND, scale=scale))
        train(reviews, parts, options, run)
    assert "deleting the checkpoints of another configuration or other data" in capsys.readouterr().out


def test_special_words_stay_what_they_are(reviews: PreparedData, tmp_path: Path) -> None:
    save_language_model(tmp_path / "lm", reviews)
    transfer = start(tmp_path / "lm", reviews)
    weight = transfer.build().embedding.words.weight.detach().numpy()
    np.testing.assert_array_equal(weight[UNKNOWN], transfer.pretrained.weights["words"][UNKNOWN])
    assert not weight[PADDING].any()
