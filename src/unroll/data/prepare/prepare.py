"""The prepare stage: converts raw data into encoded splits, vocabularies and a quarantine."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from unroll.checks import check_least, check_seed
from unroll.data.encoding import TokenEncoder, build_vocabulary
from unroll.data.prepare.duplicates import Sameness, count_duplicates, drop_leaks, text_keys
from unroll.data.prepare.given_tokens import Shares, measure_rules, nearest
from unroll.data.prepare.labels import Labels, PlainTags
from unroll.data.prepare.lengths import TooLong, limit_length
from unroll.data.prepare.report import write_report
from unroll.data.prepare.rows import RowReader, read_split, write_quarantine
from unroll.data.prepare.split_rows import Corpus, SplitRows, carve, limit_rows, write_split
from unroll.data.prepare.subwords import split_words, train_tokenizer
from unroll.data.prepared import PreparedData, checksum_of
from unroll.data.raw import SOURCE, declared_names, read_manifest
from unroll.data.schema import DataSchema
from unroll.data.source import SPLITS, Source
from unroll.data.spans import SpanEdges
from unroll.data.text_files import TABLES, extension
from unroll.data.tokenizer import Split, Tokenizer, TokenizerOptions
from unroll.data.vectors.files import find_vectors
from unroll.data.vectors.read import read_words
from unroll.files import whole_folder, write_checksums, write_json


@dataclass(frozen=True)
class PrepareOptions:
    """Options of the prepare stage.

    Args:
        min_count: words with fewer occurrences in train become `<unk>`, so that `<unk>` is trained.
        validation_fraction, test_fraction: the share of train that becomes validation or test if the dataset has no
            such split.
        vectors: path or name of a file of pretrained word vectors, see `find_vectors`, whose words are added to the
            vocabulary after those of train. The training then must start from these vectors.
        vectors_limit: maximum number of words of that file, the first of which are usually the most frequent; None for
            all of them.
        drop_leaks: drop training rows whose text is also in validation or test, with the same `tokens`, the same
            `words` (ignoring case and punctuation) or `near`ly the same words.
        max_bad_share: maximum share of rows that cannot be used.
        limit: maximum number of rows per split, for a quick try; drawn with stratification by label.
        max_length: maximum number of tokens of a sequence.
        too_long: `truncate` keeps the first tokens of a longer sequence, `split` divides it into several sequences.
        seed: of random draws.
        processes: number of reading processes; None uses one per core.
        span_edges: what to do with a span that starts or ends inside a token; see `tag_spans`.
    """

    min_count: int = 1
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    max_bad_share: float = 0.01
    vectors: str | None = None
    vectors_limit: int | None = 50_000
    drop_leaks: Sameness | None = None
    limit: int | None = None
    max_length: int | None = None
    too_long: TooLong = "truncate"
    seed: int = 0
    processes: int | None = None
    span_edges: SpanEdges = "cut"
    tokenizer: TokenizerOptions = field(default_factory=TokenizerOptions)

    def __post_init__(self) -> None:
        check_least(1, min_count=self.min_count)
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; accepted: between 0 and 1")
        if not 0 <= self.max_bad_share <= 1:
            raise ValueError(f"max_bad_share={self.max_bad_share}; accepted: 0 to 1")
        check_least(1, "no limit", limit=self.limit, max_length=self.max_length, vectors_limit=self.vectors_limit)
        check_least(1, "one per core", processes=self.processes)
        check_seed("seed", self.seed)
        if self.vectors is not None:
            find_vectors(self.vectors).of_width()
            if self.tokenizer.subwords is not None:
                raise ValueError(
                    f"vectors={self.vectors} with tokenizer.subwords={self.tokenizer.subwords}: vectors are for whole "
                    "words, not subwords; accepted: one of the two options"
                )


def prepare(source: Source, raw: Path, output: Path, options: PrepareOptions) -> dict[str, Any]:
    """Encode the downloaded data in `raw` into the folder `output`; return the content of its dataset.json.

    Raises:
        ValueError: `raw` contains no downloaded data, too many rows cannot be used, or a split has no usable row.
    """
    if source.is_pair and options.max_length is not None and options.too_long == "split":
        raise ValueError("too_long=split: a pair of texts cannot be split; accepted: truncate")
    manifest = read_manifest(raw, source)
    declared = declared_names(pq.read_schema(raw / "train.parquet"), source.label_column)
    names = source.choose_names(declared) or manifest["label_names"]
    is_text = any(extension(file) in TABLES for file in manifest.get("files", ()))
    labels = Labels.of(source, names, raw / "train.parquet", is_numbered=declared is not None, is_text=is_text)
    with whole_folder(output) as work:
        splits = _read(raw, source, manifest["splits"], labels, Corpus(work), options)
        splits, left_out, duplicates = _select(splits, options)
        given_tokens = "tokens" in source.columns
        names, (tokenizer, rules) = labels.names, _choose_tokenizer(splits["train"], options.tokenizer, given_tokens)
        if tokenizer.subwords is not None:
            splits = split_words(splits, tokenizer, labels)
        too_long = dict.fromkeys(SPLITS, 0)
        if (limit := options.max_length) is not None:
            too_long = {split: int((rows.lengths > limit).sum()) for split, rows in splits.items()}
            inside = np.array([labels.task == "labeling" and name.startswith("I-") for name in names])
            splits = {split: limit_length(rows, limit, options.too_long, inside) for split, rows in splits.items()}

        vocabulary, alphabet = _vocabularies(splits["train"], tokenizer, options.min_count)
        if options.vectors is not None:
            of_file = read_words(find_vectors(options.vectors), tokenizer.word, options.vectors_limit)
            of_train, vocabulary = len(vocabulary), list(dict.fromkeys([*vocabulary, *of_file]))
            print(
                f"{output}: {len(vocabulary):,} words in the vocabulary, {len(vocabulary) - of_train:,} of them from "
                f"{options.vectors}, vectors_limit={options.vectors_limit or 'null'}",
                flush=True,
            )
        schema = DataSchema(labels.task, names, vocabulary, alphabet, tokenizer, source.is_pair, given_tokens)
        table = TokenEncoder.of(schema).encode(splits["train"].corpus.distinct)

        described = schema.save(work)
        table.save(work / "tokens")
        words = [*map(tokenizer.word, splits["train"].corpus.distinct)]
        write_json(work / "tokens" / table.OTHER_WORDS, [words[row - 1] for row in table.unknown])
        unknown = {split: write_split(rows, table, work / split) for split, rows in splits.items()}
        description = {
            **described,
            "vocabulary_size": len(vocabulary),
            "vectors": options.vectors,
            "tags": {"scheme": labels.scheme, "names": labels.raw_names} if isinstance(labels, PlainTags) else None,
            "source": {key: manifest[key] for key in SOURCE},
            "checksum": checksum_of(work),
            "splits": {
                split: {
                    "rows": len(rows),
                    "left_out": left_out[split],
                    "too_long": too_long[split],
                    "tokens": rows.num_tokens,
                    "unknown_share": unknown[split] / rows.num_tokens,
                }
                for split, rows in splits.items()
            },
            "quarantined": {split: rows.count_reasons() for split, rows in splits.items()},
            "duplicates": duplicates,
            "split": tokenizer.options.split,
            "rules": {rule: shares._asdict() for rule, shares in rules.items()},
            "span_edges": options.span_edges,
            "inexact_spans": {split: rows.inexact_spans for split, rows in splits.items()},
        }
        write_json(work / "dataset.json", description)
        write_checksums(work)  # of all that commands read
        write_quarantine(raw, source, splits, work / "quarantine.parquet")
        write_report(raw.name, description, splits, work)
    PreparedData(output).warn_of_one_label()
    return description


def _read(
    raw: Path, source: Source, present: Iterable[str], labels: Labels, corpus: Corpus, options: PrepareOptions
) -> dict[str, SplitRows]:
    """Read the usable rows of the three splits; those that are not `present` are drawn from train."""
    reader = RowReader(source, labels, Tokenizer(options.tokenizer), options.span_edges)
    splits = {}
    for split in present:
        splits[split] = read_split(raw / f"{split}.parquet", reader, corpus, options.processes)
        _stop_if_bad(split, splits[split], source, labels, options.max_bad_share)
    for split in ("test", "validation"):
        if split not in splits:
            option = f"{split}_fraction"
            carved = carve(splits["train"], source, option, getattr(options, option), options.seed, labels.names)
            splits["train"], splits[split] = carved
    return {split: splits[split] for split in SPLITS}


def _select(
    splits: dict[str, SplitRows], options: PrepareOptions
) -> tuple[dict[str, SplitRows], dict[str, int], dict[str, dict[str, int]]]:
    """Apply `limit` and `drop_leaks`; also return the number of rows that `limit` left out and counts of duplicates."""
    left_out = dict.fromkeys(SPLITS, 0)
    if options.limit is not None:
        left_out = {split: max(0, len(rows) - options.limit) for split, rows in splits.items()}
        splits = {split: limit_rows(rows, options.limit, options.seed) for split, rows in splits.items()}
    keys = text_keys(splits)
    if options.drop_leaks is not None:
        splits = splits | {"train": drop_leaks(splits["train"], keys[options.drop_leaks])}
        if not len(splits["train"]):
            raise ValueError(f"drop_leaks={options.drop_leaks}: all training texts are also in validation or test")
    return splits, left_out, count_duplicates(keys)


def _stop_if_bad(split: str, rows: SplitRows, source: Source, labels: Labels, max_bad_share: float) -> None:
    bad, total = len(rows.quarantined), len(rows.quarantined) + len(rows)
    if not total:
        raise ValueError(f"split {split!r} of {source.path} has no rows")
    if bad == total or bad > max_bad_share * total:
        reasons = [f"{count} {reason}" for reason, count in rows.count_reasons().items()]
        row, reason = rows.quarantined[0]
        raise ValueError(
            f"split {split!r} of {source.path}: {bad} of {total} rows cannot be used; accepted: a share of "
            f"max_bad_share={max_bad_share:g}; {', '.join(reasons[:5])}{', ...' if len(reasons) > 5 else ''}; "
            f"first: row {row}, {reason}; accepted labels: {labels.accepted}"
        )


def _choose_tokenizer(
    train: SplitRows, options: TokenizerOptions, given_tokens: bool
) -> tuple[Tokenizer, dict[Split, Shares]]:
    """The tokenizer of the prepared data, and how well each rule finds given tokens."""
    rules = measure_rules(train, options) if given_tokens else {}
    if given_tokens and options.split == "words":
        options = replace(options, split=nearest(rules))
    return train_tokenizer(train, options), rules


def _vocabularies(train: SplitRows, tokenizer: Tokenizer, min_count: int) -> tuple[list[str], list[str]]:
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for token, count in train.count_tokens().items():
        words[tokenizer.word(token)] += count
        characters.update(set(token))
    # Characters that occur in a single distinct token become `<unk>`, so that `<unk>` is trained.
    return build_vocabulary(words, min_count), build_vocabulary(characters, min_count=2)
