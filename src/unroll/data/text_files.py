"""Opens files of text: UTF-8 or UTF-16, plain or gzip."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO, cast

TABLES = (".csv", ".tsv")  # extensions of files whose cells are text
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def extension(name: str | Path) -> str:
    """The extension of a file name in lower case, without `.gz`: `.csv` for `a.csv.gz`."""
    return Path(str(name).lower().removesuffix(".gz")).suffix


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a file whose lines end in LF, CRLF or CR, which are kept.

    A file with a byte order mark of UTF-16 is UTF-16, as Excel writes it; any other is UTF-8.

    Raises:
        ValueError: the file cannot be read or decoded, within the context too.
    """
    try:
        with _open(path, "rb") as binary:
            start = binary.read(4)
            is_utf16 = start[:2] in _UTF16 and len(start) == 4
            if b"\0" in start and not is_utf16:
                raise ValueError(
                    f"{path} cannot be read as {extension(path)}: line 1 contains zero bytes; accepted: UTF-8, or "
                    "UTF-16 with a byte order mark"
                )
        with _open(path, "rt", encoding="utf-16" if is_utf16 else "utf-8-sig", newline="") as text:
            yield cast(TextIO, text)
    except UnicodeDecodeError as error:
        where = "it" if is_utf16 else f"line {_undecodable_line(path)}"
        raise ValueError(
            f"{path} cannot be read as {extension(path)}: {where} is not {error.encoding.upper()} ({error.reason}); "
            "accepted: UTF-8, or UTF-16 with a byte order mark"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _open(path: Path, mode: str, **options: Any) -> IO[Any]:
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    return cast(IO[Any], opener(path, mode, **options))


def _undecodable_line(path: Path) -> int:
    with _open(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
        return next(n for n, line in enumerate(file, start=1) if any("\udc80" <= letter <= "\udcff" for letter in line))
