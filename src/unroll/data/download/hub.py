"""A dataset repository of the Hugging Face Hub, as a local folder at exactly the revision asked for."""

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unroll.files import sha256

DATA_FILES = [
    "*.md",
    "*.parquet",
    "*.json",
    "*.jsonl",
    "*.csv",
    "*.arrow",
    "*.txt",
    "*.conll",
    "*.bio",
    "*.iob",
    "*.tsv",
]
ANSWER_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 60  # that a Hub may ask for (429, Retry-After)
COMMIT_LENGTH = 40
SHA256_LENGTH = 64


def snapshot(repository: str, revision: str) -> tuple[Path, str]:
    """Download `repository` at `revision`; return its folder and the commit that came.

    The folder's name is the commit, so a cache can never answer with another revision than the one resolved. A file,
    cached or new, that differs from its checksum is fetched again.

    Raises:
        ValueError: the Hub cannot be reached, knows no such repository or revision, or sends damaged files.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from unroll.data.download.hub_client import refuse_trickles

    refuse_trickles()
    if not sys.stderr.isatty():
        disable_progress_bars()
    with _errors_in_words(repository, revision):
        commit = revision if constants.HF_HUB_OFFLINE else _resolve(repository, revision)
        folder = _fetch(repository, commit)
        damaged = _damaged(folder, certain=constants.HF_HUB_OFFLINE)
        if damaged:
            _forget(damaged)
            folder = _fetch(repository, commit)
            damaged = _damaged(folder, certain=True)
    if damaged:
        names = ", ".join(sorted(str(file.relative_to(folder)) for file in damaged))
        _forget(damaged)
        raise ValueError(
            f"dataset.path={repository!r}: {names} came twice with another SHA-256 than the Hub at "
            f"{constants.ENDPOINT} tells; nothing is kept of it"
        )
    if _is_commit(revision) and folder.name != revision:
        raise ValueError(
            f"dataset.revision={revision!r} was asked for, but the Hub at {constants.ENDPOINT} answered with "
            f"{folder.name!r}"
        )
    return folder, folder.name


def _resolve(repository: str, revision: str) -> str:
    """The commit that `revision` is.

    One question that is not asked again: the download itself would go on asking for half a minute.
    """
    from huggingface_hub import dataset_info
    from huggingface_hub.errors import HfHubHTTPError

    end = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        try:
            return dataset_info(repository, revision=revision, timeout=ANSWER_SECONDS).sha or revision
        except HfHubHTTPError as error:
            wait = error.response.headers.get("Retry-After", "")
            if error.response.status_code != 429 or not wait.isdigit() or time.monotonic() + int(wait) > end:
                raise
            time.sleep(int(wait) + 0.1)


def _fetch(repository: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(repository, repo_type="dataset", revision=commit, allow_patterns=DATA_FILES, etag_timeout=10)
    )


def _damaged(folder: Path, certain: bool) -> list[Path]:
    """The files of a snapshot that differ from their checksum, which is the name of the cached file behind them.

    Large files have a SHA-256, others git's checksum; what is neither comes from a server other than the Hub, and is
    damaged for all we know, but not for `certain`.
    """
    links = [file for file in folder.rglob("*") if file.is_symlink()]  # a cache without links has no checksums
    return [file for file in links if not _is_whole(file.resolve(), certain)]


def _is_whole(cached: Path, certain: bool) -> bool:
    if len(cached.name) == SHA256_LENGTH:
        return sha256(cached) == cached.name
    return certain or _git_checksum(cached) == cached.name


def _git_checksum(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _forget(files: list[Path]) -> None:
    for file in files:
        file.resolve().unlink(missing_ok=True)  # two files of equal content are one in the cache
        file.unlink()


@contextmanager
def _errors_in_words(repository: str, revision: str) -> Iterator[None]:
    from httpx2 import HTTPError  # what the client lets through
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"the Hub at {constants.ENDPOINT}"
    try:
        yield
    except HFValidationError as error:
        raise ValueError(
            f"dataset.path={repository!r} is neither a folder here nor a Hub repository ('owner/name')"
        ) from error
    except GatedRepoError as error:
        raise ValueError(
            f"dataset.path={repository!r} is gated: accept its terms on the Hub and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise ValueError(f"dataset.revision={revision!r}: {where} has no such revision of {repository}") from error
    except RepositoryNotFoundError as error:
        raise ValueError(
            f"dataset.path={repository!r}: {where} has no such dataset (or it is private: set HF_TOKEN), "
            "and no folder of that name is here"
        ) from error
    except LocalEntryNotFoundError as error:
        raise ValueError(
            f"dataset.path={repository!r} at revision {revision!r} is not complete in the local cache, "
            f"and {where} gave no answer or HF_HUB_OFFLINE is set"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            raise ValueError(
                f"dataset.path={repository!r}: {where} refuses access ({error.response.status_code}): "
                "set HF_TOKEN to a token that may read it"
            ) from error
        raise ValueError(f"dataset.path={repository!r}: {where} failed: {_first_line(error)}") from error
    except HTTPError as error:
        raise ValueError(
            f"{where} cannot be reached ({_first_line(error)}); work from a local copy with "
            "dataset.path=FOLDER, or from the cache with HF_HUB_OFFLINE=1"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_commit(revision: str) -> bool:
    return len(revision) == COMMIT_LENGTH and all(character in "0123456789abcdef" for character in revision)
