"""The demo corpus for named-entity recognition: tagged sentences whose names say little about their types.

The grammar is in `words/entities/*.txt`. A heading `[symbol]` is followed by its productions, one per line or separated
by `|`; the prefix `3 * ` triples the weight of a production; `<symbol>` is expanded recursively. A symbol in upper case
(`<PER>`, `<ORG.club>`) is a mention of an entity; its type is the part before the dot.
"""

import random
import re
from collections.abc import Iterable
from pathlib import Path

TAG_NAMES = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
SIZES = {"train": 5600, "validation": 800, "test": 1600}
MIN_TOKENS, MAX_TOKENS = 5, 35

Production = tuple[str, ...]
Rules = dict[str, list[Production]]
Sentence = list[tuple[str, str]]  # (token, tag)
Row = dict[str, list]  # one sentence: `tokens`, and `ner_tags`, the index of each token's tag in TAG_NAMES

GRAMMAR_DIR = Path(__file__).with_name("words") / "entities"
NAMES_FILE = "names.txt"
HELD_OUT_SHARE = 0.15  # of each list of names: only in the validation split; the same share only in the test split
HELD_OUT_WEIGHT = 2  # of such names relative to others, so that unseen entities are frequent
# The pronouns of a sentence are drawn together, so that "his" and "she" do not occur in the same one.
PRONOUNS: list[Rules] = [{"he": [("he",)], "his": [("his",)]}, {"he": [("she",)], "his": [("her",)]}]


def generate(seed: int = 2024) -> dict[str, list[Row]]:
    """Generate the train, validation and test splits. No sentence occurs twice, within or across splits."""
    rng = random.Random(seed)
    grammar = read_rules(path for path in sorted(GRAMMAR_DIR.glob("*.txt")) if path.name != NAMES_FILE)
    names = split_names(read_rules([GRAMMAR_DIR / NAMES_FILE]), rng)
    seen: set[str] = set()
    return {split: write_rows(size, grammar | names[split], seen, rng) for split, size in SIZES.items()}


def read_rules(paths: Iterable[Path]) -> Rules:
    """Read grammar files; the productions of a symbol in several files are combined."""
    rules: Rules = {}
    for path in paths:
        symbol = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if heading := re.fullmatch(r"\[(.+)\]", line):
                symbol = heading[1]
            elif line and not line.startswith("#"):
                for alternative in line.split("|"):
                    weight, _, words = alternative.rpartition(" * ")
                    rules.setdefault(symbol, []).extend([tuple(words.split())] * int(weight or 1))
    return rules


def split_names(names: Rules, rng: random.Random) -> dict[str, Rules]:
    """Assign names to splits: most to all splits, some only to the validation or the test split."""
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
    """Generate `size` sentences that are not in `seen`, and add them to it."""
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
    """Expand a symbol to tagged tokens; a symbol in upper case becomes one entity."""
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
    """Change "a" to "an" before vowels, and capitalise the first word."""
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
