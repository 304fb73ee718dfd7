"""The demo corpus for named-entity recognition has the properties described in its docstring."""

import random
import re
from collections import Counter, defaultdict

import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, auto_detect

from unroll.data.demo import entities
from unroll.data.demo.entities import (
    GRAMMAR_DIR,
    NAMES_FILE,
    PRONOUNS,
    SIZES,
    TAG_NAMES,
    Row,
    Rules,
    expand,
    finish,
    generate,
    read_rules,
    repeats_a_name,
    split_names,
)

Mention = tuple[str, str]  # (type, surface form)
TYPES = {"PER", "ORG", "LOC", "MISC"}


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Row]]:
    return generate()


def tags_of(row: Row) -> list[str]:
    return [TAG_NAMES[tag] for tag in row["ner_tags"]]


def mentions_of(row: Row) -> list[Mention]:
    """The entities of a row according to seqeval."""
    spans = get_entities(tags_of(row))
    return [(kind, " ".join(row["tokens"][start : end + 1])) for kind, start, end in spans]


def mentions_in(rows: list[Row]) -> list[Mention]:
    return [mention for row in rows for mention in mentions_of(row)]


def types_by_form(rows: list[Row]) -> dict[str, Counter[str]]:
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, form in mentions_in(rows):
        types[form][kind] += 1
    return types


def ambiguous_types(rows: list[Row]) -> dict[str, Counter[str]]:
    ambiguous = {production[0] for production in read_rules([GRAMMAR_DIR / NAMES_FILE])["ambiguous"]}
    return {form: types for form, types in types_by_form(rows).items() if form in ambiguous}


def symbols_in(rules: Rules, symbol: str) -> set[str]:
    return {item[1:-1] for production in rules[symbol] for item in production if item.startswith("<")}


def bare_mentions(rows: list[Row]) -> list[tuple[str, str, str]]:
    """The one-token entities: (type, token before, token after), "" before the first token."""
    return [
        (kind, ["", *row["tokens"]][start], row["tokens"][start + 1])
        for row in rows
        for kind, start, end in get_entities(tags_of(row))
        if start == end
    ]


def test_splits_have_the_promised_sizes(corpus):
    assert {split: len(rows) for split, rows in corpus.items()} == SIZES
    assert sum(SIZES.values()) == 8000


def test_every_token_has_a_tag(corpus):
    for rows in corpus.values():
        for row in rows:
            assert len(row["tokens"]) == len(row["ner_tags"])
            assert all(token and not re.search(r"[\s<>|*]", token) for token in row["tokens"])


def test_tags_are_valid_iob2(corpus):
    for rows in corpus.values():
        sequences = [tags_of(row) for row in rows]
        assert auto_detect(sequences) is IOB2
        for tags in sequences:
            for before, tag in zip(["O", *tags], tags, strict=False):
                assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_sentences_have_5_to_35_tokens_and_about_15_on_average(corpus):
    lengths = [len(row["tokens"]) for rows in corpus.values() for row in rows]
    assert min(lengths) >= 5
    assert max(lengths) <= 35
    assert 13 <= sum(lengths) / len(lengths) <= 17


def test_no_sentence_occurs_twice(corpus):
    sentences = [" ".join(row["tokens"]).lower() for rows in corpus.values() for row in rows]
    assert len(set(sentences)) == len(sentences)


def test_sentences_are_well_punctuated(corpus):
    for rows in corpus.values():
        for row in rows:
            text = " ".join(row["tokens"])
            assert text.removeprefix('" ')[0].isupper()
            assert text.endswith(" .")
            assert not re.search(r", [,.]", text)


def test_vocabulary_is_varied(corpus):
    assert len({token for row in corpus["train"] for token in row["tokens"]}) >= 1500


def test_every_type_of_entity_is_frequent_in_every_split(corpus):
    for rows in corpus.values():
        counts = Counter(kind for kind, _ in mentions_in(rows))
        assert counts.keys() == TYPES
        assert min(counts.values()) >= 0.18 * counts.total()
        assert max(counts.values()) <= 0.32 * counts.total()


def test_at_least_60_forms_are_used_as_all_four_types_in_train(corpus):
    all_four = [form for form, types in ambiguous_types(corpus["train"]).items() if types.keys() == TYPES]
    assert len(all_four) >= 60


def test_the_form_of_an_ambiguous_name_says_little_about_its_type(corpus):
    types = ambiguous_types(corpus["train"]).values()
    right = sum(max(counts.values()) for counts in types)
    assert right / sum(counts.total() for counts in types) <= 0.4
    assert all(max(counts.values()) <= 0.6 * counts.total() for counts in types)


def test_bare_ambiguous_names_make_up_a_large_part_of_all_mentions(corpus):
    bare = sum(counts.total() for counts in ambiguous_types(corpus["train"]).values())
    assert bare >= 0.4 * len(mentions_in(corpus["train"]))


def test_three_sentences_in_ten_begin_with_an_entity(corpus):
    for rows in corpus.values():
        assert sum(row["ner_tags"][0] != 0 for row in rows) >= 0.3 * len(rows)


def test_entities_that_begin_a_sentence_are_of_all_types(corpus):
    counts = Counter(tags_of(row)[0] for row in corpus["train"] if row["ner_tags"][0])
    assert min(counts[f"B-{kind}"] for kind in TYPES) >= 0.15 * counts.total()


@pytest.mark.parametrize("following", [",", "'s", "and"])
def test_the_next_word_alone_does_not_settle_an_entity_that_begins_a_sentence(corpus, following):
    mentions = bare_mentions(corpus["train"])
    counts = Counter(kind for kind, before, after in mentions if before == "" and after == following)
    assert counts.keys() == TYPES
    assert max(counts.values()) <= 0.5 * counts.total()


@pytest.mark.parametrize("previous", ["of", "to", "with"])
def test_the_preposition_before_an_entity_alone_does_not_settle_it(corpus, previous):
    counts = Counter(kind for kind, before, _ in bare_mentions(corpus["train"]) if before == previous)
    assert counts.keys() == TYPES
    assert max(counts.values()) <= 0.7 * counts.total()


def test_some_entities_are_settled_only_after_an_aside(corpus):
    far = [row for row in corpus["train"] if row["ner_tags"][0] and "according" in row["tokens"][2:5]]
    assert {tags_of(row)[0][2:] for row in far} == TYPES


def test_a_third_of_the_mentions_have_two_to_five_tokens(corpus):
    lengths = Counter(len(form.split()) for _, form in mentions_in(corpus["train"]))
    assert max(lengths) <= 5
    assert min(lengths[n] for n in (2, 3, 4)) > 0
    assert lengths.total() - lengths[1] >= lengths.total() / 3


def test_lower_case_connectors_stand_inside_every_type_of_entity(corpus):
    mentions = mentions_in(corpus["train"])
    assert {kind for kind, form in mentions if any(word.islower() for word in form.split())} == TYPES


def test_lists_of_entities_of_one_type_occur_for_every_type(corpus):
    lists = Counter(
        first[2:]
        for row in corpus["train"]
        for first, comma, second in zip(tags_of(row), row["tokens"][1:], tags_of(row)[2:], strict=False)
        if comma == "," and first != "O" and second == f"B-{first[2:]}"
    )
    assert min(lists[kind] for kind in TYPES) >= 20


def test_many_capitalised_words_inside_a_sentence_are_no_entities(corpus):
    outside = Counter(
        token
        for row in corpus["train"]
        for token, tag in zip(row["tokens"][2:], row["ner_tags"][2:], strict=True)
        if tag == 0 and token[0].isupper()
    )
    assert outside.keys() >= {"Monday", "October", "Mr", "Dr", "President", "Minister"}
    assert outside.total() >= 1000


def test_at_least_30_per_cent_of_the_test_mentions_are_unseen_in_train(corpus):
    seen = set(mentions_in(corpus["train"]))
    for split in ("validation", "test"):
        mentions = mentions_in(corpus[split])
        assert sum(mention not in seen for mention in mentions) >= 0.3 * len(mentions)


def test_unseen_mentions_are_of_every_type(corpus):
    seen = set(mentions_in(corpus["train"]))
    unseen = Counter(kind for kind, form in mentions_in(corpus["test"]) if (kind, form) not in seen)
    assert min(unseen[kind] for kind in TYPES) >= 100


def test_names_held_out_for_the_test_split_occur_in_no_other():
    names = read_rules([GRAMMAR_DIR / NAMES_FILE])
    splits = split_names(names, random.Random(0))
    for symbol, productions in names.items():
        held_out = set(splits["test"][symbol]) - set(splits["train"][symbol])
        assert len(held_out) == round(entities.HELD_OUT_SHARE * len(productions))
        assert not held_out & set(splits["validation"][symbol])


def test_same_seed_gives_the_same_rows(corpus):
    assert generate() == corpus


def test_another_seed_gives_other_rows(corpus):
    assert generate(7)["train"][:50] != corpus["train"][:50]


def test_every_symbol_of_the_grammar_is_defined_and_used():
    rules = read_rules(sorted(GRAMMAR_DIR.glob("*.txt"))) | PRONOUNS[0]
    used = set().union(*(symbols_in(rules, symbol) for symbol in rules))
    assert used | {"sentence"} == rules.keys()


def test_no_entity_holds_another():
    rules = read_rules(sorted(GRAMMAR_DIR.glob("*.txt"))) | PRONOUNS[0]

    def all_symbols_in(symbol: str) -> set[str]:
        inner = symbols_in(rules, symbol)
        return inner.union(*map(all_symbols_in, inner))

    for symbol in rules:
        if symbol[0].isupper():
            assert all(inner[0].islower() for inner in all_symbols_in(symbol))


def test_names_are_listed_once():
    for productions in read_rules([GRAMMAR_DIR / NAMES_FILE]).values():
        assert len(productions) == len(set(productions))


def test_productions_are_read_with_their_weights(tmp_path):
    (tmp_path / "rules.txt").write_text("# jobs\n\n[who]\n 3 * the <job> | a <job>\nnobody\n")
    productions = [("the", "<job>")] * 3 + [("a", "<job>"), ("nobody",)]
    assert read_rules([tmp_path / "rules.txt"]) == {"who": productions}


def test_expand_tags_an_upper_case_symbol_as_one_entity():
    rules = {"s": [("the", "<ORG.bank>")], "ORG.bank": [("Bank", "of", "<town>")], "town": [("La", "Paz")]}
    tagged = [("the", "O"), ("Bank", "B-ORG"), ("of", "I-ORG"), ("La", "I-ORG"), ("Paz", "I-ORG")]
    assert expand("s", rules, random.Random(0)) == tagged


@pytest.mark.parametrize(
    ("written", "finished"),
    [
        ("a owl saw a Austin", "An owl saw an Austin"),
        ("it was a European and a banker", "It was a European and a banker"),
        ('" rain fell , " he said', '" Rain fell , " he said'),
    ],
)
def test_finish_adds_an_and_the_first_capital(written, finished):
    sentence = [(token, "O") for token in written.split()]
    assert finish(sentence) == [(token, "O") for token in finished.split()]


def test_repeats_a_name_looks_at_capitalised_entity_tokens_alone():
    assert repeats_a_name([("Ford", "B-PER"), ("in", "O"), ("Ford", "B-LOC")])
    assert not repeats_a_name([("May", "B-PER"), ("in", "O"), ("May", "O")])
    assert not repeats_a_name([("A", "B-PER"), ("de", "I-PER"), ("B", "B-PER"), ("de", "I-PER")])
