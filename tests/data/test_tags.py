from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from unroll.data.tags import Span, TagReader, TagScheme, find_scheme, spans, valid_iob2

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-geo-pol", "I-geo-pol"]
sentences = st.lists(st.sampled_from(TAGS), max_size=12)


def test_spans_of_an_iob2_sentence() -> None:
    tags = ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC"]
    assert spans(tags) == [Span("PER", 0, 2), Span("LOC", 3, 4), Span("LOC", 4, 6)]


def test_inside_after_outside_opens_a_span() -> None:
    assert spans(["O", "I-PER", "I-PER"]) == [Span("PER", 1, 3)]


def test_inside_of_another_type_opens_a_span() -> None:
    assert spans(["B-PER", "I-LOC"]) == [Span("PER", 0, 1), Span("LOC", 1, 2)]


def test_type_may_hold_a_hyphen() -> None:
    assert spans(["B-geo-pol", "I-geo-pol"]) == [Span("geo-pol", 0, 2)]


def test_no_tags_no_spans() -> None:
    assert spans([]) == []


@given(sentences)
def test_spans_equal_seqeval_default_mode(tags: list[str]) -> None:
    expected = [Span(name, first, last + 1) for name, first, last in get_entities(tags)]
    assert spans(tags) == expected


def conlleval_spans(tags: list[str]) -> list[Span]:
    """The rules of the script: between two tokens, whether a chunk ends and whether one starts."""
    found, start = [], 0
    for position, (before, here) in enumerate(pairwise(["O", *tags, "O"])):
        before_type, here_type = before[2:], here[2:]
        pair = before[0] + here[0]
        if pair in ("BB", "BO", "IB", "IO") or (before != "O" and before_type != here_type):
            found.append(Span(before_type, start, position))
        if pair in ("BB", "IB", "OB", "OI") or (here != "O" and before_type != here_type):
            start = position
    return found


@given(sentences)
def test_spans_follow_the_conlleval_chunk_rules(tags: list[str]) -> None:
    assert spans(tags) == conlleval_spans(tags)


def test_iob2_names_are_accepted() -> None:
    assert TagReader(TAGS, "iob2").names == TAGS


@pytest.mark.parametrize("name", ["PER", "S-PER", "B-", "B", "", "o", "O-PER", "BPER"])
def test_a_name_that_is_no_iob_tag_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}' is not a tag of the scheme 'iob2'"):
        TagReader(["O", "B-LOC", name], "iob2")


def test_inside_without_its_beginning_is_named() -> None:
    with pytest.raises(ValueError, match="'I-PER' has no 'B-PER'"):
        TagReader(["O", "B-LOC", "I-PER"], "iob2")


IOB2 = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
iob2_sentences = st.lists(st.tuples(st.sampled_from(["O", "PER", "LOC"]), st.integers(1, 3)), max_size=6).map(
    lambda pieces: [
        tag
        for kind, length in pieces
        for tag in (["O"] * length if kind == "O" else [f"B-{kind}"] + [f"I-{kind}"] * (length - 1))
    ]
)


def in_bioes(tags: list[str]) -> list[str]:
    """Convert each tag depending on its successor."""
    ends = [following[0] != "I" for following in [*tags[1:], "O"]] if tags else []
    letters = {("B", True): "S", ("B", False): "B", ("I", True): "E", ("I", False): "I"}
    return [tag if tag == "O" else letters[tag[0], end] + tag[1:] for tag, end in zip(tags, ends, strict=True)]


def in_iob1(tags: list[str]) -> list[str]:
    """Convert each tag depending on its predecessor; B only if it is necessary."""
    before = ["O", *tags[:-1]]
    return [
        "I" + tag[1:] if tag[0] == "B" and last[1:] != tag[1:] else tag for tag, last in zip(tags, before, strict=False)
    ]


@given(iob2_sentences)
def test_any_sentence_reads_alike_in_iob2_iob1_and_bioes(tags: list[str]) -> None:
    types = ["PER", "LOC"]
    bioes = ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BIES")]
    assert TagReader(IOB2, "iob2").read(tags) == tags
    assert TagReader(IOB2, "iob1").read(in_iob1(tags)) == tags
    assert TagReader(bioes, "bioes").read(in_bioes(tags)) == tags


def test_the_names_of_any_scheme_become_iob2() -> None:
    assert TagReader(["B-LOC", "O", "I-LOC"], "iob2").names == ["B-LOC", "O", "I-LOC"]
    assert TagReader(["I-LOC", "O"], "iob1").names == ["O", "B-LOC", "I-LOC"]
    assert TagReader(["O", "S-LOC", "S-PER"], "bioes").names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert TagReader(["O", "art-film", "I-beam"], "io").names == [
        "O",
        "B-art-film",
        "I-art-film",
        "B-I-beam",
        "I-I-beam",
    ]


@pytest.mark.parametrize(
    ("scheme", "names", "tags", "iob2"),
    [
        ("iob2", "O B_PER I_PER", "B_PER I_PER O", "B-PER I-PER O"),
        ("iob2", "o b-PER", "b-PER i-PER o", "B-PER I-PER O"),
        ("iob2", "_ PER-B LOC_X-B", "PER-B PER-I LOC_X-B _", "B-PER I-PER B-LOC_X O"),
        ("iob2", "O B-work-of-art B-creative_work", "B-work-of-art I-work-of-art B-creative_work", None),
        (
            "iob2",
            "O B_creative_work B_work-of-art",
            "B_creative_work I_creative_work",
            "B-creative_work I-creative_work",
        ),
        ("iob1", "O I-PER", "I-PER I-PER B-PER O", "B-PER I-PER B-PER O"),
        ("bioes", "O S-PER", "B-PER I-PER E-PER S-PER", "B-PER I-PER I-PER B-PER"),
        ("bilou", "O U-PER", "B-PER I-PER L-PER U-PER", "B-PER I-PER I-PER B-PER"),
        ("bmes", "O PER_s", "PER_b PER_m PER_e PER_s O", "B-PER I-PER I-PER B-PER O"),
        ("io", "o I_PER", "I_PER I_PER o", "B-PER I-PER O"),
        ("io", "_ PER", "PER PER _", "B-PER I-PER O"),
    ],
)
def test_tags_are_read_in_any_notation_with_all_positions_of_a_known_type(
    scheme: TagScheme, names: str, tags: str, iob2: str | None
) -> None:
    reader = TagReader(names.split(), scheme)
    assert " ".join(reader.read(tags.split())) == (iob2 or tags)
    assert set(reader.read(tags.split())) <= set(reader.names)


def test_missing_tags_of_iob2_are_added_at_the_end() -> None:
    assert TagReader(["B-LOC", "B-PER", "I-LOC"], "iob2").names == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


@pytest.mark.parametrize("tag", ["B-LOC", "b-PER", "B_PER", "PER", "", "L-PER"])
def test_a_tag_of_an_unknown_type_or_written_otherwise_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=f"^unknown label '{tag}'$"):
        TagReader(["O", "S-PER"], "bioes").read(["O", tag])


@given(sentences)
def test_valid_iob2_has_the_same_spans_and_only_valid_sequences(tags: list[str]) -> None:
    valid = valid_iob2(tags)
    assert spans(valid) == spans(tags)
    assert TagReader(TAGS, "iob2").read(valid) == valid


@pytest.mark.parametrize("prefix", ["", "I-"])
def test_neighbours_of_one_type_are_one_entity_in_io(prefix: str) -> None:
    reader = TagReader(["O", f"{prefix}PER", f"{prefix}LOC"], "io")
    tags = [tag if tag == "O" else prefix + tag for tag in ("PER", "PER", "LOC", "O", "LOC")]
    assert reader.read(tags) == ["B-PER", "I-PER", "B-LOC", "O", "B-LOC"]


@pytest.mark.parametrize(
    ("scheme", "tags", "reason"),
    [
        ("iob2", ["O", "I-PER"], "I-PER after O"),
        ("iob2", ["B-PER", "I-LOC"], "I-LOC after B-PER"),
        ("iob2", ["I-PER"], "I-PER after the start"),
        ("bioes", ["B-PER", "O"], "O after B-PER"),
        ("bioes", ["E-PER"], "E-PER after the start"),
        ("bioes", ["B-PER", "S-PER"], "S-PER after B-PER"),
        ("bioes", ["S-PER", "I-PER"], "I-PER after S-PER"),
        ("bioes", ["B-PER", "E-LOC"], "E-LOC after B-PER"),
        ("bioes", ["O", "B-PER"], "the end after B-PER"),
    ],
)
def test_a_sequence_that_the_scheme_does_not_have_is_refused(scheme: TagScheme, tags: list[str], reason: str) -> None:
    names = [f"{prefix}-{kind}" for prefix in ("BIES" if scheme == "bioes" else "BI") for kind in ("PER", "LOC")]
    with pytest.raises(ValueError, match=f"invalid tag sequence: {reason}"):
        TagReader(["O", *names], scheme).read(tags)


@pytest.mark.parametrize(
    ("scheme", "name"), [("bioes", "U-PER"), ("iob1", "S-PER"), ("iob2", "E-PER"), ("iob1", "PER")]
)
def test_a_name_of_another_scheme_is_refused_with_the_option(scheme: TagScheme, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.*dataset\.tag_scheme="):
        TagReader(["O", "B-PER", name], scheme)


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
