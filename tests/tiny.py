"""A tiny made-up corpus for each task, downloaded and prepared, and models and trainings that take a second."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from unroll.baselines import Baseline
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS, Source
from unroll.data.tokens import DeclaredTask, Task
from unroll.files import CHECKSUMS
from unroll.inference.building import build_model
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel
from unroll.training.options import TrainOptions

CONF = Path(__file__).parents[1] / "conf"
MODELS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((CONF / "model").glob("*.yaml"))}
NETWORKS = [name for name, config in MODELS.items() if config["_target_"] == "unroll.nn.SequenceModel"]
SIZES = {"train": 44, "validation": 18, "test": 18}
PEOPLE = [["Ada"], ["Ada", "Brown"], ["Ravi"], ["Ravi", "Okoye"], ["Paris", "Brown"]]
PLACES = [["Paris"], ["Lima"], ["New", "Ghent"]]
OPTIONS = TrainOptions(seed=1, batch_size=8, batch_tokens=None, vectors=None, patience=4, checkpoint_steps=2, threads=1)
TOPICS = {"politics": ["vote", "law"], "sport": ["goal", "match"], "weather": ["rain", "storm"]}
TAGGED = [["the", "old", "plan"], ["the", "plan"], ["old", "lead"], ["!"], ["we", "plan"]]
FILLERS = ["and", "so", "very", "warm", "old", "quite", "today", ","]

Row = dict[str, Any]


def prepare_tiny(task: Task, folder: Path, **options: Any) -> PreparedData:
    """Write a few dozen sentences into `folder`/hub in the Hub's layout, then download and prepare them.

    Args:
        options: of `PrepareOptions`.
    """
    draw = random.Random(7)
    make_row = {"classification": _review, "labeling": _report, "multilabel": _news, "tagging": _sentence}[task]
    (folder / "hub" / "data").mkdir(parents=True)
    for split, size in SIZES.items():
        rows = [make_row(draw) for _ in range(size)]
        pq.write_table(pa.Table.from_pylist(rows), folder / "hub" / "data" / f"{split}-00000-of-00001.parquet")
    declared: DeclaredTask = "labeling" if task == "tagging" else task
    columns = {name: name for name in COLUMNS[declared][0]}
    source = Source(declared, str(folder / "hub"), columns, tag_scheme="none" if task == "tagging" else None)
    download(source, folder / "raw")
    prepare(source, folder / "raw", folder / "prepared", PrepareOptions(**options))
    return PreparedData(folder / "prepared")


def tiny_parts(model: str, trainer: str = "cpu", max_epochs: int = 3) -> dict[str, Any]:
    """The parts that `train` builds, as in conf/ but smaller; dropout is the same."""
    choices = {"model": model, "optimizer": "adamw", "scheduler": "linear", "trainer": trainer}
    parts = {group: yaml.safe_load((CONF / group / f"{name}.yaml").read_text()) for group, name in choices.items()}
    if model in NETWORKS:
        parts["model"] |= {"embedding_size": 6, "casing_size": 2, "hidden_size": 8}
    if parts["model"].get("characters"):
        parts["model"]["characters"] |= {"embedding_size": 4, "filters": 5}
    parts["optimizer"] |= {"lr": 0.05}
    parts["trainer"] |= {"max_epochs": max_epochs}
    return parts


def random_model(data: PreparedData, model: str, seed: int = 0) -> TrainedModel:
    """An untrained network whose weights are so large that its predictions vary."""
    torch.manual_seed(seed)
    config = tiny_parts(model)["model"]
    network = build_model(config, data.schema)
    assert isinstance(network, SequenceModel)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return TrainedModel(network.eval(), data.schema, config)


def save_random_model(data: PreparedData, folder: Path, model: str = "gru", seed: int = 0) -> Path:
    """Save a `random_model`; return its folder."""
    random_model(data, model, seed).save(folder)
    return folder


def save_baseline(data: PreparedData, folder: Path, model: str) -> Path:
    """Fit a baseline and save it; return its folder."""
    config = tiny_parts(model)["model"]
    baseline = build_model(config, data.schema)
    assert isinstance(baseline, Baseline)
    baseline.fit(data.split("train"), data.split("validation"))
    TrainedModel(baseline, data.schema, config).save(folder)
    return folder


def _review(draw: random.Random) -> Row:
    """`not` inverts the next word."""
    good, turned = draw.random() < 0.5, draw.random() < 0.5
    verdict = ["not"] * turned + ["good" if good else "bad"]
    words = draw.choices(FILLERS, k=draw.randrange(7)) + verdict + draw.choices(FILLERS, k=draw.randrange(4))
    return {"text": " ".join(words), "label": "negative" if good == turned else "positive"}


def _report(draw: random.Random) -> Row:
    """A name after `in` is a place, and one before `met` a person."""
    person, place = draw.choice(PEOPLE), draw.choice(PLACES)
    parts = [(draw.choices(FILLERS, k=draw.randrange(5)), None), (person, "PER"), (["met", "us"], None)]
    parts += [(["in"], None), (place, "LOC")] if draw.random() < 0.7 else []
    return {
        "tokens": [token for tokens, _ in parts for token in tokens],
        "labels": [tag for tokens, kind in parts for tag in _tags(len(tokens), kind)],
    }


def _news(draw: random.Random) -> Row:
    """A word of each of its topics, among others."""
    topics = [topic for topic in TOPICS if draw.random() < 0.4]
    words = draw.choices(FILLERS, k=draw.randrange(1, 8)) + [draw.choice(TOPICS[topic]) for topic in topics]
    draw.shuffle(words)
    return {"text": " ".join(words), "labels": topics}


def _sentence(draw: random.Random) -> Row:
    """`lead` is a noun after a determiner and otherwise a verb; some names look like those of a scheme for entities."""
    words = [*draw.choices(TAGGED, k=draw.randrange(1, 6)), draw.choice([["the", "lead"], ["we", "lead"]])]
    tokens = [token for part in words for token in part]
    tags = {"the": "O", "we": "I-X", "old": "B-X", "plan": "NN", "!": "."}
    before = ["", *tokens]
    return {
        "tokens": tokens,
        "labels": [
            tags.get(it, "NN" if last in ("the", "old") else "VB") for it, last in zip(tokens, before, strict=False)
        ],
    }


def _tags(length: int, kind: str | None) -> list[str]:
    return ["O"] * length if kind is None else [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]


def forget_checksums(folder: Path) -> None:
    """Make the model in `folder` one whose files may be changed, as those that earlier versions wrote."""
    (folder / CHECKSUMS).unlink()
