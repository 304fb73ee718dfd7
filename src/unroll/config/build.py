"""Builds plain objects from a composed configuration."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from unroll.arguments import check_arguments
from unroll.data.source import Source

T = TypeVar("T")


def plain(config: DictConfig) -> dict[str, Any]:
    """Convert to nested dicts, lists and values, with every interpolation resolved."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def build(target: Callable[..., T], config: DictConfig, where: str) -> T:
    """Call `target` with the configuration at the key `where` as keyword arguments, which are checked."""
    arguments = plain(config)
    check_arguments(target, arguments, where)
    parameters = inspect.signature(target).parameters
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments:
            raise ValueError(f"{where}.{name}: missing key; accepted: {', '.join(parameters)}")
    return target(**arguments)


def build_options(target: Callable[..., T], config: Mapping[str, Any] | DictConfig, **built: Any) -> T:
    """Call `target` with the keys of a primary configuration that are among its parameters, and with `built`."""
    arguments = {name: config[name] for name in inspect.signature(target).parameters if name not in built}
    check_arguments(target, arguments, "")
    return target(**arguments, **built)


def source_of(config: DictConfig) -> Source:
    """The dataset that the configuration's `dataset` group declares."""
    return build(Source, config.dataset, "dataset")
