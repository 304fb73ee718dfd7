import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll.files import (
    check_files,
    damaged_files,
    json_digest,
    make_folder,
    read_json,
    read_mapping,
    read_yaml,
    reading,
    refusal,
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


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b"[1]", b"null"])
def test_what_is_no_mapping_is_read_as_an_empty_one(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "record.json"
    if content is not None:
        file.write_bytes(content)
    assert read_mapping(file) == {}
    write_json(file, {"a": 1})
    assert read_mapping(file) == {"a": 1}


def test_the_digest_of_a_value_does_not_depend_on_the_order_of_its_keys() -> None:
    assert json_digest({"a": 1, "b": [2]}) == json_digest({"b": [2], "a": 1}) != json_digest({"a": 1, "b": [3]})


def test_json_is_readable_text(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"größe": [1, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "größe": [\n    1,\n    null\n  ]\n}\n'
    assert read_json(path) == {"größe": [1, None]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1', "Expecting"),
        (b"\xff", "byte 1 is not UTF-8 text"),
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


def test_a_linked_copy_stays_as_it_was_when_a_file_is_written(tmp_path: Path) -> None:
    """DVC links outputs to its cache (`cache.type hardlink,symlink`)."""
    cache = tmp_path / "cache"
    cache.write_text("old")
    for name, create in (("hard.json", os.link), ("soft.json", os.symlink)):
        create(cache, tmp_path / name)
        create(cache, tmp_path / f".{name}.tmp")  # left by a killed process
        write_json(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == '"new"\n'
    assert cache.read_text() == "old"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["cache", "hard.json", "soft.json"]


def test_a_file_replaces_a_folder_in_its_place_and_a_folder_a_file(tmp_path: Path) -> None:
    (tmp_path / "file.json" / "inner").mkdir(parents=True)
    (tmp_path / "folder").write_text("a file")
    write_json(tmp_path / "file.json", 1)
    with whole_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "file.json").read_text() == "1\n"
    assert (tmp_path / "folder").is_dir()


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device")
REFUSALS = {
    "full": (FULL, (None, "No space left on device")),
    "quota": (OSError(errno.EDQUOT, "", "a/b"), ("a/b", "Disk quota exceeded")),
    "permission": (PermissionError(errno.EACCES, "", "a"), ("a", "Permission denied")),
    "read-only": (OSError(errno.EROFS, "", "a"), ("a", "Read-only file system")),
    "folder": (IsADirectoryError(errno.EISDIR, "", "a"), ("a", "Is a directory")),
    "rust": (
        Exception('IoError(Os { code: 28, message: "No space left on device" })'),
        (None, "No space left on device"),
    ),
    "sqlite": (RuntimeError("(sqlite3.OperationalError) database or disk is full"), (None, "database or disk is full")),
    "torch": (RuntimeError("PytorchStreamWriter failed: file write failed"), (None, "file write failed")),
    "cause": (caused(RuntimeError("cannot save"), FULL), (None, "No space left on device")),
    "bug": (KeyError("surprise"), None),
    "missing": (FileNotFoundError(errno.ENOENT, "", "a"), None),
    "value": (ValueError("a: Permission denied"), None),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_the_file_system_refuses_is_told_from_a_bug(kind: str) -> None:
    error, expected = REFUSALS[kind]
    assert refusal(error) == expected


@pytest.mark.parametrize("error", [it for it, found in REFUSALS.values() if found and found[0] is None])
@pytest.mark.parametrize("writing", [whole_file, whole_folder])
def test_the_file_that_cannot_be_written_is_named_and_the_old_one_stays(
    tmp_path: Path, writing: Callable[[Path], AbstractContextManager[Path]], error: Exception
) -> None:
    target = tmp_path / "target"
    target.mkdir() if writing is whole_folder else target.write_text("old")
    with pytest.raises(ValueError, match=r"target cannot be written: [\w ]+$"), writing(target):
        raise error
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_elsewhere_that_is_refused_is_not_that_which_is_written(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="input"), whole_folder(tmp_path / "target"):
        raise PermissionError(errno.EACCES, "denied", "input.parquet")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UnicodeDecodeError("utf-8", b"ab\xff", 2, 3, "invalid start byte"), "byte 3 is not UTF-8 text"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "a folder, not a file"),
        (RecursionError("maximum recursion depth exceeded"), "too many nested brackets"),
        (ValueError("Cannot load file containing pickled data when allow_pickle=False"), "wrong content"),
        (KeyError("label"), "wrong content"),
        (RuntimeError("Parquet magic bytes not found\nmore"), "Parquet magic bytes not found"),
        (ValueError(""), "wrong content"),
    ],
)
def test_a_damaged_file_is_one_line_with_the_cause_and_the_remedy(error: Exception, cause: str) -> None:
    with pytest.raises(ValueError) as found, reading(Path("a.json"), "run make"):
        raise error
    assert str(found.value) == f"a.json is damaged ({cause}): run make"


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "denied", "a"), FileNotFoundError(errno.ENOENT, "", "a")]
)
def test_a_file_that_may_not_be_read_or_is_missing_is_not_damaged(error: OSError) -> None:
    with pytest.raises(type(error)), reading(Path("a"), "run make"):
        raise error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1\nb: 2\n", r"a\.yaml, line 2: not YAML: "),
        (b"a: \xff\n", r"a\.yaml: not YAML: byte 4 is not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"../a": "0"}', b'{"/etc/passwd": "0"}', b'{"a": 3}', b'{"a": ["0"]}']
)
def test_damaged_checksums_are_damage_and_lead_to_no_other_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sha256.json").write_bytes(content)
    assert damaged_files(tmp_path) == ["sha256.json"]


def test_files_in_subfolders_are_checked_and_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a").write_bytes(b"a")
    write_checksums(tmp_path)
    check_files(tmp_path, "make it again")
    (tmp_path / "train" / "a").write_bytes(b"b")
    (tmp_path / "later").write_bytes(b"c")
    with pytest.raises(ValueError, match=r"is damaged: train/a changed after it was written; make it again$"):
        check_files(tmp_path, "make it again")
    assert damaged_files(tmp_path, ["later", "missing"]) == ["later"]


@pytest.mark.parametrize("path", ["file", "file/a", "file/a/b"])
def test_a_file_in_the_place_of_a_folder_is_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"^{tmp_path}/file is a file; accepted: a folder, or a path that does not"):
        make_folder(tmp_path / path)
    with pytest.raises(ValueError, match=f"^{tmp_path}/file is a file; accepted"), whole_folder(tmp_path / path / "c"):
        pass
    make_folder(tmp_path / "new" / "folder")
    make_folder(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_folder_where_there_is_no_place_is_named() -> None:
    said = r"^/proc/x cannot be written: No such file or directory; accepted: another place$"
    with pytest.raises(ValueError, match=said):
        make_folder(Path("/proc/x"))
    with pytest.raises(ValueError, match=said):
        write_text(Path("/proc/x"), "text")
    for target in ("/proc/x", "/proc/x/y"):
        with pytest.raises(ValueError, match=said), whole_folder(Path(target)):
            pass
