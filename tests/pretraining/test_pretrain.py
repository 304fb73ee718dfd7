"""From a corpus to the folder of pretrained weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pretraining.conftest import Build
from unroll.data.pretrained import Kind, Pretrained
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.pretrain import Report, checkpoints_of, is_current, pretrain
from unroll.pretraining.skipgram import SkipGram

SMALL = SkipGram(embedding_size=4, epochs=2, min_count=1, buckets=10)
INPUTS = {"code": "a", "corpus": "b"}


def facts(corpus: TokenCorpus, tmp_path: Path) -> dict[str, Any]:
    described = json.loads((tmp_path / "corpora/mine/corpus.json").read_text())
    source = {"dataset": "reviews", "path": None}
    described |= {"sources": {"texts": source}, "licence": "CC0"}
    return {"name": "mine", "options": vars(SMALL), "corpus": described, "coverage": {"reviews": 0.25}, "run_id": "r"}


def test_it_writes_weights_a_record_and_a_card(build: Build, tmp_path: Path) -> None:
    corpus, output = build(["so good", "so bad", "so good"], ["bad"]), tmp_path / "pretrained/mine"
    epochs: list[int] = []
    record = pretrain(SMALL, corpus, 1, output, INPUTS, facts(corpus, tmp_path), lambda epoch, _: epochs.append(epoch))
    loaded = Pretrained.load(output)
    assert (loaded.kind, loaded.vocabulary) == ("vectors", corpus.vocabulary)
    assert loaded.weights["words"].shape == (len(corpus.vocabulary), 4)
    assert loaded.weights["subwords"].shape == (10, 4)
    assert loaded.config == {"embedding_size": 4, "min_ngram": 3, "max_ngram": 6, "buckets": 10}
    assert json.loads((output / "pretraining.json").read_text()) == record
    assert [it["epoch"] for it in record["history"]] == epochs == [1, 2]
    card = (output / "card.md").read_text()
    for line in ("| texts: reviews | 3 |", "Left out: 1 repeated.", "Licence of the texts: CC0.", "| `epochs` | 2 |"):
        assert line in card
    assert "Compared with test of others (1 texts)." in card
    assert "Its words are 25.0% of the training tokens of reviews." in card
    assert card.count("\n| 1 | ") == card.count("\n| 2 | ") == 1


def test_an_output_is_current_until_it_or_an_input_changes(build: Build, tmp_path: Path) -> None:
    corpus, output = build(["so good"]), tmp_path / "pretrained/mine"
    assert not is_current(output, INPUTS)
    pretrain(SMALL, corpus, 1, output, INPUTS, facts(corpus, tmp_path))
    assert is_current(output, INPUTS)
    assert not is_current(output, {**INPUTS, "code": "c"})
    (output / "card.md").write_text("changed")
    assert not is_current(output, INPUTS)


class Interrupted(Exception):
    """Stands for the end of the process."""


class Dying:
    """Reports two epochs, and dies before the third unless it finds its own state."""

    @property
    def kind(self) -> Kind:
        return "vectors"

    def learn(self, corpus: TokenCorpus, seed: int, checkpoints: Path, report: Report) -> Pretrained:
        if not (checkpoints / "state").exists():
            report(1, {"train/loss": 3.0})
            report(2, {"train/loss": 2.0})
            (checkpoints / "state").touch()
            raise Interrupted
        report(2, {"train/loss": 2.0})  # the epoch that it was in
        report(3, {"train/loss": 1.0})
        weights = {"words": np.zeros((len(corpus.vocabulary), 2), np.float32)}
        return Pretrained("vectors", corpus.vocabulary, corpus.tokenizer, {}, weights)


def test_an_interrupted_pretraining_goes_on_and_has_the_whole_history(build: Build, tmp_path: Path) -> None:
    corpus, output = build(["so good"]), tmp_path / "pretrained/mine"
    arguments = (Dying(), corpus, 1, output, INPUTS, facts(corpus, tmp_path))
    with pytest.raises(Interrupted):
        pretrain(*arguments)
    assert not output.exists()
    record = pretrain(*arguments)
    assert [(it["epoch"], it["train/loss"]) for it in record["history"]] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert not checkpoints_of(output).exists()


@pytest.mark.parametrize("damage", ["inputs", "history"])
def test_checkpoints_of_other_inputs_or_damaged_ones_are_deleted(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    corpus, output = build(["so good"]), tmp_path / "pretrained/mine"
    described = facts(corpus, tmp_path)
    with pytest.raises(Interrupted):
        pretrain(Dying(), corpus, 1, output, INPUTS, described)
    if damage == "history":
        (checkpoints_of(output) / "history.json").write_text("[{")
    with pytest.raises(Interrupted):  # from the start
        pretrain(Dying(), corpus, 1, output, {**INPUTS, "code": "c"} if damage == "inputs" else INPUTS, described)
    shown = "of other code, options or text" if damage == "inputs" else "damaged"
    assert f"{output}: deleting the checkpoints, which are {shown}" in capsys.readouterr().out
