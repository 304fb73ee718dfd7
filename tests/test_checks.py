import pytest
from hypothesis import given
from hypothesis import strategies as st

from unroll.checks import check_name, counted


@pytest.mark.parametrize("name", ["lstm", "demo_reviews", "bilstm-2", "v1.0", "2", "c++", "été", "漢字", 7])
def test_a_name_is_accepted(name: object) -> None:
    check_name("model", name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".kept", "-rf", "a b", "a\n", "a\0", "models:x", "~", []]
)
def test_a_path_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match=r"^model=.*; accepted: a name of letters, digits and \. _ \+ -"):
        check_name("model", name)


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
