"""The configurations and models that conf/ contains."""

from pathlib import Path
from typing import Any

import yaml

from unroll.data.prepared import PreparedData
from unroll.inference.building import build_model
from unroll.nn import SequenceModel

CONF = Path(__file__).resolve().parent.parent / "conf"


def configuration(group: str, name: str) -> dict[str, Any]:
    """The content of conf/`group`/`name`.yaml."""
    content: dict[str, Any] = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return content


def model(name: str, data: PreparedData) -> SequenceModel:
    """A new network, configured by conf/model/`name`.yaml, for a dataset."""
    network = build_model(configuration("model", name), data.schema)
    assert isinstance(network, SequenceModel)
    return network
