"""Configurations of the pretrain stage."""

from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[2] / "conf"


def config_of(corpus: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the pretrain stage, with paths in the current folder."""
    own = yaml.safe_load((CONF / "pretrain.yaml").read_text())
    plain = {key: own[key] for key in ("seed", "threads", "raw", "data", "corpora")} | {"processes": 1}
    groups = {"tokenizer": "words", "pretraining": "vectors"}
    parts = {group: yaml.safe_load((CONF / group / f"{name}.yaml").read_text()) for group, name in groups.items()}
    return {**plain, **parts, "corpus": corpus, "name": "mine", "output": "pretrained/mine"}
