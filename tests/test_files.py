import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.files import (
    damaged_files,
    read_json,
    sha256,
    whole_file,
    whole_folder,
    write_checksums,
    write_json,
    write_text,
)


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with whole_folder(target) as work:
        (work / "file").write_text("new")
        assert not target.exists()
    assert (target / "file").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "folder") as work:
        (work / "file").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(target) as work:
        (work / "file").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "file").read_text() == "old"


def test_a_new_folder_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "stale").write_text("old")
    with whole_folder(target) as work:
        (work / "file").write_text("new")
    assert [path.name for path in target.iterdir()] == ["file"]


def test_others_may_read_the_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    for content in ("old", "new"):
        with whole_file(target) as temporary:
            assert temporary.parent == tmp_path
            temporary.write_text(content)
        assert target.read_text() == content
    with pytest.raises(RuntimeError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_text_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    write_text(path, "neu: ä\n")
    assert path.read_bytes() == "neu: ä\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=40)
@given(plain_values)
def test_json_comes_back_as_it_was(value: object) -> None:
    with TemporaryDirectory() as folder:
        write_json(Path(folder) / "file.json", value)
        assert read_json(Path(folder) / "file.json") == value


def test_json_is_readable_text(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"größe": [1, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "größe": [\n    1,\n    null\n  ]\n}\n'
    assert read_json(path) == {"größe": [1, None]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1', "Expecting"),
        (b"\xff", "utf-8"),
        (b'{"a": 1}', "missing b, c"),
        (b"[]", "missing a, b, c"),
        (b"null", "missing a, b, c"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_json(path, ["a", "b", "c"])
    assert str(error.value).startswith(f"{path} is damaged: ")
    assert said in str(error.value)


def test_checksum_is_that_of_the_contents_in_a_row(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"x" * (1 << 20) + b"y")
    second.write_bytes(b"z")
    assert sha256(first, second) == hashlib.sha256(b"x" * (1 << 20) + b"yz").hexdigest()
    assert sha256(first) != sha256(second)


def test_files_that_are_not_what_was_written_are_damaged(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode())
    assert damaged_files(tmp_path) == []
    write_checksums(tmp_path)
    assert damaged_files(tmp_path) == []
    (tmp_path / "a").write_bytes(b"A")
    (tmp_path / "c").unlink()
    assert damaged_files(tmp_path) == ["a", "c"]


def test_too_many_brackets_are_damage(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"deep\.json is damaged: "):
        read_json(tmp_path / "deep.json")
