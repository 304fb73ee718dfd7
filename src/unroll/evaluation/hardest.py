"""The test examples that most runs get wrong, with the prediction of each model."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from unroll.data.encoding import written_tokens
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.raw import check_raw
from unroll.data.subwords import INSIDE
from unroll.data.tags import Span
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import TOKEN_TASKS
from unroll.evaluation.example_counts import ITEMS
from unroll.evaluation.runs import Run

SHOWN = 15
CONTEXT = 12  # tokens shown before and after the disputed entities of a long text
ENDS = 35  # tokens shown at either end of a long text
BETWEEN = "‖"  # shown between the two texts of a pair

Outcome = tuple[Any, ...]  # a label, labels, or the spans of entities or of tags


class Token(NamedTuple):
    """A token of a text, and what separates it from the one before."""

    gap: str
    text: str


class Mark(NamedTuple):
    """A stretch of text, and its type if it is a true entity, or its tag."""

    text: str
    entity: str | None = None


class DistinctPrediction(NamedTuple):
    """One prediction as text, and the models whose seeds most often make it."""

    text: str
    is_right: bool
    votes: list[str]  # such as gru 1/3: a model, and how many of its seeds are right


class HardExample(NamedTuple):
    """A test example that is wrong in `wrong` runs."""

    row: int  # of the raw test split
    wrong: int
    text: list[Mark]  # shortened if it is long
    truth: str | None  # the true labels; None where true entities or tags are marked in the text
    predictions: list[DistinctPrediction]  # the most frequent first


def hardest_examples(
    runs: Sequence[Run],
    models: Sequence[str],
    data: PreparedData,
    raw: Path | None = None,
    text_columns: Sequence[str] = (),
) -> list[HardExample]:
    """The examples that most runs get wrong; ties in order of the mean probability of the truth, lowest first.

    Equal texts are shown once. A sentence is right if its predicted entities or tags are exactly the true ones. The
    prediction of a model is the most frequent one among its seeds. Texts are shown as they were written in
    `text_columns` of the folder `raw`; without it, or where the raw row does not have the example's tokens, these are
    joined by spaces.
    """
    wrong = np.sum([(run.counts != run.counts[:, :1]).any(axis=1) for run in runs], axis=0)  # (N,)
    confidence = np.mean([_truth_probabilities(run, data.label_names) for run in runs], axis=0)  # (N,)
    split = data.split("test")
    chosen: dict[tuple[Token, ...], int] = {}
    for i in np.lexsort((confidence, -wrong)).tolist():
        if not wrong[i] or len(chosen) == SHOWN:
            break
        chosen.setdefault(tuple(_prepared_tokens(data, split, i)), i)
    items, examples = ITEMS[runs[0].task], []
    what = "tags" if runs[0].task == "tagging" else "entities"
    written = _raw_tokens(raw, text_columns, data, split, list(chosen.values()))
    for (prepared, i), tokens in zip(chosen.items(), written, strict=True):
        found = {
            model: [items(run.predictions["predicted"][i]) for run in runs if run.model == model] for model in models
        }
        row, truth = int(runs[0].predictions["row"][i]), items(runs[0].predictions["label"][i])
        examples.append(_example(row, int(wrong[i]), tokens or list(prepared), truth, found, what))
    return examples


def _truth_probabilities(run: Run, names: list[str]) -> list[float]:
    """The probability of the truth for each example, averaged over its decisions.

    For tokens only the probability of the predicted label is stored; where that is wrong, its complement is used.
    """
    columns = zip(*(run.predictions[name] for name in ("label", "predicted", "probabilities")), strict=True)
    if run.task == "classification":
        return [float(likely[names.index(label)]) for label, _, likely in columns]
    if run.task in TOKEN_TASKS:
        decided = ((np.array(tags) == np.array(found), likely) for tags, found, likely in columns)
    else:
        decided = ((np.isin(names, list(labels)), likely) for labels, _, likely in columns)
    return [float(np.where(is_true, likely, 1 - likely).mean()) for is_true, likely in decided]


def _prepared_tokens(data: PreparedData, split: EncodedSplit, i: int) -> list[Token]:
    """The tokens of an example from the prepared data, joined by spaces; pieces of words are put together."""
    tokens = [Token(" ", written) for written in written_tokens(data.schema, data.table, split.sequences[i])]
    if data.schema.tokenizer.subwords is None:
        return tokens
    return [Token("", it.text.removeprefix(INSIDE)) if it.text.startswith(INSIDE) else it for it in tokens]


def _raw_tokens(
    raw: Path | None, columns: Sequence[str], data: PreparedData, split: EncodedSplit, examples: list[int]
) -> Iterator[list[Token] | None]:
    """The tokens of each example as they are written in the raw data; None if that is unknown."""
    path = raw and _raw_file(raw)
    # Spans may have cut tokens, which then are not those that the tokenizer finds.
    is_cut = data.description.get("span_edges") == "cut" and any(data.description["inexact_spans"].values())
    if path is None or is_cut or not columns or not set(columns) <= set(pq.read_schema(path).names):
        yield from [None] * len(examples)
        return
    table = pq.read_table(path, columns=list(columns))
    for i in examples:
        row, length = int(split.rows[i]), int(split.lengths[i])
        texts = [table[column][row].as_py() for column in columns] if row < len(table) else []
        tokens = _written_tokens(texts, data.schema.tokenizer)
        # a row that is longer than max_length may be split into several examples
        start = int(split.lengths[:i][split.rows[:i] == row].sum())
        yield tokens[start : start + length] if len(tokens) >= start + length else None


def _raw_file(raw: Path) -> Path | None:
    """The file with the test examples, which may be a part of train; None if there is neither, as in other data."""
    for path in (raw / "test.parquet", raw / "train.parquet"):
        check_raw(raw, [path.name])  # an error if it was there
        if path.is_file():
            return path
    return None


def _written_tokens(texts: Sequence[Any], tokenizer: Tokenizer) -> list[Token]:
    """The tokens of a row as they are written; empty if that is unknown, as for tokens that are split into subwords."""
    tokens: list[Token] = []
    for text in texts:
        if tokens:
            tokens.append(Token(" ", BETWEEN))
        if isinstance(text, str):
            end = 0
            for start, stop in tokenizer.offsets(text):
                gap = text[end:start] if end or not tokens else " "
                tokens.append(Token(gap, text[max(start, end) : stop]))
                end = stop
        elif isinstance(text, list) and tokenizer.subwords is None:
            tokens += [Token(" ", str(token)) for token in text]
        else:
            return []
    return tokens


def _example(
    row: int, wrong: int, tokens: list[Token], truth: Outcome, by_model: dict[str, list[Outcome]], what: str
) -> HardExample:
    votes: dict[Outcome, list[str]] = {}  # by prediction
    for model, found in by_model.items():
        vote = f"{model} {found.count(truth)}/{len(found)}"
        votes.setdefault(Counter(found).most_common(1)[0][0], []).append(vote)
    predictions = [
        DistinctPrediction(_in_words(found, truth, tokens, what), found == truth, cast) for found, cast in votes.items()
    ]
    predictions.sort(key=lambda it: -len(it.votes))
    entities = [item for item in truth if isinstance(item, Span)]
    marks = _marks(tokens, entities, _kept(len(tokens), [truth, *votes]))
    return HardExample(row, wrong, marks, None if entities else _in_words(truth, truth, tokens, what), predictions)


def _kept(length: int, outcomes: Sequence[Outcome]) -> list[range]:
    """The tokens to show: all of a short text, else those around the disputed entities, or the two ends."""
    if length <= 2 * ENDS:
        return [range(length)]
    agreed = set.intersection(*map(set, outcomes))
    disputed = [it for outcome in outcomes for it in outcome if isinstance(it, Span) and it not in agreed]
    if not disputed:
        return [range(ENDS), range(length - ENDS, length)]
    first, last = min(span.start for span in disputed), max(span.end for span in disputed)
    return [range(max(0, first - CONTEXT), min(length, last + CONTEXT))]


def _marks(tokens: list[Token], entities: list[Span], kept: list[range]) -> list[Mark]:
    """The kept stretches as text, with the true entities marked and an ellipsis for each omission."""
    marks = []
    for stretch in kept:
        if stretch.start > 0:
            marks.append(Mark(" … "))
        position, skipped = stretch.start, len(tokens[stretch.start].gap)  # the gap before the first token
        for span in entities:
            if span.start in stretch:
                before = _with_gaps(tokens[position : span.start]) + tokens[span.start].gap
                marks += [Mark(before[skipped:]), Mark(_text(tokens, span), span.type)]
                position, skipped = span.end, 0
        marks.append(Mark(_with_gaps(tokens[position : stretch.stop])[skipped:]))
    if kept[-1].stop < len(tokens):
        marks.append(Mark(" …"))
    return [mark for mark in marks if mark.text]


def _with_gaps(tokens: Sequence[Token]) -> str:
    return "".join(f"{token.gap}{token.text}" for token in tokens)


def _text(tokens: Sequence[Token], span: Span) -> str:
    return _with_gaps(tokens[span.start : span.end])[len(tokens[span.start].gap) :]


def _in_words(found: Outcome, truth: Outcome, tokens: list[Token], what: str) -> str:
    """Labels as they are; for entities and tags, which true ones are missing and which others are added."""
    if not any(isinstance(item, Span) for item in (*found, *truth)):
        return ", ".join(found) or "none"
    errors = {"misses": [it for it in truth if it not in found], "adds": [it for it in found if it not in truth]}
    words = [
        f"{error} {', '.join(f'{_text(tokens, span)} ({span.type})' for span in of_kind)}"
        for error, of_kind in errors.items()
        if of_kind
    ]
    return "; ".join(words) or f"all {what} right"
