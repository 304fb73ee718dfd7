"""The demo corpus for named-entity recognition: sentences from a small grammar, labelled as they are written.

The corpus is built so that a token's own form says little. Most names stand for a person, an organisation,
a place and a work about equally often, and what settles the type stands to the right of the name as often as
to the left. A network must therefore read the whole sentence, in both directions.

The grammar lies in `words/entities/*.txt`. A heading `[symbol]` is followed by its productions, one a line or
several separated by `|`; `3 * ` before a production gives it three times the weight; `<symbol>` is expanded
in its turn. A symbol in upper case (`<PER>`, `<ORG.club>`) is one mention of an entity; its type stands
before the dot.
"""

import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

TAG_NAMES = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
SIZES = {"train": 5600, "validation": 800, "test": 1600}
MIN_TOKENS, MAX_TOKENS = 5, 35

Production = tuple[str, ...]
Rules = dict[str, list[Production]]
Sentence = list[tuple[str, str]]  # (token, tag)

GRAMMAR_DIR = Path(__file__).with_name("words") / "entities"
NAMES_FILE = "names.txt"
# This share of each list of names is kept for the validation split alone, and as much for the test split.
HELD_OUT_SHARE = 0.15
# A held-out name is drawn this many times as often as another, so that unseen entities are frequent.
HELD_OUT_WEIGHT = 2
# One of these holds for a whole sentence, so that "his" and "she" do not meet in it.
PRONOUNS: list[Rules] = [{"he": [("he",)], "his": [("his",)]}, {"he": [("she",)], "his": [("her",)]}]


class Row(TypedDict):
    """One sentence; `ner_tags` has an index into TAG_NAMES for every token."""

    tokens: list[str]
    ner_tags: list[int]


def generate(seed: int = 2024) -> dict[str, list[Row]]:
    """Write the train, validation and test split, tagged in IOB2.

    The same seed gives the same rows. No sentence occurs twice, within a split or across them.
    """
    rng = random.Random(seed)
    grammar = read_rules(path for path in sorted(GRAMMAR_DIR.glob("*.txt")) if path.name != NAMES_FILE)
    names = split_names(read_rules([GRAMMAR_DIR / NAMES_FILE]), rng)
    seen: set[str] = set()
    return {split: write_rows(size, grammar | names[split], seen, rng) for split, size in SIZES.items()}


def read_rules(paths: Iterable[Path]) -> Rules:
    """Read grammar files; a symbol that stands in several files has the productions of all."""
    rules: Rules = {}
    for path in paths:
        symbol = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if heading := re.fullmatch(r"\[(.+)\]", line):
                symbol = heading[1]
            elif line and not line.startswith("#"):
                for alternative in line.split("|"):
                    weight, production = parse_production(alternative)
                    rules.setdefault(symbol, []).extend([production] * weight)
    return rules


def parse_production(text: str) -> tuple[int, Production]:
    """Read `3 * the <job>` as (3, ("the", "<job>")); the weight is 1 where none is given."""
    weighted = re.fullmatch(r"\s*(\d+) \* (.*)", text)
    weight, words = (int(weighted[1]), weighted[2]) if weighted else (1, text)
    return weight, tuple(words.split())


def split_names(names: Rules, rng: random.Random) -> dict[str, Rules]:
    """Share the names out: most to every split, some to the validation or the test split alone."""
    splits: dict[str, Rules] = {split: {} for split in SIZES}
    for symbol, productions in names.items():
        shuffled = rng.sample(productions, len(productions))
        held_out = round(HELD_OUT_SHARE * len(shuffled))
        common = shuffled[2 * held_out :]
        splits["train"][symbol] = common
        splits["validation"][symbol] = common + HELD_OUT_WEIGHT * shuffled[:held_out]
        splits["test"][symbol] = common + HELD_OUT_WEIGHT * shuffled[held_out : 2 * held_out]
    return splits


def write_rows(size: int, rules: Rules, seen: set[str], rng: random.Random) -> list[Row]:
    """Write `size` sentences that are not in `seen`, and add them to it."""
    rows: list[Row] = []
    while len(rows) < size:
        sentence = finish(expand("sentence", rules | rng.choice(PRONOUNS), rng))
        tokens = [token for token, _ in sentence]
        text = " ".join(tokens)
        if MIN_TOKENS <= len(tokens) <= MAX_TOKENS and text not in seen and not repeats_a_name(sentence):
            seen.add(text)
            rows.append({"tokens": tokens, "ner_tags": [TAG_NAMES.index(tag) for _, tag in sentence]})
    return rows


def expand(symbol: str, rules: Rules, rng: random.Random) -> Sentence:
    """Rewrite a symbol down to tagged tokens; an upper-case symbol becomes one entity."""
    sentence: Sentence = []
    for item in rng.choice(rules[symbol]):
        if item.startswith("<"):
            sentence += expand(item.strip("<>"), rules, rng)
        else:
            sentence.append((item, "O"))
    if symbol[0].islower():
        return sentence
    entity_type = symbol.split(".")[0]
    return [(token, f"{'I' if i else 'B'}-{entity_type}") for i, (token, _) in enumerate(sentence)]


def finish(sentence: Sentence) -> Sentence:
    """Add what the grammar leaves out: "an" before a vowel, and the capital that begins a sentence."""
    tokens = [token for token, _ in sentence]
    for i, following in enumerate(tokens[1:]):
        if tokens[i] == "a" and re.match(r"(?!eu|one)[aeio]", following, re.IGNORECASE):
            tokens[i] = "an"
    start = 1 if tokens[0] == '"' else 0
    tokens[start] = tokens[start][0].upper() + tokens[start][1:]
    return [(token, tag) for token, (_, tag) in zip(tokens, sentence, strict=True)]


def repeats_a_name(sentence: Sentence) -> bool:
    """Whether a capitalised token of an entity occurs twice, as in "Ford drove to Ford"."""
    names = [token for token, tag in sentence if tag != "O" and token[0].isupper()]
    return len(names) != len(set(names))
