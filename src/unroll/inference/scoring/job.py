"""What is to be done to every row: which columns are read, and which are written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from unroll.checks import first_names
from unroll.data.tokens import PAIR, TEXT, TOKEN_TASKS, TOKENS
from unroll.inference.scoring.columns import answer_fields
from unroll.inference.scoring.inputs import Chunk
from unroll.inference.text_predictor import Loader

BATCH_SIZE = 64  # texts that the model reads at once
ERROR = "error"  # the column with the reason why there is no answer


@dataclass(frozen=True)
class ScoreOptions:
    """Options that the rows of the output depend on.

    Args:
        text: the column of the text, or of the tokens; None looks for `tokens` and `text`.
        text_pair: the column of the second text, for a model of pairs.
        columns: the columns of the input that the output has too; None keeps all.
        prefix: of the names of the columns that are added.
        probabilities: see `Predictor.predict`.
        max_characters: of a text; a longer one is not used, since it could fill the memory.
    """

    text: str | None = None
    text_pair: str = PAIR
    columns: tuple[str, ...] | None = None
    prefix: str = ""
    probabilities: bool = False
    max_characters: int = 100_000


@dataclass(frozen=True)
class Job:
    """What the processes need to know to score any chunk; the paths are those of all machines.

    Args:
        parts: the folder of the parts.
        model: the folder of the model.
        read: the columns that are read of the input.
        kept: the names of those that the output has too.
        texts: the columns of the text, or of the two texts of a pair.
        answers: the columns of the answers.
        options: see there.
        loader: loads the model, in each process, which imports it by its name.
        device, batch_size: see `Predictor`; the rows do not depend on them.
    """

    parts: Path
    model: Path
    read: pa.Schema
    kept: tuple[str, ...]
    texts: tuple[str, ...]
    answers: dict[str, pa.DataType]
    options: ScoreOptions
    loader: Loader
    device: str = "cpu"
    batch_size: int = BATCH_SIZE

    @property
    def schema(self) -> pa.Schema:
        """Of the output."""
        added = {**self.answers, ERROR: pa.string()}
        return pa.schema(
            [self.read.field(name) for name in self.kept]
            + [pa.field(self.options.prefix + name, kind) for name, kind in added.items()]
        )

    def part(self, chunk: Chunk) -> Path:
        """The file with the rows of the chunk."""
        return self.parts / f"part-{chunk.number:06d}.parquet"


def build_job(
    schema: pa.Schema, facts: dict[str, Any], options: ScoreOptions, parts: Path, model: Path, loader: Loader
) -> Job:
    """Choose the columns.

    Args:
        schema: of the input.
        facts: of the model, see `ServedModel.facts`.

    Raises:
        ValueError: a column is missing, of another type, or called as one that is added.
    """
    takes_tokens = facts["given_tokens"] or facts["task"] in TOKEN_TASKS
    texts = [_text_column(schema, options.text, takes_tokens)]
    if facts["is_pair"]:
        texts.append(_found(schema, options.text_pair, "--text-pair"))
    for name in texts:
        if not _is_text(schema.field(name).type, takes_tokens):
            accepted = "texts or lists of tokens" if takes_tokens else "texts"
            raise ValueError(f"the column {name} is of the type {schema.field(name).type}; accepted: {accepted}")
    wanted = schema.names if options.columns is None else dict.fromkeys(options.columns)
    kept = [_found(schema, name, "--columns") for name in wanted]
    answers = answer_fields(facts["task"], facts["labels"], options.probabilities)
    if texts[0] in kept and is_list(schema.field(texts[0]).type):
        answers.pop(TOKENS, None)  # they are the input's
    added = [options.prefix + name for name in (*answers, ERROR)]
    if taken := [name for name in added if name in kept]:
        raise ValueError(
            f"the input has a column {taken[0]}, as the output; accepted: --prefix=predicted_ or another one for the "
            "columns that are added, or --columns without it"
        )
    read = pa.schema([field for field in schema if field.name in (*kept, *texts)])
    return Job(parts, model, read, tuple(kept), tuple(texts), answers, options, loader)


def _text_column(schema: pa.Schema, name: str | None, takes_tokens: bool) -> str:
    if name is not None:
        return _found(schema, name, "--text")
    if takes_tokens and TOKENS in schema.names and is_list(schema.field(TOKENS).type):
        return TOKENS
    return _found(schema, TEXT, "--text")


def _found(schema: pa.Schema, name: str, option: str) -> str:
    if name not in schema.names:
        raise ValueError(f"{option}={name}: no such column; the input has {first_names(schema.names)}")
    return name


def is_list(kind: pa.DataType) -> bool:
    """Whether the values of a column are lists, as those of tokens are."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)  # Polars writes large ones


def _is_text(kind: pa.DataType, takes_tokens: bool) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if takes_tokens and is_list(kind):
        kind = kind.value_type
    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return is_string or pa.types.is_null(kind)
