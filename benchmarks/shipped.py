"""The configurations and models that conf/ contains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from hydra import compose, initialize_config_dir

from unroll.api import prepare
from unroll.config import build_options, plain
from unroll.data.prepared import PreparedData
from unroll.inference.building import build_model
from unroll.inference.trained_model import TrainedModel
from unroll.keys import accept_keys
from unroll.nn import SequenceModel
from unroll.plan.train import PARTS
from unroll.training.options import TrainOptions

CONF = Path(__file__).resolve().parent.parent / "conf"
REVIEWS = CONF.parent / "data" / "demo" / "demo_reviews"


def configuration(group: str, name: str) -> dict[str, Any]:
    """The content of conf/`group`/`name`.yaml."""
    content: dict[str, Any] = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return content


def model(name: str, data: PreparedData) -> SequenceModel:
    """A new network, configured by conf/model/`name`.yaml, for a dataset."""
    network = build_model(configuration("model", name), data.schema)
    assert isinstance(network, SequenceModel)
    return network


def training(dataset: str, overrides: Sequence[str]) -> tuple[dict[str, Any], TrainOptions]:
    """The parts and options of `python pipelines/train.py dataset=DATASET OVERRIDES`."""
    accept_keys()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"dataset={dataset}", *overrides])
    return {name: plain(config[name]) for name in PARTS}, build_options(TrainOptions, config)


def demo_reviews() -> list[str]:
    """The texts of the test split of demo_reviews."""
    texts: list[str] = pq.read_table(REVIEWS / "data" / "test-00000-of-00001.parquet")["text"].to_pylist()
    return texts


def untrained(work: Path) -> Path:
    """Save a `bilstm` with random weights for demo_reviews in an empty folder; return the model folder."""
    data = prepare(REVIEWS, work / "prepared")
    TrainedModel(model("bilstm", data), data.schema, configuration("model", "bilstm")).save(work / "bilstm")
    return work / "bilstm"
