"""The configuration of a command: of this one as it was typed, or of another."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import open_dict

from unroll.config.build import plain


def compose_again(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of `python pipelines/NAME.py OVERRIDES`; to be called within a stage."""
    config, own = compose(name, list(overrides), return_hydra_config=True), HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)  # what ${hydra:…} reads
        with open_dict(config):
            del config["hydra"]
        return plain(config)
    finally:
        HydraConfig.instance().cfg = own


def choice(group: str) -> str:
    """The file of conf/GROUP that this command was given, or has by default."""
    name: str = HydraConfig.get().runtime.choices[group]
    return name


def task_overrides() -> list[str]:
    """The options that this command was given, without those of Hydra itself."""
    return list(HydraConfig.get().overrides.task)


def override(key: str, text: str) -> str:
    """An option of a command that gives `key` this text, whatever characters it has."""
    return f"{key}={QuotedString(text, Quote.single).with_quotes()}"
