"""Reads JSON lines piece by piece."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from unroll.files import reason
from unroll.inference.scoring.columns import BLOCK, Rows
from unroll.inference.scoring.text_input import TextInput

SAMPLE = 1 << 20  # bytes at the beginning of a file, from which the columns are found
_ACCEPTED = 'an object on each line, such as {"text": "So good."}'
_NUMBERS = (frozenset({int, float}), frozenset({float}))
# The Arrow type of a column with values of these types, apart from null; that of all others is JSON.
_TYPES = {frozenset({bool}): pa.bool_(), frozenset({int}): pa.int64(), frozenset({str}): pa.string()}
_TYPES |= dict.fromkeys(_NUMBERS, pa.float64())
_TAKES: dict[Any, set[type]] = {pa.bool_(): {bool}, pa.int64(): {int}, pa.string(): {str}, pa.float64(): {int, float}}
_TEXTS = pa.list_(pa.string())


class JsonInput(TextInput):
    """A file with a JSON object on each line; see `Input`.

    The columns have the types of the values in the first `SAMPLE` bytes: bool, int64, double, string, list of strings,
    or, if they are others or several, JSON. A row whose value is of another type has null there, and a problem.
    """

    def schema(self) -> pa.Schema:
        with self.reading():
            self.stream.seek(self.first)
            lines = self.stream.readlines(SAMPLE)
        if lines and lines[0].lstrip().startswith(b"["):
            raise ValueError(f"{self.problem}: it is a list; accepted: {_ACCEPTED}")
        rows = [row for row in map(_parsed, lines) if isinstance(row, dict)]
        if any(line.strip() for line in lines) and not rows:
            raise ValueError(f"{self.problem}: no line is an object; accepted: {_ACCEPTED}")
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.schema([(name, _type([row.get(name) for row in rows])) for name in names])

    @staticmethod
    def united(schema: pa.Schema, other: pa.Schema) -> pa.Schema:
        """The columns of both; one that has two types is of JSON, or of numbers."""
        columns = {it.name: it.type for it in schema}
        for field in other:
            known = columns.setdefault(field.name, field.type)
            if known == pa.null():
                columns[field.name] = field.type
            elif field.type not in (known, pa.null()):
                numbers = {known, field.type} == {pa.int64(), pa.float64()}
                columns[field.name] = pa.float64() if numbers else pa.json_()
        return pa.schema(columns)

    @staticmethod
    def settled(schema: pa.Schema) -> pa.Schema:
        """With JSON as the type of the columns that have no value, so that later values are kept."""
        return pa.schema({it.name: pa.json_() if it.type == pa.null() else it.type for it in schema})

    def cut(self, size: int) -> Iterator[tuple[int, int, int]]:
        return self.cut_lines(self.first, 1, size)

    def read(self, start: int, stop: int, line: int, schema: pa.Schema, is_whole: bool) -> Iterator[Rows]:
        lines = ((n, it) for n, it in enumerate(self.bytes_of(start, stop).split(b"\n"), start=line) if it.strip())
        while block := list(islice(lines, BLOCK)):
            rows, problems = [], {}
            for i, (number, content) in enumerate(block):
                row = _parsed(content)
                if not isinstance(row, dict):
                    problems[i] = f"line {number} {row}; accepted: {_ACCEPTED}"
                elif is_whole and (unknown := [name for name in row if schema.get_field_index(name) < 0]):
                    problems[i] = f"line {number}: {unknown[0]!r} is in no row at the beginning of a file: left out"
                rows.append(row if isinstance(row, dict) else None)
            unread = frozenset(i for i, row in enumerate(rows) if row is None)
            columns = []
            for field in schema:
                values = [None if row is None else row.get(field.name) for row in rows]
                column, misfits = _column(values, field.type)
                for i in misfits:
                    problem = f"line {block[i][0]}: {field.name} is not of the type {field.type}: left out"
                    problems[i] = "; ".join(filter(None, [problems.get(i), problem]))
                columns.append(column)
            yield Rows(pa.record_batch(columns, schema), problems, unread)


def _parsed(line: bytes) -> Any:
    """The object on a line, or, as text, why there is none."""
    try:
        row = json.loads(line.decode())
        if b"\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    except UnicodeEncodeError:
        return "contains half a character (a surrogate)"
    except (ValueError, RecursionError) as error:
        return f"is not JSON ({reason(error).removeprefix('not JSON: ')})"
    return row if isinstance(row, dict) else "is not an object"


def _type(values: Sequence[Any]) -> pa.DataType:
    kinds = frozenset(map(type, values)) - {type(None)}
    if not kinds:
        return pa.null()  # until another file says more; see `JsonInput.settled`
    if kinds == {list} and all(isinstance(it, str) for value in values for it in value or []):
        return _TEXTS
    return _TYPES.get(kinds, pa.json_())


def _column(values: list[Any], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """The values as an array, with null for those that are of another type, and their positions."""
    if kind == pa.json_():
        texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        return pa.array(texts, pa.json_()), []
    misfits = [i for i, value in enumerate(values) if not _fits(value, kind)]
    for i in misfits:
        values[i] = None
    return pa.array(values, kind), misfits


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a value can be stored as it is. Arrow would cut 1.5 to 1, and read true as 1."""
    if value is None:
        return True
    if kind == _TEXTS:
        return isinstance(value, list) and all(isinstance(it, str) for it in value)
    if type(value) not in _TAKES[kind]:
        return False
    if type(value) is int:
        return abs(value) <= (2**63 - 1 if kind == pa.int64() else 2**53)
    return True
