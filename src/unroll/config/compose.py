"""Composes configurations, and reads the choices and overrides of the running command."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import open_dict

from unroll.config.build import plain


def compose_again(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of `python pipelines/NAME.py OVERRIDES`; must be called within a stage."""
    config, own = compose(name, list(overrides), return_hydra_config=True), HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)  # what ${hydra:…} reads
        with open_dict(config):
            del config["hydra"]
        return plain(config)
    finally:
        HydraConfig.instance().cfg = own


def choice(group: str) -> str:
    """The name of the file of conf/GROUP that the running command uses."""
    name: str = HydraConfig.get().runtime.choices[group]
    return name


def task_overrides() -> list[str]:
    """The overrides of the running command, without those of Hydra itself."""
    return list(HydraConfig.get().overrides.task)


def override(key: str, text: str) -> str:
    """An override that sets `key` to a text, which may contain any characters."""
    return f"{key}={QuotedString(text, Quote.single).with_quotes()}"
