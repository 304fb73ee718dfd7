import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.checks import check_least, check_name, check_seed, closest, counted


@pytest.mark.parametrize("name", ["lstm", "demo_reviews", "bilstm-2", "v1.0", "2", "c++", "été", "漢字", 7])
def test_a_name_is_accepted(name: object) -> None:
    check_name("model", name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".kept", "-rf", "a b", "a\n", "a\0", "models:x", "~", []]
)
def test_a_path_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match=r"^model=.*; accepted: a name of letters, digits and \. _ \+ -"):
        check_name("model", name)


@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_value_below_the_least_is_refused(value: float) -> None:
    check_least(1, size=1, other=None)
    with pytest.raises(ValueError, match=f"^size={value}; accepted: 1 or more$"):
        check_least(1, size=value)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_a_seed_is_a_whole_number_of_32_bits(seed: Any) -> None:
    check_seed("seed", 0)
    check_seed("seed", 2**32 - 1)
    with pytest.raises(ValueError, match=f"^corpus.seed={seed}; accepted: a whole number from 0 to 4294967295$"):
        check_seed("corpus.seed", seed)


@pytest.mark.parametrize(
    ("value", "found"), [("Lstm", "LSTM"), ("lsmt", "LSTM"), ("gru", "GRU"), ("transformer", None)]
)
def test_the_closest_name_is_found_whatever_its_case(value: str, found: str | None) -> None:
    assert closest(value, ["Elman", "GRU", "LSTM"]) == found


@given(st.text())
def test_an_accepted_name_stays_in_its_folder(name: str) -> None:
    try:
        check_name("model", name)
    except ValueError:
        return
    assert not {"/", "\\", "\0", ":"} & set(name)
    assert name not in ("", ".", "..")


def test_one_is_not_a_plural() -> None:
    assert [counted(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
