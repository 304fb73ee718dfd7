import pytest

from unroll.data.prepare.tag_scheme import find_scheme
from unroll.data.tags import TagReader, TagScheme


@pytest.mark.parametrize(
    ("scheme", "sentences"),
    [
        ("iob2", ["O B-PER I-PER"]),
        ("iob2", ["O B-PER B-LOC"]),
        ("iob2", ["O B-PER I-PER", "I-PER O"]),  # one row is wrong
        ("iob2", ["O"]),
        ("iob1", ["O I-PER I-PER"]),
        ("iob1", ["I-PER B-PER", "O I-LOC"]),
        ("bioes", ["O S-PER"]),
        ("bioes", ["B-PER I-PER E-PER"]),
        ("bilou", ["O U-PER"]),
        ("bilou", ["B-PER I-PER L-PER O"]),
        ("bmes", ["B-PER M-PER E-PER O"]),
        ("iob2", ["o B_PER I_PER"]),
        ("bilou", ["_ PER-B PER-L"]),
        ("bmes", ["O b-per m-per e-per"]),
        ("iob1", ["O i_per i_per"]),
        ("iob2", ["O B-work-of-art I-creative_work B-creative_work"]),
        ("none", ["DT NN VB ."]),
        ("none", ["NOUN PUNCT X"]),
        ("none", ["-LRB- PRP$ ``"]),
        # not certain: these are refused as tags of IOB2
        ("iob2", ["O PER LOC"]),
        ("iob2", ["O N V"]),
        ("iob2", ["B-PER I-PER NN"]),
        ("iob2", ["O B-PER L-PER S-PER"]),
        ("iob2", ["O B-PER I_LOC"]),
        ("iob2", ["O B-PER i-PER"]),
    ],
)
def test_the_scheme_is_found_in_the_tags(scheme: TagScheme, sentences: list[str]) -> None:
    split = [sentence.split() for sentence in sentences]
    names = sorted({tag for tags in split for tag in tags})
    assert find_scheme(names, split) == scheme


@pytest.mark.parametrize("names", ["O PER LOC", "B-PER I-PER NN", "O B-PER L-PER S-PER", "O B-PER I_PER", "O o B-PER"])
def test_what_is_not_certain_is_refused(names: str) -> None:
    with pytest.raises(ValueError, match=r"is not a tag of the scheme 'iob2' in .*dataset\.tag_scheme=.* or none"):
        TagReader(names.split(), find_scheme(names.split(), []))
