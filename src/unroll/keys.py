"""The keys that an override can set: those of the configuration, and the other arguments of what a group configures.

A file of ``conf/`` spells the arguments that matter most; ``trainer.max_steps=100`` sets one that it does not spell. An
unknown key is refused, also with Hydra's prefix ``+``.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig

from unroll.arguments import locate
from unroll.checks import unknown_key
from unroll.conf_files import broken
from unroll.files import read_yaml

# What reads the groups whose files name no ``_target_``.
READERS = {
    "corpus": "unroll.pretraining.building.CorpusOptions",
    "dataset": "unroll.data.source.Source",
    "tokenizer": "unroll.data.tokenizer.TokenizerOptions",
}

_apply_to_spelled_keys = ConfigLoaderImpl._apply_overrides_to_config


def accepted_keys(config: Mapping[Any, Any], path: Sequence[str]) -> list[str] | None:
    """The keys that the mapping at `path` of a configuration can have; None if the user names them."""
    keys = [str(key) for key in config if path or key != "hydra"]
    target = config["_target_"] if "_target_" in config else READERS.get(".".join(path))
    if target is None:
        return keys if len(path) < 2 else None
    arguments = [
        name
        for name, parameter in inspect.signature(locate(target, ".".join(path))).parameters.items()
        if parameter.default is not parameter.empty or "_target_" not in config  # the code passes the others
    ]
    return list(dict.fromkeys([*keys, *arguments]))


def listed(accepted: Sequence[str], path: Sequence[str]) -> list[str]:
    """The accepted keys that a message lists: none of Hydra's, and no option of Lightning's Trainer that is refused."""
    refused: Collection[str] = ()
    if path == ["trainer"]:
        from unroll.training.trainer import REFUSED as refused
    return [key for key in accepted if key not in refused and not key.startswith("_")]


def accept_keys() -> None:
    """Let every override in this process set any accepted key without ``+``, and no other key with it.

    Hydra has no setting for this. The replaced function applies the overrides of commands, of jobs and of `compose`.
    """
    ConfigLoaderImpl._apply_overrides_to_config = staticmethod(_apply)  # type: ignore[assignment]


def _apply(overrides: list[Override], config: DictConfig) -> None:
    for override in overrides:
        _apply_to_spelled_keys([_adding(override, config)], config)


def _adding(override: Override, config: DictConfig) -> Override:
    """The override, changed to add its key if that is accepted and missing; raises ValueError if it is not accepted."""
    path = override.key_or_group.split(".")
    if override.package is not None or (path[0] == "hydra" and len(path) > 2):
        return override
    node: Any = config
    for depth, key in enumerate(path):
        if not isinstance(node, DictConfig):
            raise ValueError(f"{override.input_line}: {'.'.join(path[:depth])} is a value without keys")
        if key not in node.keys():  # noqa: SIM118 (a key may have no value)
            accepted = accepted_keys(node, path[:depth])
            if override.is_delete() or path[0] == "hydra":
                accepted = [str(it) for it in node]
            if accepted == [] and (empty := _empty_choices(path[0])):
                raise ValueError(f"{override.input_line}: {broken(str(empty[0]), 'has no keys')}")
            if accepted is not None and key not in accepted:
                raise ValueError(unknown_key(override.key_or_group, key, listed(accepted, path[:depth])))
            return replace(override, type=OverrideType.FORCE_ADD)
        node = node._get_node(key)
    return override


def _empty_choices(group: str) -> list[Path]:
    """The files of a group that have no content, which Hydra composes without an error."""
    return [file for file in sorted(Path("conf", group).glob("*.yaml")) if not read_yaml(file)]
