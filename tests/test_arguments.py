from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.arguments import check_arguments, check_factory, check_targets
from unroll.checks import unknown_key

HERE = __name__


@dataclass
class Layer:
    size: int
    kind: Literal["last", "mean"] = "last"
    rate: float = 0.5
    names: list[str] | None = None
    flag: bool = False
    inner: Callable[[int], int] | None = None


class Base:
    """Represents a class that pydantic does not support."""


def build(part: Base, *, size: int, untyped=None) -> None:  # type: ignore[no-untyped-def]
    pass


def partly_resolvable(size: int, other: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


def takes_anything(size: int, **others: Any) -> None:
    pass


def refused(target: Callable[..., Any], arguments: dict[str, Any], where: str = "model") -> str:
    with pytest.raises(ValueError) as error:
        check_arguments(target, arguments, where)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"size": 3, "kind": "mean", "rate": 0.1, "names": ["a"], "flag": True},
        {"names": None},
        {"rate": 1},
    ],
)
def test_arguments_of_the_right_names_and_types_pass(arguments: dict[str, Any]) -> None:
    check_arguments(Layer, arguments, "model")


def test_an_annotation_that_cannot_be_resolved_leaves_the_others_checked() -> None:
    check_arguments(partly_resolvable, {"size": 3, "other": "anything"}, "model")
    assert refused(partly_resolvable, {"size": "x"}) == "model.size='x': input should be a valid integer"


def test_an_unknown_key_is_named_with_the_closest_and_all_accepted() -> None:
    assert refused(Layer, {"sise": 3}) == (
        "model.sise: unknown key (did you mean 'size'?); accepted: size, kind, rate, names, flag, inner"
    )


def test_nothing_is_suggested_for_a_key_like_no_other() -> None:
    assert unknown_key("model.xyz", "xyz", ["size", "rate"]) == "model.xyz: unknown key; accepted: size, rate"


def test_a_key_at_the_root_has_no_prefix() -> None:
    assert refused(Layer, {"sise": 3}, where="").startswith("sise: unknown key")


def test_self_is_no_key() -> None:
    class Ordinary:
        def __init__(self, size: int) -> None:
            pass

    assert refused(Ordinary, {"x": 1}).endswith("accepted: size")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": "big"}, ["model.size='big'", "integer"]),
        ({"size": 1.5}, ["model.size=1.5", "integer"]),
        ({"size": True}, ["model.size=True", "integer"]),
        ({"size": None}, ["model.size=None", "integer"]),
        ({"rate": "0.5"}, ["model.rate='0.5'", "number"]),
        ({"flag": 1}, ["model.flag=1", "boolean"]),
        ({"kind": "max"}, ["model.kind='max'", "'last' or 'mean'"]),
        ({"names": "abc"}, ["model.names='abc'", "list"]),
        ({"names": [1]}, ["model.names=[1]", "string"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(arguments: dict[str, Any], said: list[str]) -> None:
    message = refused(Layer, arguments)
    for part in said:
        assert part in message


def takes_either(size: int | Literal["all", "none"], inner: Callable[[int], int] | None = None) -> None:
    pass


def test_of_a_union_every_type_is_accepted() -> None:
    said = refused(takes_either, {"size": "al"})
    assert said == "model.size='al': input should be a valid integer or 'all' or 'none'"


def test_where_an_object_is_built_a_target_is_accepted() -> None:
    said = "model.inner='abs': input should be a mapping with _target_"
    assert refused(takes_either, {"inner": "abs"}) == said


@given(st.text())
def test_only_the_listed_choices_pass(value: str) -> None:
    if value in ("last", "mean"):
        check_arguments(Layer, {"kind": value}, "model")
    else:
        assert f"model.kind={value!r}" in refused(Layer, {"kind": value})


def test_a_part_to_be_built_is_not_checked_as_a_value() -> None:
    check_arguments(Layer, {"inner": {"_target_": f"{HERE}.Layer", "_partial_": True}}, "model")


def test_annotations_that_are_no_plain_types_are_left_to_the_target() -> None:
    check_arguments(build, {"part": 3, "size": 1, "untyped": object()}, "model")
    assert "model.size='x'" in refused(build, {"size": "x"})


def test_a_target_that_takes_any_key_gets_any_but_its_own_are_checked() -> None:
    check_arguments(takes_anything, {"size": 1, "colour": "red"}, "model")
    assert "model.size='x'" in refused(takes_anything, {"size": "x", "colour": "red"})


def target(**arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{HERE}.Layer", **arguments}


def test_hydra_s_own_keys_are_no_arguments() -> None:
    check_targets(target(_partial_=True, _convert_="all", _recursive_=False, size=1), "model")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lr": 1}, "optimizer._target_: missing key"),
        (target(size=1), "optimizer._partial_=None; accepted: true"),
        (target(_partial_=1), "optimizer._partial_=1; accepted: true"),
        (target(_partial_=True, sise=1), "optimizer.sise: unknown key"),
    ],
)
def test_a_factory_names_its_target_and_is_partial(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        check_factory(config, "optimizer")
    assert str(error.value).startswith(said)
    check_factory(target(_partial_=True, size=1), "optimizer")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (target(sise=1), "model.sise: unknown key (did you mean 'size'?)"),
        (target(inner=target(size="x")), "model.inner.size='x'"),
        (target(inner=target(inner=target(colour=1))), "model.inner.inner.colour: unknown key"),
        ({"plain": {"deeper": target(kind="sum")}}, "model.plain.deeper.kind='sum'"),
    ],
)
def test_targets_are_checked_at_every_depth(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        check_targets(config, "model")
    assert said in str(error.value)


@pytest.mark.parametrize("name", [f"{HERE}.Leyer", "no_such_package.Layer", "nothing", ""])
def test_a_target_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ValueError) as error:
        check_targets({"inner": {"_target_": name}}, "model")
    assert f"model.inner._target_={name!r} cannot be imported" in str(error.value)


@pytest.mark.parametrize("config", [None, 3, "text", [1, 2], {}, {"size": "anything"}])
def test_what_has_no_target_passes(config: Any) -> None:
    check_targets(config, "model")
