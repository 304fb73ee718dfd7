from dataclasses import dataclass
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unroll.config import Configuration, build, build_options, override, plain, source_of
from unroll.data.source import Source

REVIEWS = {"task": "classification", "path": "acme/reviews", "columns": {"text": "text", "label": "label"}}


@dataclass
class Options:
    seed: int
    size: int = 3

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size={self.size}; accepted: 1 or more")


def test_plain_is_python_s_own_containers_with_interpolations_resolved() -> None:
    config = OmegaConf.create({"a": {"b": [1, "${seed}"]}, "seed": 7})
    resolved = plain(config)
    assert resolved == {"a": {"b": [1, 7]}, "seed": 7}
    assert (type(resolved), type(resolved["a"]), type(resolved["a"]["b"])) == (Configuration, dict, list)


def test_a_key_that_a_configuration_lacks_is_a_mistake_in_its_file() -> None:
    config = plain(OmegaConf.create({"sede": 1, "size": 1}))
    with pytest.raises(ValueError, match=r"^seed: missing key \(similar: sede\)$"):
        build_options(Options, config)
    assert config.get("seed") is None


@pytest.mark.parametrize("value", ["???", "${nowhere}"])
def test_a_value_that_is_missing_is_an_error(value: str) -> None:
    with pytest.raises(OmegaConfBaseException):
        plain(OmegaConf.create({"seed": value}))


def test_build_calls_with_every_key() -> None:
    assert build(Options, OmegaConf.create({"seed": 1, "size": 2}), "part") == Options(1, 2)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"seed": 1, "sise": 2}, r"^part\.sise: unknown key \(did you mean 'size'\?\)"),
        ({"seed": "x"}, r"^part\.seed='x'"),
        ({"seed": 1, "size": 0}, "^size=0; accepted: 1 or more"),
        ({"size": 1}, r"^part\.seed: missing key; accepted: seed, size"),
    ],
)
def test_build_refuses_what_does_not_fit(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(Options, OmegaConf.create(config), "part")


def test_options_are_those_keys_that_the_target_has_arguments_for() -> None:
    config = OmegaConf.create({"seed": 1, "size": "${other}", "other": 5, "model": {"x": 1}})
    assert build_options(Options, config) == Options(1, 5)


@pytest.mark.parametrize(
    ("config", "said"), [({"seed": 1.5, "size": 1}, "^seed=1.5: "), ({"seed": 1, "size": 0}, "^size=0")]
)
def test_options_of_wrong_type_or_value_are_named(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_options(Options, OmegaConf.create(config))


def test_a_source_is_what_the_dataset_group_declares() -> None:
    assert source_of(OmegaConf.create({"dataset": REVIEWS, "seed": 1})) == Source(**REVIEWS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "parsing"}, r"^dataset\.task='parsing': .*'classification', 'labeling' or 'multilabel'"),
        ({"pth": "x"}, r"^dataset\.pth: unknown key \(did you mean 'path'\?\)"),
        ({"revision": 7}, r"^dataset\.revision=7: .*string"),
        ({"columns": {"text": "text"}}, r"^dataset\.columns=\['text'\]"),
        ({"columns": {"text": "text", "label": None}}, r"^dataset\.columns\.label=None: .*string"),
        ({"columns": {"text": 0, "label": "1"}}, r"^dataset\.columns\.text=0: .*; in quotes it is one: \"0\""),
        ({"label_names": "abc"}, r"^dataset\.label_names='abc'"),
    ],
)
def test_a_source_that_is_none_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source_of(OmegaConf.create({"dataset": REVIEWS | changes}))


@pytest.mark.parametrize("text", ["gru-1", "gru-1 #0", "it's", "a=b, c", "back\\", "{x} [y]", "null", "1"])
def test_an_option_gives_the_very_text(text: str) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override("run_name", text)])
    assert (parsed.key_or_group, parsed.value()) == ("run_name", text)
