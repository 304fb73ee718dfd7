from dataclasses import replace

import pytest

from tests.tiny import OPTIONS


@pytest.mark.parametrize("name", ["batch_size", "patience", "checkpoint_steps", "threads"])
def test_values_below_one_are_refused(name: str) -> None:
    assert getattr(replace(OPTIONS, **{name: 1}), name) == 1
    with pytest.raises(ValueError, match=f"{name}=0; accepted: 1 or more"):
        replace(OPTIONS, **{name: 0})


def test_tokens_of_a_batch_are_at_least_one_or_not_limited() -> None:
    assert [replace(OPTIONS, batch_tokens=limit).batch_tokens for limit in (None, 1)] == [None, 1]
    with pytest.raises(ValueError, match="batch_tokens=0; accepted: 1 or more, or null for no limit"):
        replace(OPTIONS, batch_tokens=0)


def test_a_seed_that_no_generator_takes_is_refused() -> None:
    assert [replace(OPTIONS, seed=seed).seed for seed in (0, 2**32 - 1)] == [0, 2**32 - 1]
    with pytest.raises(ValueError, match="seed=4294967296; accepted: a whole number from 0 to 4294967295"):
        replace(OPTIONS, seed=2**32)
    with pytest.raises(ValueError, match="seed=-1; accepted: a whole number from 0 to 4294967295"):
        replace(OPTIONS, seed=-1)


def test_a_missing_file_of_vectors_is_named() -> None:
    with pytest.raises(ValueError, match=r"vectors=nowhere: no such file.*; accepted: a GloVe"):
        replace(OPTIONS, vectors="nowhere")
