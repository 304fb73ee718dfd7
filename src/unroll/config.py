"""From a Hydra configuration to checked arguments and objects of the package; compositions, choices and overrides."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from unroll.arguments import check_arguments
from unroll.checks import missing_key
from unroll.conf_files import check_primary, message_with_file, typed_overrides
from unroll.data.source import Source
from unroll.exceptions import is_mistake

T = TypeVar("T")


class Configuration(dict[str, Any]):
    """Nested dicts, lists and values; to read a key that is missing at the top is a mistake in a file of conf/."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(missing_key(key, key, list(self)))


def plain(config: DictConfig) -> Configuration:
    """Convert to nested dicts, lists and values, with every interpolation resolved."""
    return Configuration(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]


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


def compose_again(name: str, overrides: Sequence[str]) -> Configuration:
    """The resolved configuration of `python pipelines/NAME.py OVERRIDES`; must be called within a stage.

    Raises:
        ValueError: a file cannot be composed; the message has the file.
    """
    own = HydraConfig.instance().cfg
    check_primary(Path.cwd(), name)
    try:
        config = compose(name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)  # what ${hydra:…} reads
        with open_dict(config):
            del config["hydra"]
        return plain(config)
    except Exception as error:
        if not is_mistake(error):
            raise
        raise ValueError(message_with_file(error, overrides, name)) from error
    finally:
        HydraConfig.instance().cfg = own


def composed_files(name: str, overrides: Sequence[str]) -> set[str]:
    """The files, such as ``conf/model/gru.yaml``, that `compose_again` reads for the same arguments."""
    found = GlobalHydra.instance().config_loader().compute_defaults_list(name, list(overrides), RunMode.RUN)
    files = {f"conf/{entry.config_path}.yaml" for entry in found.defaults}
    return {file for file in files if Path(file).is_file()}  # the others are Hydra's own


def choice(group: str) -> str:
    """The name of the file of conf/GROUP that the running command uses."""
    return HydraConfig.get().runtime.choices[group]


def task_overrides() -> list[str]:
    """The overrides of the running command, without those of Hydra itself."""
    return typed_overrides(HydraConfig.get().overrides.task)


def override(key: str, text: str) -> str:
    """An override that sets `key` to a text, which may contain any characters."""
    return f"{key}={QuotedString(text, Quote.single).with_quotes()}"
