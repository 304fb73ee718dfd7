import gzip
import os
import re
import zipfile
from pathlib import Path

import pytest

from unroll.data.vectors import files
from unroll.data.vectors.files import VectorsFile, find_vectors
from unroll.data.vectors.read import read_vectors, read_words


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``data/vectors`` of an empty project, which is the current folder; no other folder is looked in."""
    monkeypatch.setattr(files, "project_root", lambda: tmp_path)
    monkeypatch.delenv("UNROLL_VECTORS", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "vectors"
    folder.mkdir(parents=True)
    return folder


def write(path: Path, *words: str, width: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}{' 1' * width}\n" for word in words))
    return path


def write_archive(path: Path, **widths: int) -> Path:
    """An archive with a file for each name and width."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, width in widths.items():
            archive.writestr(f"{name.replace('_', '.')}", f"cat{' 1' * width}\n")
        archive.writestr("__MACOSX/._glove.txt", b"\0\x05")
    return path


@pytest.mark.parametrize("name", ["glove.6B.100d", "glove.6B.100d.txt", "glove.6B.100d.txt.gz"])
def test_a_file_in_the_projects_folder_is_found_by_its_name_with_or_without_endings(folder: Path, name: str) -> None:
    path = folder / "glove.6B.100d.txt.gz"
    path.write_bytes(gzip.compress(b"cat 1 2\n"))
    write(folder / "glove.6B.100d.copy.txt", "dog")
    write(folder / "glove.6B.50d.txt", "dog")
    assert find_vectors(name) == VectorsFile(path)
    assert read_words(find_vectors(name)) == ["cat"]


def test_folders_in_the_environment_come_before_that_of_the_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(tmp_path / "a" / "glove.txt", "a"), write(tmp_path / "b" / "crawl.vec", "b")
    write(folder / "glove.txt", "c"), write(folder / "crawl.vec", "c")
    monkeypatch.setenv("UNROLL_VECTORS", os.pathsep.join([str(first.parent), str(second.parent)]))
    assert [find_vectors(name).path for name in ("glove", "crawl")] == [first, second]


def test_a_path_is_that_file_although_one_of_its_name_is_in_the_folder(folder: Path, tmp_path: Path) -> None:
    write(folder / "glove.txt", "a")
    assert find_vectors("glove.txt").path == folder / "glove.txt"
    here = write(tmp_path / "glove.txt", "b")
    assert find_vectors("glove.txt").path.resolve() == here
    assert find_vectors(str(folder / "glove.txt")).path == folder / "glove.txt"


def test_the_copies_of_dvc_look_in_the_folder_of_the_project(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder / "glove.txt", "a")
    monkeypatch.setattr(files, "project_root", lambda: tmp_path / ".dvc" / "tmp" / "exps" / "tmpx")
    assert find_vectors("glove").path == path


def test_a_member_of_an_archive_is_named_or_the_only_one(folder: Path, tmp_path: Path) -> None:
    one = write_archive(tmp_path / "crawl.zip", crawl_vec=3)
    assert find_vectors(str(one)).of_width() == VectorsFile(one, "crawl.vec")
    two = write_archive(tmp_path / "glove.zip", a_txt=2, b_txt=3)
    file = find_vectors(f"{two}::b.txt")
    assert file.of_width() == file == VectorsFile(two, "b.txt")
    assert str(file) == f"{two}::b.txt"
    assert read_vectors(file, ["cat"]).vectors.tolist() == [[1, 1, 1]]


def test_of_several_members_the_one_of_the_width_wanted_is_taken(folder: Path) -> None:
    archive = write_archive(folder / "glove.6B.zip", glove_6B_2d_txt=2, glove_6B_3d_txt=3)
    assert find_vectors("glove.6B").of_width(3) == VectorsFile(archive, "glove.6B.3d.txt")
    assert read_vectors(find_vectors("glove.6B").of_width(2), ["cat"]).vectors.tolist() == [[1, 1]]


@pytest.mark.parametrize("width", [None, 4])
def test_without_a_member_of_that_width_all_are_listed(folder: Path, width: int | None) -> None:
    archive = write_archive(folder / "glove.6B.zip", a_txt=2, b_txt=3)
    with pytest.raises(ValueError) as error:
        find_vectors("glove.6B").of_width(width)
    assert f"accepted: vectors={archive}::a.txt, vectors={archive}::b.txt" in str(error.value)
    assert ("with 4 numbers per word" in str(error.value)) == (width is not None)


def test_a_member_is_found_by_its_own_name(folder: Path) -> None:
    archive = write_archive(folder / "glove.6B.zip", glove_6B_2d_txt=2, glove_6B_3d_txt=3)
    assert find_vectors("glove.6B.3d") == VectorsFile(archive, "glove.6B.3d.txt")


def test_the_text_is_taken_where_an_archive_has_fasttexts_binary_form_too(folder: Path) -> None:
    archive = write_archive(folder / "wiki.zip", wiki_vec=2, wiki_bin=2)
    assert find_vectors("wiki").of_width(2) == VectorsFile(archive, "wiki.vec")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ("glove.7B", "vectors=glove.7B: no such file; {folder} has a.txt, b.vec, c.zip; accepted: a GloVe, word2vec"),
        ("sub/a.txt", "vectors=sub/a.txt: no such file; accepted: a GloVe"),
        ("c.zip::d.txt", "vectors=c.zip::d.txt: no such file in {folder}/c.zip; accepted: x.txt"),
        ("a.txt::x", "vectors=a.txt::x: {folder}/a.txt is not a ZIP archive; accepted: vectors={folder}/a.txt"),
        ("b", "vectors=b: several files; accepted: {folder}/b.txt, {folder}/b.vec"),
    ],
)
def test_what_is_not_found_is_named_with_what_is_there(folder: Path, vectors: str, message: str) -> None:
    write(folder / "a.txt", "a"), write(folder / "b.vec", "b"), write(folder / ".cache" / "x", "c")
    write_archive(folder / "c.zip", x_txt=2)
    if vectors == "b":
        write(folder / "b.txt", "b")
    with pytest.raises(ValueError, match=re.escape(message.format(folder=folder))):
        find_vectors(vectors)


def test_an_empty_folder_and_a_missing_one_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLL_VECTORS", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=f"; {tmp_path}/missing has no file; {folder} has no file; accepted"):
        find_vectors("glove")


def damage_in_the_middle(content: bytearray) -> None:
    content[60] ^= 0xFF


def mark_as_encrypted(content: bytearray) -> None:
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1


def mark_as_of_another_compression(content: bytearray) -> None:
    content[8] = 99
    content[content.index(b"PK\x01\x02") + 10] = 99


@pytest.mark.parametrize("damage", [damage_in_the_middle, mark_as_encrypted, mark_as_of_another_compression])
def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "glove.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.txt", "".join(f"word{i} {i} {i}\n" for i in range(1000)))
    content = bytearray(path.read_bytes())
    damage(content)  # type: ignore[operator]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path}::glove.txt cannot be read: ")):
        read_vectors(find_vectors(str(path)), ["word1"])


def test_an_archive_that_ends_early_is_named(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "glove.zip", glove_txt=2)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be read: ")):
        read_vectors(find_vectors(str(path)), ["cat"])
