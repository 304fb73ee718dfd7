"""The demo corpus for sentiment has the properties described in its dataset card."""

import random
import re
from collections import Counter, defaultdict

import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from unroll.data.demo.reviews import (
    LABEL_NAMES,
    NEGATIVE,
    POSITIVE,
    SIZES,
    Grammar,
    Row,
    Writer,
    generate,
    load_grammar,
)
from unroll.data.tokenizer import Tokenizer

tokenize = Tokenizer().tokenize

DOMAINS = ["film", "restaurant", "hotel", "book", "gadget"]
CUE_LISTS = ["adj", "noun", "verb", "verb_base"]
SLOT = re.compile(r"<(\w+)[+?-]?>")

Corpus = dict[str, list[Row]]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate()


@pytest.fixture(scope="module")
def cues() -> dict[str, int]:
    """All positive and negative words with their label."""
    suggested = {}
    for domain in DOMAINS:
        grammar = load_grammar(domain, unseen=False)
        for label, name in enumerate(LABEL_NAMES):
            suggested |= {cue: label for words in CUE_LISTS for cue in grammar[f"{words}_{name}"]}
    return suggested


def words(text: str) -> list[str]:
    return [token.lower() for token in tokenize(text)]


def vocabulary(rows: list[Row]) -> set[str]:
    return {word for row in rows for word in words(row["text"])}


def every_row(corpus: Corpus) -> list[Row]:
    return [row for rows in corpus.values() for row in rows]


def word_lists(grammar: Grammar) -> Grammar:
    return {symbol: items for symbol, items in grammar.items() if not SLOT.search(" ".join(items))}


def test_splits_have_the_promised_sizes(corpus):
    assert {split: len(rows) for split, rows in corpus.items()} == SIZES
    assert SIZES == {"train": 5600, "validation": 800, "test": 1600}


def test_both_labels_are_equally_frequent_in_every_split(corpus):
    for rows in corpus.values():
        assert Counter(row["label"] for row in rows) == {0: len(rows) // 2, 1: len(rows) // 2}


def test_texts_have_5_to_60_tokens_and_about_20_on_average(corpus):
    lengths = [len(tokenize(row["text"])) for row in every_row(corpus)]
    assert min(lengths) == 5
    assert 55 <= max(lengths) <= 60
    assert sum(lengths) / len(lengths) == pytest.approx(21, abs=2)


def test_at_least_a_fifth_of_every_split_has_30_tokens_or_more(corpus):
    for rows in corpus.values():
        assert sum(len(tokenize(row["text"])) >= 30 for row in rows) / len(rows) >= 0.2


def test_no_text_occurs_twice(corpus):
    texts = [" ".join(words(row["text"])) for row in every_row(corpus)]
    assert len(texts) == len(set(texts))


def test_vocabulary_is_varied(corpus):
    assert len(vocabulary(corpus["train"])) >= 1500


def test_some_words_occur_in_the_test_split_alone_and_none_of_them_is_a_cue(corpus, cues):
    unseen = vocabulary(corpus["test"]) - vocabulary(corpus["train"]) - vocabulary(corpus["validation"])
    assert len(unseen) >= 80
    assert unseen.isdisjoint(cues)


def test_every_cue_of_the_test_split_is_frequent_in_train(corpus, cues):
    counts = Counter(word for row in corpus["train"] for word in words(row["text"]))
    assert min(counts[cue] for cue in cues) >= 10


def test_texts_are_well_written(corpus):
    for row in every_row(corpus):
        assert re.fullmatch(r"[A-Z].*[.!]", row["text"])
        assert not re.search(r"[<>{}_]|  | [.,!?;:]|[.!?] [a-z]", row["text"])
        assert not re.search(r"\b[Aa] (?!us|univ)[aeiou]|\b[Aa]n [^aeiou]", row["text"])


# --- limits of a bag of words ---------------------------------------------------------------------------------


def test_every_cue_is_in_texts_of_both_labels(corpus, cues):
    agreements = defaultdict(list)
    for row in corpus["train"]:
        for cue in cues.keys() & set(words(row["text"])):
            agreements[cue].append(cues[cue] == row["label"])
    assert all(0.1 < sum(found) / len(found) < 0.9 for found in agreements.values())
    together = [agrees for found in agreements.values() for agrees in found]
    assert sum(together) / len(together) == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("word", ["not", "never", "hardly", "wasn't", "nobody", "no", "nothing", "but", "although"])
def test_negators_and_conjunctions_say_nothing_by_themselves(corpus, word):
    labels = [row["label"] for row in every_row(corpus) if word in words(row["text"])]
    assert len(labels) >= 200
    assert sum(labels) / len(labels) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("vectorizer", [CountVectorizer, TfidfVectorizer])
def test_a_bag_of_words_stays_at_80_per_cent_or_less(corpus, vectorizer):
    features = vectorizer(tokenizer=tokenize, token_pattern=None)
    model = make_pipeline(features, LogisticRegression(max_iter=500))
    texts, labels = (
        {split: [row[column] for row in rows] for split, rows in corpus.items()} for column in ("text", "label")
    )
    model.fit(texts["train"], labels["train"])
    assert 0.5 < model.score(texts["test"], labels["test"]) <= 0.8


def test_a_third_of_the_texts_have_a_twin_of_the_same_words_and_the_other_label(corpus):
    for rows in corpus.values():
        labels = defaultdict(set)
        for row in rows:
            labels[tuple(sorted(words(row["text"])))].add(row["label"])
        twins = sum(labels[tuple(sorted(words(row["text"])))] == {0, 1} for row in rows)
        assert twins / len(rows) >= 0.33


# --- the rules: {cue} is a positive or negative word ------------------------------------------------------------

AGREES = {
    "plain": r"The (?!last |[\w ]+ that )[\w ]+ (?:was|felt|seemed) {cue}(?: to me)?\.",
    "end of scope: and": r"Not the usual \w+(?: \w+)?, and {cue}\.",
    "end of scope: more": r"The [\w ]+ could not have been more {cue}\.",
    "double negation: true": r"It is not true that the [\w ]+ was not {cue}\.",
    "double negation: say": r"I cannot say that the [\w ]+ was not {cue}\.",
    "double negation: deny": r"There is no denying that the [\w ]+ was {cue}\.",
    "contrast: but": r"(?!Although|While)[^.;]*, (?:but|yet) the [\w ]+ (?:was|felt) {cue}\.",
    "contrast: although first": r"(?:Although|Even though) [^.,]+, the [\w ]+ was {cue}\.",
    "contrast: although last": r"The [\w ]+ (?:was|is|felt) {cue}, (?:although|even though|though) [^.]+\.",
    "correction: but": r"The [\w ]+ was not \w+ but {cue}\.",
    "correction: not": r"The [\w ]+ was {cue}, not \w+\.",
}
OPPOSES = {
    "negation: not": r"The [\w ]+ (?:was not|wasn't|was never|was hardly|was anything but) {cue}(?: at all)?\.",
    "negation: nobody": r"(?:Nobody could call|I didn't find|I never thought) the [\w ]+ {cue}\.",
    "negation: true": r"It is not true that the [\w ]+ was {cue}\.",
    "contrast: negated": r"[^.;]*, (?:but|yet) the [\w ]+ (?:was not|wasn't|isn't|was never|was far from) {cue}\.",
}


@pytest.mark.parametrize(
    ("pattern", "agrees"),
    [pytest.param(pattern, True, id=name) for name, pattern in AGREES.items()]
    + [pytest.param(pattern, False, id=name) for name, pattern in OPPOSES.items()],
)
def test_the_deciding_cue_gives_the_label(corpus, cues, pattern, agrees):
    verdict = re.compile(pattern.replace("{cue}", r"(\w+)") + "(?! However| Still)")
    found = 0
    for row in every_row(corpus):
        match = verdict.match(row["text"])
        if match and match[1] in cues:
            assert (cues[match[1]] == row["label"]) == agrees, row
            found += 1
    assert found >= 10


def test_opinions_of_others_say_nothing(corpus, cues):
    others = re.compile(r"(?:My \w+ calls everything|According to \w+, the [\w ]+ was) (\w+)\.")
    agreements = [cues[match[1]] == row["label"] for row in every_row(corpus) for match in others.finditer(row["text"])]
    assert len(agreements) >= 300
    assert sum(agreements) / len(agreements) == pytest.approx(0.5, abs=0.06)


def test_most_long_texts_begin_with_the_verdict_and_every_text_has_one(corpus):
    fillers = re.compile("|".join(filler_patterns()), re.IGNORECASE)
    begins = []
    for row in every_row(corpus):
        sentences = re.split(r"(?<=[.!]) ", row["text"])
        is_verdict = [not fillers.fullmatch(sentence) for sentence in sentences]
        assert 1 <= sum(is_verdict) <= 2, row  # two if they are contrasted by "However"
        if len(tokenize(row["text"])) >= 30:
            begins.append(is_verdict[0])
    assert sum(begins) / len(begins) >= 0.5


def filler_patterns() -> set[str]:
    """The neutral sentences of the grammar as regular expressions that accept any words in slots."""
    grammars = [load_grammar(domain, unseen=True) for domain in DOMAINS]
    patterns = {pattern for grammar in grammars for pattern in grammar["fact"] + grammar["aside"]}
    return {re.sub(r"\ba (?=\[)", "an? ", SLOT.sub(r"[\\w' ]+", p.replace(".", r"\."))) for p in patterns}


# --- the grammar and its writer -------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_symbol_of_the_grammar_is_defined(domain):
    grammar = load_grammar(domain, unseen=True)
    for symbol, mark in {
        slot for items in grammar.values() for item in items for slot in re.findall(r"<(\w+)([+?-]?)>", item)
    }:
        polar = {f"{symbol}_{name}" for name in LABEL_NAMES} <= grammar.keys()
        assert symbol in grammar or (polar and mark), symbol


@pytest.mark.parametrize("domain", DOMAINS)
def test_neutral_words_and_sentences_hold_no_cue(domain, cues):
    grammar = load_grammar(domain, unseen=True)
    polar = {f"{symbol}_{name}" for symbol in CUE_LISTS for name in LABEL_NAMES}
    neutral = {symbol: items for symbol, items in word_lists(grammar).items() if symbol not in polar}
    neutral["fact"] = grammar["fact"]
    for symbol, items in neutral.items():
        assert cues.keys().isdisjoint(words(" ".join(items))), symbol


@pytest.mark.parametrize("domain", DOMAINS)
def test_unseen_words_are_in_no_list_of_the_other_splits(domain):
    known, every = (word_lists(load_grammar(domain, unseen=unseen)) for unseen in (False, True))
    added = {item for symbol in every for item in every[symbol][len(known[symbol]) :]}
    assert len(added) >= 80
    assert added.isdisjoint(item for items in known.values() for item in items)


@pytest.mark.parametrize(("sign", "expected"), [(POSITIVE, "good not bad"), (NEGATIVE, "bad not good")])
def test_signs_of_nested_slots_multiply(sign, expected):
    grammar = {"clause": ["not <adj->"], "adj_positive": ["good"], "adj_negative": ["bad"]}
    grammar["denied"] = ["<clause+>"]
    assert Writer(grammar, random.Random(0)).expand("<adj+> <denied+>", sign) == expected


def test_a_polar_word_without_a_sign_is_refused():
    with pytest.raises(KeyError, match="adj"):
        Writer({"adj_positive": ["good"], "adj_negative": ["bad"]}, random.Random(0)).expand("<adj>")


def test_twins_exchange_the_contents_of_their_signed_slots():
    grammar = {
        "contrast": ["the <part> is <adj->, but <adj+>"],
        "part": ["plot"],
        "adj_positive": ["good"],
        "adj_negative": ["bad"],
    }
    twins = Writer(grammar, random.Random(0)).twin_verdicts("contrast")
    assert twins == ("the plot is good, but bad", "the plot is bad, but good")


def test_a_writer_uses_every_word_once_before_it_repeats_one():
    writer = Writer({"part": ["plot", "cast", "score"]}, random.Random(0))
    assert sorted(writer.expand("<part> <part> <part>").split()) == ["cast", "plot", "score"]


def test_same_seed_gives_the_same_rows(corpus):
    assert generate() == corpus


def test_another_seed_gives_other_rows(corpus):
    assert generate(seed=1)["train"] != corpus["train"]
