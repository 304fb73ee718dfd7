"""The demo corpus for sentiment: short reviews whose label depends on the order and distance of words.

The grammar and its syntax are in `words/reviews/*.yaml`; what a network has to learn is in `reviews.md.j2`.
"""

import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from unroll.data.tokenizer import Tokenizer

LABEL_NAMES = ["negative", "positive"]
SIZES = {"train": 5600, "validation": 800, "test": 1600}
MAX_TOKENS = 60
NEGATIVE, NEUTRAL, POSITIVE = -1, 0, 1

Grammar = dict[str, list[str]]
Row = dict[str, Any]  # one review: `text`, and `label`, an index in LABEL_NAMES

_SUFFIXES = {NEGATIVE: "_negative", NEUTRAL: "", POSITIVE: "_positive"}
_WORDS = Path(__file__).with_name("words") / "reviews"
_DOMAINS = ["film", "restaurant", "hotel", "book", "gadget"]
_KIND_WEIGHTS = {"plain": 20, "negation": 14, "scope": 14, "double": 14, "contrast": 24, "correction": 14}
_TWIN_KINDS = {"contrast", "correction"}  # the same words in two orders, with opposite labels
_LONG_SHARE = 0.22
_LONG_TARGETS = (30, 46)  # range of the minimum number of tokens; the maximum is MAX_TOKENS
_FILLER_SHARE = 1 / 3  # share of the other reviews with one sentence next to the verdict
_ASIDE_SHARE = 0.3  # share of such sentences with somebody else's opinion
_SLOT = re.compile(r"<(\w+)([+?-]?)>")


def generate(seed: int = 7) -> dict[str, list[Row]]:
    """Generate the train, validation and test splits.

    Both labels are equally frequent in each split, and no text occurs twice, within or across splits. Some words occur
    only in the test split; no label depends on them.
    """
    rng = random.Random(seed)
    written: set[str] = set()
    return {split: _write_split(split, size, rng, written) for split, size in SIZES.items()}


def count_tokens(text: str) -> int:
    return len(Tokenizer().tokenize(text))


def load_grammar(domain: str, *, unseen: bool) -> Grammar:
    """The alternatives of each symbol for a domain; `unseen` adds the words of the test split."""
    parts = [_read_words(name) for name in ("opinion", "neutral", domain)]
    if unseen:
        held_out = _read_words("unseen")
        parts += [held_out["neutral"], held_out[domain]]
    grammar: Grammar = {}
    for part in parts:
        for symbol, alternatives in part.items():
            if isinstance(alternatives, str):  # words separated by commas
                alternatives = [" ".join(word.split()) for word in alternatives.split(",")]
            grammar.setdefault(symbol, []).extend(alternatives)
    return grammar


class Writer:
    """Generates one review; does not repeat a word as long as other alternatives remain."""

    def __init__(self, grammar: Grammar, rng: random.Random) -> None:
        self.grammar = grammar
        self.rng = rng
        self._used: set[str] = set()

    def expand(self, pattern: str, sign: int = NEUTRAL) -> str:
        """Fill the slots of a pattern for a text with the given sign."""
        signs = {"+": sign, "-": -sign, "": NEUTRAL}

        def fill(slot: re.Match[str]) -> str:
            return self._fill(slot[1], self.rng.choice([NEGATIVE, POSITIVE]) if slot[2] == "?" else signs[slot[2]])

        return _SLOT.sub(fill, pattern)

    def twin_verdicts(self, kind: str) -> tuple[str, str]:
        """A negative and a positive verdict with the same words, made by swapping the contents of two slots."""
        pattern = self.rng.choice(self.grammar[kind])
        symbol = next(slot[1] for slot in _SLOT.finditer(pattern) if slot[2])
        pattern = pattern.replace(f"<{symbol}+>", "{agree}").replace(f"<{symbol}->", "{oppose}")
        pattern = self.expand(pattern)
        bad, good = self._fill(symbol, NEGATIVE), self._fill(symbol, POSITIVE)
        return pattern.format(agree=bad, oppose=good), pattern.format(agree=good, oppose=bad)

    def surround(self, verdicts: Sequence[str]) -> list[str]:
        """Add the same sentences, none of them an opinion of the writer, before and after each verdict."""
        verdict_tokens = count_tokens(verdicts[-1])
        room = MAX_TOKENS - verdict_tokens
        if self.rng.random() < _LONG_SHARE:
            sentences = self._filler(self.rng.randint(*_LONG_TARGETS) - verdict_tokens, room)
            verdict_at = self.rng.choice([0, 0, 0, 1, len(sentences)])
        else:
            sentences = self._filler(1, room) if self.rng.random() < _FILLER_SHARE else []
            verdict_at = self.rng.randint(0, len(sentences))
        return [_join([*sentences[:verdict_at], verdict, *sentences[verdict_at:]]) for verdict in verdicts]

    def _filler(self, min_tokens: int, max_tokens: int) -> list[str]:
        """Distinct facts and asides with at least `min_tokens` and at most `max_tokens` in total."""
        facts, asides = (self.rng.sample(found, len(found)) for found in (self.grammar["fact"], self.grammar["aside"]))
        sentences: list[str] = []
        while count_tokens(" ".join(sentences)) < min_tokens:
            source = asides if self.rng.random() < _ASIDE_SHARE else facts
            sentence = self.expand(source.pop())
            if count_tokens(" ".join([*sentences, sentence])) <= max_tokens:
                sentences.append(sentence)
        return sentences

    def _fill(self, symbol: str, sign: int) -> str:
        alternatives = self.grammar.get(symbol + _SUFFIXES[sign]) or self.grammar[symbol]
        chosen = self.rng.choice([a for a in alternatives if a not in self._used] or alternatives)
        if "<" in chosen:
            return self.expand(chosen, sign)
        self._used.add(chosen)
        return chosen


def _write_split(split: str, size: int, rng: random.Random, written: set[str]) -> list[Row]:
    grammars = [load_grammar(domain, unseen=split == "test") for domain in _DOMAINS]
    rows: list[Row] = []
    while len(rows) < size:
        pair = _write_pair(grammars, rng)
        if written.isdisjoint(pair):
            written.update(pair)
            rows += [{"text": text, "label": label} for label, text in enumerate(pair)]
    rng.shuffle(rows)
    return rows


def _write_pair(grammars: Sequence[Grammar], rng: random.Random) -> list[str]:
    """A negative and a positive review of one kind, with the same words for the kinds in _TWIN_KINDS."""
    kind = rng.choices(list(_KIND_WEIGHTS), list(_KIND_WEIGHTS.values()))[0]
    if kind in _TWIN_KINDS:
        writer = Writer(rng.choice(grammars), rng)
        return writer.surround(writer.twin_verdicts(kind))
    pair: list[str] = []
    for sign in (NEGATIVE, POSITIVE):
        writer = Writer(rng.choice(grammars), rng)
        pair += writer.surround([writer.expand(rng.choice(writer.grammar[kind]), sign)])
    return pair


def _join(sentences: Iterable[str]) -> str:
    """Join sentences; change `a` to `an` before vowels and capitalise the first words."""
    text = re.sub(r"\ba (?=(?!us|univ)[aeiou])", "an ", " ".join(sentences))
    return re.sub(r"(^|[.!?] )([a-z])", lambda start: start[1] + start[2].upper(), text)


@cache
def _read_words(name: str) -> dict:
    return yaml.safe_load((_WORDS / f"{name}.yaml").read_text(encoding="utf-8"))
