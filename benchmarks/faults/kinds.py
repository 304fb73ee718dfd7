"""The ways in which a file can be damaged."""

import random
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[bytes, random.Random], bytes]
FLIPPED, FOLDER, NOT_TEXT = "byte flipped", "a folder in its place", "not UTF-8"


def _flip(content: bytes, draw: random.Random) -> bytes:
    """One bit of a byte that is not 0, if there is one: a small database is mostly zeros that nothing reads."""
    position = draw.choice([i for i, byte in enumerate(content) if byte] or range(len(content)))
    return content[:position] + bytes([content[position] ^ (1 << draw.randrange(8))]) + content[position + 1 :]


def _insert(content: bytes, position: int) -> bytes:
    """A byte that no text in UTF-8 has."""
    return content[:position] + b"\xff" + content[position:]


CONTENTS: dict[str, Damage] = {
    "cut": lambda content, draw: content[: draw.randrange(1, len(content))],
    FLIPPED: _flip,
    "emptied": lambda content, draw: b"",
    NOT_TEXT: lambda content, draw: _insert(content, draw.randrange(len(content))),
}
KINDS = (*CONTENTS, FOLDER)


def kinds_of(content: bytes) -> list[str]:
    """The kinds that make a difference to a file with this content."""
    left_out = {NOT_TEXT} if not _is_text(content) else set()
    if len(content) < 2:
        left_out |= {"cut"} if content else set(CONTENTS)
    return [kind for kind in KINDS if kind not in left_out]


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def damage(file: Path, kind: str, draw: random.Random) -> bytes:
    """Damage a file; return its new content, which is empty for a folder."""
    if kind == FOLDER:
        file.unlink()
        file.mkdir()
        return b""
    content = CONTENTS[kind](file.read_bytes(), draw)
    file.write_bytes(content)
    return content
