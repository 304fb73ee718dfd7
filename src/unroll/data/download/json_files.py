"""Reads JSON files as they are written: a string stays a string, also one that looks like a date."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from unroll.data.text_files import extension, open_text
from unroll.files import reason

ROWS = 10_000  # of a batch
_ACCEPTED = 'an object such as {"text": "So good.", "label": 1} on each line, a list of objects, or an object of lists'
_SEVERAL_TYPES = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)


def json_rows(path: Path, columns: Mapping[str, bool] | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a file that has one on each line, a list of them, or one object with a list for each column.

    Empty lines are skipped.

    Args:
        columns: the columns that are read, and whether a value of theirs is a list, which tells an object of columns
            from a single row; None reads it as a row.

    Raises:
        ValueError: the file cannot be read or decoded, or a line or an item is not an object; it names the first one.
    """
    problem = f"{path} cannot be read as {extension(path)}"
    with open_text(path) as file:
        first = next((line for line in file if line.strip()), "")
        file.seek(0)
        items: Iterator[tuple[int, Any]]
        alone = _single_object(file, first)
        file.seek(0)
        if alone is not None:
            where, items = "line", enumerate(_rows_of(alone, columns or {}, problem), start=1)
        elif first.lstrip().startswith("["):
            where, items = "item", enumerate(_parsed(file.read(), 1, problem), start=1)
        else:
            lines = ((number, line.rstrip()) for number, line in enumerate(file, start=1) if line.strip())
            where, items = "line", ((number, _parsed(line, number, problem)) for number, line in lines)
        for number, item in items:
            if not isinstance(item, dict):
                raise ValueError(f"{problem}: {where} {number} is {json.dumps(item)[:40]}; accepted: {_ACCEPTED}")
            yield item


def _single_object(file: TextIO, first: str) -> dict[str, Any] | None:
    """The object that is all of a file, on one line or several; None if there is something else in the file."""
    with suppress(ValueError, RecursionError):
        if first.lstrip().startswith("{"):
            with suppress(json.JSONDecodeError):
                json.loads(first)
                if sum(bool(line.strip()) for line in islice(file, 1000)) > 1:
                    return None  # the usual file, with an object on each line
                file.seek(0)
            value = json.loads(file.read())
            return value if isinstance(value, dict) else None
    return None


def _rows_of(value: dict[str, Any], columns: Mapping[str, bool], problem: str) -> Iterator[dict[str, Any]]:
    """The rows of an object of columns, or the object itself, if it is a row."""
    read = [(value[name], is_list) for name, is_list in columns.items() if name in value]
    if not read or not all(_is_column(values, is_list) for values, is_list in read):
        yield value
        return
    for name, values in value.items():
        if not isinstance(values, list) or len(values) != len(read[0][0]):
            found = f"{len(values)} values" if isinstance(values, list) else json.dumps(values)[:40]
            raise ValueError(f"{problem}: column {name!r} is {found}; accepted: {len(read[0][0])}, as in the others")
    yield from (dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True))


def _is_column(values: Any, is_list: bool) -> bool:
    return isinstance(values, list) and (not is_list or all(isinstance(it, list) for it in values))


def _parsed(text: str, line: int, problem: str) -> Any:
    """The value of a JSON text whose first line is `line` of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cause = f"line {line + error.lineno - 1}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or thousands of brackets
        cause = f"line {line}: {reason(error)}"
    raise ValueError(f"{problem}: {cause}; accepted: {_ACCEPTED}")


def json_dataset(files: Sequence[Path], cache: str, columns: Mapping[str, bool] | None = None) -> Any:
    """Read JSON files as a memory-mapped `datasets.Dataset`; `cache` is a folder for its data.

    `columns` is as in `json_rows`.

    A column with values of several types, such as numbers and strings, has Arrow's type JSON.

    Raises:
        ValueError: see `json_rows`; or a file has no row, or other columns than the first.
    """
    from datasets import Dataset

    parts: list[tuple[str, pa.Schema]] = []
    expected: set[str] = set()
    for file in files:
        found = _write_parts(file, cache, columns)
        names = dict.fromkeys(name for _, schema in found for name in schema.names)
        expected = expected or set(names)
        if set(names) != expected:
            raise ValueError(f"{file} has the columns {list(names)}; accepted: {sorted(expected)}, as in {files[0]}")
        parts += found
    schemas = [schema for _, schema in parts]
    if len(parts) > 1:
        names = dict.fromkeys(name for schema in schemas for name in schema.names)
        whole = pa.schema([(name, _common_type(name, schemas)) for name in names])
        path = _new_file(cache)
        with pa.ipc.new_stream(path, whole) as stream:
            for part, _ in parts:
                with pa.memory_map(part) as source:
                    for batch in pa.ipc.open_stream(source):
                        stream.write(_converted(batch, whole))
        return Dataset.from_file(path)
    return Dataset.from_file(parts[0][0])


def _write_parts(file: Path, cache: str, columns: Mapping[str, bool] | None) -> list[tuple[str, pa.Schema]]:
    """Write the rows of a file as Arrow streams, a new one when the types change; return their paths and schemas."""
    parts: list[tuple[str, pa.Schema]] = []
    rows, stream = json_rows(file, columns), None
    first = next((row for row in json_rows(file, columns) if row), {})  # gives columns to a block of empty objects
    try:
        while block := list(islice(rows, ROWS)):
            names = dict.fromkeys([*first, *(name for row in block for name in row)])
            batch = pa.record_batch({name: _array([row.get(name) for row in block]) for name in names})
            if stream is None or batch.schema != parts[-1][1]:
                if stream is not None:
                    stream.close()
                parts.append((_new_file(cache), batch.schema))
                stream = pa.ipc.new_stream(*parts[-1])
            stream.write_batch(batch)
    finally:
        if stream is not None:
            stream.close()
    if not first:
        raise ValueError(f"{file} cannot be read as {extension(file)}: it contains no rows")
    return parts


def _array(values: list[Any]) -> pa.Array:
    """Values as an array of their type, or as JSON if they have several."""
    kinds = set(map(type, values)) - {type(None)}
    with suppress(*_SEVERAL_TYPES):
        if bool not in kinds or len(kinds) == 1:  # Arrow reads true among numbers as 1.0
            array = _text_array(values)
            if "struct<>" not in str(array.type):  # cannot be written to parquet
                return array
    return _as_json(values)


def _as_json(values: list[Any]) -> pa.Array:
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.json_())


def _text_array(values: list[Any]) -> pa.Array:
    """An array that may contain half a surrogate pair, which no UTF-8 text can: the prepare stage rejects its row."""
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        array = pa.array(_encoded(values))
        return array.cast(_with_strings(array.type), safe=False)


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(value, list):
        return [_encoded(it) for it in value]
    return {name: _encoded(it) for name, it in value.items()} if isinstance(value, dict) else value


def _with_strings(kind: pa.DataType) -> pa.DataType:
    """The type with strings in place of binary values."""
    if pa.types.is_list(kind):
        return pa.list_(_with_strings(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(it.name, _with_strings(it.type)) for it in kind])
    return pa.string() if pa.types.is_binary(kind) else kind


def _common_type(name: str, schemas: Sequence[pa.Schema]) -> pa.DataType:
    """The type that has all values of a column."""
    kinds = [schema.field(name).type for schema in schemas if name in schema.names]
    known = {str(kind) for kind in kinds} - {"null"}
    if "bool" in known and len(known) > 1:
        return pa.json_()
    try:
        return pa.unify_schemas([pa.schema({name: kind}) for kind in kinds], promote_options="permissive").types[0]
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.json_()


def _converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    names = batch.schema.names
    columns = [
        _of_type(batch[it.name], it.type) if it.name in names else pa.nulls(len(batch), it.type) for it in schema
    ]
    return pa.record_batch(columns, schema)


def _of_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    with suppress(*_SEVERAL_TYPES):
        if kind != pa.json_():
            return array.cast(kind)
    return _as_json(array.to_pylist())


def _new_file(folder: str) -> str:
    return tempfile.mkstemp(".arrow", dir=folder)[1]
