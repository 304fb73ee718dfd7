"""The test examples that most runs get wrong, with what each model answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from unroll.data.prepared import PreparedData
from unroll.data.subwords import INSIDE
from unroll.data.tags import Span, spans
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN
from unroll.evaluation.runs import Run

SHOWN = 15
AROUND = 12  # tokens before and after the entities in question, in a long text
ENDS = 35  # tokens of either end of a long text
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # a character that train does not have

Outcome = tuple[Any, ...]  # a label, labels, or the spans of entities


class Mark(NamedTuple):
    """A stretch of a text, and the type of the true entity that it is, if any."""

    text: str
    entity: str | None = None


class Vote(NamedTuple):
    """A model whose answer this is, and how many of its seeds were right."""

    model: str
    right: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.model} {self.right}/{self.seeds}"


class Reply(NamedTuple):
    """One answer, and the models that most often gave it."""

    answer: str
    is_right: bool
    votes: list[Vote]


@dataclass(frozen=True)
class HardExample:
    """
    Args:
        row: of the raw test split.
        wrong: how many runs did not answer it rightly.
        text: shortened, where it is long.
        truth: labels; None where it is marked in the text.
        replies: those of most models first.
    """

    row: int
    wrong: int
    text: list[Mark]
    truth: str | None
    replies: list[Reply]


def hardest_examples(runs: Sequence[Run], models: Sequence[str], data: PreparedData) -> list[HardExample]:
    """The examples that most runs get wrong; among equals first those whose truth the runs hold least probable.

    The same text is shown once. A sentence is right when all its entities are, and no others. What a model answers
    is what most of its seeds do, of equals the first.
    """
    truths = _outcomes(runs[0], "label")
    given = [_outcomes(run, "predicted") for run in runs]
    is_wrong = [[answer != truth for answer, truth in zip(answers, truths, strict=True)] for answers in given]
    wrong = np.sum(is_wrong, axis=0)  # (N,)
    belief = np.mean([_truth_probabilities(run, data.label_names) for run in runs], axis=0)  # (N,)
    examples: dict[tuple[str, ...], HardExample] = {}
    for i in np.lexsort((belief, -wrong)).tolist():
        if not wrong[i] or len(examples) == SHOWN:
            break
        answers = {
            model: [outcomes[i] for run, outcomes in zip(runs, given, strict=True) if run.model == model]
            for model in models
        }
        tokens, row = _tokens(data, i), int(runs[0].predictions["row"][i])
        examples.setdefault(tuple(tokens), _example(row, int(wrong[i]), tokens, truths[i], answers))
    return list(examples.values())


def _outcomes(run: Run, column: str) -> list[Outcome]:
    """What there is to get right of each example: a label, some labels, or the entities."""
    values = run.predictions[column]
    if run.task == "classification":
        return [(value,) for value in values]
    return [tuple(spans(value) if run.task == "labeling" else value) for value in values]


def _truth_probabilities(run: Run, names: list[str]) -> list[float]:
    """Of each example the mean over its decisions of the probability that they go right.

    Of a token the probability of the predicted label alone is kept: where that is wrong, all the rest counts.
    """
    columns = zip(*(run.predictions[name] for name in ("label", "predicted", "probabilities")), strict=True)
    if run.task == "classification":
        place = {name: i for i, name in enumerate(names)}
        return [float(probabilities[place[label]]) for label, _, probabilities in columns]
    if run.task == "labeling":
        decided = ((np.array(tags) == np.array(answer), likely) for tags, answer, likely in columns)
    else:
        decided = ((np.isin(names, list(labels)), likely) for labels, _, likely in columns)
    return [float(np.where(is_true, likely, 1 - likely).mean()) for is_true, likely in decided]


def _tokens(data: PreparedData, i: int) -> list[str]:
    """The tokens of a test example, each with the space before it."""
    split, table = data.split("test"), data.table
    rows = split.tokens[split.offsets[i] : split.offsets[i + 1]]
    words = [data.schema.vocabulary[word] for word in table.words[rows]]
    tokens = [
        _spelling(codes, word, data.schema.alphabet) for codes, word in zip(table.spell(rows), words, strict=True)
    ]
    is_cut = data.schema.tokenizer.subwords is not None
    return [token.removeprefix(INSIDE) if is_cut and token.startswith(INSIDE) else f" {token}" for token in tokens]


def _spelling(codes: np.ndarray, word: str, alphabet: list[str]) -> str:
    """A token from its characters; those that the alphabet lacks, as it does full stops, from its word."""
    codes = codes[codes != PADDING]
    known = word if len(word) == len(codes) and word not in SPECIAL_WORDS else REPLACEMENT * len(codes)
    return "".join(known[i] if code == UNKNOWN else alphabet[code] for i, code in enumerate(codes))


def _example(row: int, wrong: int, tokens: list[str], truth: Outcome, answers: dict[str, list[Outcome]]) -> HardExample:
    main_answers = {model: Counter(given).most_common(1)[0][0] for model, given in answers.items()}
    kept = _kept(len(tokens), [truth, *main_answers.values()])
    votes: dict[Outcome, list[Vote]] = {}
    for model, answer in main_answers.items():
        votes.setdefault(answer, []).append(Vote(model, answers[model].count(truth), len(answers[model])))
    replies = [Reply(_in_words(answer, truth, tokens), answer == truth, cast) for answer, cast in votes.items()]
    return HardExample(
        row=row,
        wrong=wrong,
        text=_marks(tokens, [item for item in truth if isinstance(item, Span)], kept),
        truth=None if any(isinstance(item, Span) for item in truth) else _in_words(truth, truth, tokens),
        replies=sorted(replies, key=lambda reply: -len(reply.votes)),
    )


def _kept(length: int, outcomes: Sequence[Outcome]) -> list[range]:
    """The tokens to show: all of a short text; else those around what is not agreed upon, or the two ends."""
    disputed = {item for outcome in outcomes for item in outcome if isinstance(item, Span)}
    disputed -= set.intersection(*(set(outcome) for outcome in outcomes))
    if length <= 2 * ENDS:
        return [range(length)]
    if not disputed:
        return [range(ENDS), range(length - ENDS, length)]
    first, last = min(span.start for span in disputed), max(span.end for span in disputed)
    return [range(max(0, first - AROUND), min(length, last + AROUND))]


def _marks(tokens: list[str], entities: list[Span], kept: list[range]) -> list[Mark]:
    marks = []
    for stretch in kept:
        place = stretch.start
        if place > 0:
            marks.append(Mark(" … "))
        for span in entities:
            if span.start in stretch:
                marks.append(Mark("".join(tokens[place : span.start]) + " "))
                marks.append(Mark("".join(tokens[span.start : span.end]).strip(), span.type))
                place = span.end
        marks.append(Mark("".join(tokens[place : stretch.stop])))
    if kept[-1].stop < len(tokens):
        marks.append(Mark(" …"))
    return [mark for mark in marks if mark.text.strip()]


def _in_words(answer: Outcome, truth: Outcome, tokens: list[str]) -> str:
    """Labels as they are; of entities, what the answer misses of the truth and what it adds."""
    if not any(isinstance(item, Span) for item in (*answer, *truth)):
        return ", ".join(answer) or "none"
    faults = {"misses": [it for it in truth if it not in answer], "adds": [it for it in answer if it not in truth]}
    words = [
        f"{fault} {', '.join(_entity(span, tokens) for span in found)}" for fault, found in faults.items() if found
    ]
    return "; ".join(words) or "all of them"


def _entity(span: Span, tokens: list[str]) -> str:
    return f"{''.join(tokens[span.start : span.end]).strip()} ({span.type})"
