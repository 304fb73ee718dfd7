import itertools

from hypothesis import given
from hypothesis import strategies as st

from unroll.nn.constraints import iob2_constraints


def is_iob2(path: tuple[str, ...]) -> bool:
    return all(
        not name.startswith("I-") or before in (f"B-{name[2:]}", name)
        for before, name in zip(("", *path), path, strict=False)
    )


def test_a_type_is_continued_only_where_it_is_open() -> None:
    starts, transitions = iob2_constraints(["O", "B-A", "I-A", "B-B"])
    assert starts.tolist() == [True, True, False, True]
    assert transitions.tolist() == [
        [True, True, False, True],  # from O
        [True, True, True, True],  # from B-A
        [True, True, True, True],  # from I-A
        [True, True, False, True],  # from B-B
    ]


@given(names=st.permutations(["O", "B-A", "I-A", "B-AB", "I-AB", "B-B-A"]))
def test_exactly_the_iob2_paths_are_allowed_whatever_the_order_of_names(names: list[str]) -> None:
    starts, transitions = iob2_constraints(names)
    for path in itertools.product(range(len(names)), repeat=3):
        allowed = bool(starts[path[0]]) and all(bool(transitions[pair]) for pair in itertools.pairwise(path))
        assert allowed == is_iob2(tuple(names[label] for label in path))
