"""The prepare stage: raw rows in, checked; encoded splits, a vocabulary and a quarantine out."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.duplicates import Sameness, count_duplicates, drop_leaks, text_keys
from unroll.data.encoding import UNKNOWN, DistinctTokens, TokenEncoder, build_vocabulary
from unroll.data.labels import Labels
from unroll.data.lengths import TooLong, limit_length
from unroll.data.prepared import EncodedSplit
from unroll.data.quarantine import write_quarantine
from unroll.data.report import write_report
from unroll.data.rows import SplitRows, check_columns, read_rows
from unroll.data.sampling import carve, limit_rows
from unroll.data.source import SPLITS, Source
from unroll.data.vectors import check_vectors_file, read_words
from unroll.files import read_json, sha256, whole_folder, write_json


@dataclass(frozen=True)
class PrepareOptions:
    """How raw rows become encoded ones.

    Args:
        min_count: a word seen fewer times in train is `<unk>`, which is how `<unk>` gets trained.
        validation_fraction: the share of train that becomes validation where the dataset has none.
        vectors: a file of pretrained word vectors, whose words join the vocabulary after those of train, so that a
            word that train lacks is read as its vector; a training then has to start from the file.
        drop_leaks: drops training rows whose text stands in validation or test too: with the same `tokens`, or the
            same `words`, whatever their case and punctuation.
        max_bad_share: a larger share of rows that cannot be used stops the stage.
        limit: rows of each split that are used, for a quick try; labels keep their shares.
        max_length: of a sequence, in tokens.
        too_long: what becomes of a longer one: `truncate` keeps its first tokens, `split` makes several of it.
        seed: of the carving and the limit.
    """

    min_count: int = 1
    validation_fraction: float = 0.1
    max_bad_share: float = 0.01
    vectors: str | None = None
    drop_leaks: Sameness | None = None
    limit: int | None = None
    max_length: int | None = None
    too_long: TooLong = "truncate"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError(f"min_count={self.min_count}; accepted: 1 or more")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction}; accepted: between 0 and 1")
        if not 0 <= self.max_bad_share <= 1:
            raise ValueError(f"max_bad_share={self.max_bad_share}; accepted: 0 to 1")
        for name in ("limit", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}; accepted: 1 or more, or null for no limit")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}; accepted: 0 or more")
        if self.vectors is not None:
            check_vectors_file(self.vectors)


def prepare(source: Source, raw: Path, output: Path, options: PrepareOptions) -> dict[str, Any]:
    """Encode the splits of `raw` into `output`; return what `output`/dataset.json says.

    Raises:
        ValueError: `raw` is not there, too many rows cannot be used, or a split has none that can.
    """
    manifest = _read_manifest(raw, source)
    labels = Labels.of(source, manifest["label_names"], raw / "train.parquet")
    distinct = DistinctTokens()
    splits = _read(raw, source, manifest, labels, distinct, options)
    splits, changes = _select(splits, source, labels, distinct, options)

    vocabulary, alphabet = _vocabularies(list(distinct), splits["train"].tokens, options.min_count)
    if options.vectors is not None:
        vocabulary = list(dict.fromkeys([*vocabulary, *read_words(Path(options.vectors))]))
    table = TokenEncoder(vocabulary, alphabet).encode(distinct)

    with whole_folder(output) as work:
        table.save(work / "tokens")
        for split, rows in splits.items():
            EncodedSplit(source.task, table, rows.tokens, rows.labels, rows.offsets, rows.rows).save(work / split)
        write_json(work / "vocabulary.json", vocabulary)
        write_json(work / "alphabet.json", alphabet)
        write_quarantine(raw, source, splits, work / "quarantine.parquet")
        description = {
            "task": source.task,
            "label_names": labels.names,
            "vocabulary_size": len(vocabulary),
            "vectors": options.vectors,
            "source": {key: manifest[key] for key in ("path", "name", "revision", "commit")},
            "checksum": _checksum(work),
            "splits": {
                split: {
                    "rows": len(rows.rows),
                    "left_out": changes["left_out"][split],
                    "too_long": changes["too_long"][split],
                    "tokens": len(rows.tokens),
                    "unknown_share": float(np.mean(table.words[rows.tokens] == UNKNOWN)),
                }
                for split, rows in splits.items()
            },
            "quarantined": {split: rows.count_reasons() for split, rows in splits.items()},
            "duplicates": changes["duplicates"],
        }
        write_json(work / "dataset.json", description)
        write_report(raw.name, description, splits, work)
    return description


def _read(
    raw: Path,
    source: Source,
    manifest: dict[str, Any],
    labels: Labels,
    distinct: DistinctTokens,
    options: PrepareOptions,
) -> dict[str, SplitRows]:
    """The usable rows of the three splits."""
    splits = {split: read_rows(raw / f"{split}.parquet", source, labels, distinct) for split in manifest["splits"]}
    for split, rows in splits.items():
        _stop_if_bad(split, rows, source, labels, options.max_bad_share)
    if "validation" not in splits:
        splits["train"], splits["validation"] = carve(
            splits["train"], source, options.validation_fraction, options.seed
        )
    return {split: splits[split] for split in SPLITS}


def _select(
    splits: dict[str, SplitRows], source: Source, labels: Labels, distinct: DistinctTokens, options: PrepareOptions
) -> tuple[dict[str, SplitRows], dict[str, Any]]:
    """What the options leave of the rows, and how many they changed."""
    left_out = dict.fromkeys(SPLITS, 0)
    too_long = dict.fromkeys(SPLITS, 0)
    if options.limit is not None:
        left_out = {split: max(0, len(rows.rows) - options.limit) for split, rows in splits.items()}
        splits = {split: limit_rows(rows, source, options.limit, options.seed) for split, rows in splits.items()}
    keys = {split: text_keys(rows, distinct) for split, rows in splits.items()}
    if options.drop_leaks is not None:
        splits = splits | {"train": drop_leaks(splits["train"], keys, options.drop_leaks)}
        if not len(splits["train"].rows):
            raise ValueError(f"drop_leaks={options.drop_leaks}: all training texts stand in validation or test too")
    if options.max_length is not None:
        too_long = {split: int((np.diff(rows.offsets) > options.max_length).sum()) for split, rows in splits.items()}
        is_labeling = source.task == "labeling"
        inside = np.array([name.startswith("I-") for name in labels.names]) if is_labeling else None
        splits = {
            split: limit_length(rows, options.max_length, options.too_long, inside) for split, rows in splits.items()
        }
    return splits, {"left_out": left_out, "too_long": too_long, "duplicates": count_duplicates(keys)}


def _read_manifest(raw: Path, source: Source) -> dict[str, Any]:
    if not (raw / "manifest.json").exists():
        raise ValueError(f"{raw} holds no downloaded data; first: python pipelines/download.py dataset={raw.name}")
    manifest: dict[str, Any] = read_json(raw / "manifest.json")
    for split in manifest["splits"]:
        check_columns(raw / f"{split}.parquet", source)
    return manifest


def _stop_if_bad(split: str, rows: SplitRows, source: Source, labels: Labels, max_bad_share: float) -> None:
    bad, total = len(rows.quarantined), len(rows.quarantined) + len(rows.rows)
    if not total:
        raise ValueError(f"split {split!r} of {source.path} has no rows")
    if bad == total or bad > max_bad_share * total:
        reasons = rows.count_reasons()
        frequent = ", ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:5])
        row, reason = rows.quarantined[0]
        raise ValueError(
            f"split {split!r} of {source.path}: {bad} of {total} rows cannot be used, accepted: a share of "
            f"max_bad_share={max_bad_share:g}; {frequent}{', ...' if len(reasons) > 5 else ''}; "
            f"first: row {row}, {reason}; accepted labels: {labels.describe()}"
        )


def _vocabularies(distinct: list[str], train: np.ndarray, min_count: int) -> tuple[list[str], list[str]]:
    """The words and the characters of the training split; `train` (M,) are numbers from 1 of `distinct` tokens.

    A character of a single word is `<unk>`, which is how that gets trained.
    """
    counts = np.bincount(train, minlength=len(distinct) + 1)[1:].tolist()
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for token, count in zip(distinct, counts, strict=True):
        if count:
            words[token.lower()] += count
            characters.update(set(token))
    return build_vocabulary(words, min_count), build_vocabulary(characters, min_count=2)


def _checksum(folder: Path) -> str:
    return sha256(*sorted(folder.rglob("*.npy")), folder / "vocabulary.json", folder / "alphabet.json")
