"""Downloads a dataset repository of the Hugging Face Hub at a given revision."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from httpx2 import Client, HTTPError, ReadError, Response, SyncByteStream
from huggingface_hub import constants, dataset_info, get_session, set_client_factory, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.sha import git_hash
from huggingface_hub.utils.tqdm import disable_progress_bars

from unroll.files import sha256

_EXTENSIONS = ("md", "parquet", "json", "jsonl", "csv", "arrow", "txt", "conll", "bio", "iob", "tsv")
DATA_FILES = [f"*.{extension}{packed}" for extension in _EXTENSIONS for packed in ("", ".gz")]
TIMEOUT_SECONDS = 5.0
MAX_RETRY_SECONDS = 60  # maximum total wait requested by a Hub (status 429 with Retry-After)
GRACE_SECONDS = 8.0  # before the transfer rate is checked
MIN_BYTES_PER_SECOND = 1000.0


def snapshot(repository: str, revision: str, patterns: Sequence[str] = (), where: str = "dataset") -> tuple[Path, str]:
    """Download the data files of `repository` at `revision`, and files that match `patterns`; return folder and commit.

    The commit is resolved first and is the name of the folder, so that the cache cannot return another revision.
    Files that differ from their checksum, whether cached or new, are downloaded once more.

    Raises:
        ValueError: the Hub cannot be reached, the repository or revision does not exist, or files remain damaged.
    """
    _refuse_slow_responses()
    if not sys.stderr.isatty():
        disable_progress_bars()
    with _as_value_errors(repository, revision, where):
        commit = revision if constants.HF_HUB_OFFLINE else _resolve(repository, revision)
        for known_only in (constants.HF_HUB_OFFLINE, True):
            wanted = [*DATA_FILES, *patterns]
            folder = Path(
                snapshot_download(
                    repository, repo_type="dataset", revision=commit, allow_patterns=wanted, etag_timeout=10
                )
            )
            damaged = _delete_damaged(folder, known_only)
            if not damaged:
                break
    if damaged:
        raise ValueError(
            f"{where}.path={repository!r}: {', '.join(damaged)} differed twice from the checksum (SHA-256, or git's "
            f"for a small file) given by the Hub at {constants.ENDPOINT}; the damaged files were deleted"
        )
    if re.fullmatch("[0-9a-f]{40}", revision) and folder.name != revision:
        raise ValueError(
            f"{where}.revision={revision!r} was requested, but the Hub at {constants.ENDPOINT} returned {folder.name!r}"
        )
    return folder, folder.name


def _resolve(repository: str, revision: str) -> str:
    """The commit of `revision`, from a single request, since the download itself would retry for half a minute."""
    end = time.monotonic() + MAX_RETRY_SECONDS
    while True:
        try:
            return dataset_info(repository, revision=revision, timeout=TIMEOUT_SECONDS).sha or revision
        except HfHubHTTPError as error:
            wait = error.response.headers.get("Retry-After", "")
            if error.response.status_code != 429 or not wait.isdigit() or time.monotonic() + int(wait) > end:
                raise
            time.sleep(int(wait) + 0.1)


def _delete_damaged(folder: Path, known_only: bool) -> list[str]:
    """Delete the files of a snapshot that differ from their checksum, the name of the cached file; return their names.

    Large files have a SHA-256, others git's checksum. Any other name comes from a server that is not the Hub; such
    files count as damaged unless `known_only`.
    """
    links = [file for file in folder.rglob("*") if file.is_symlink()]  # a cache without links has no checksums
    damaged = sorted(link for link in links if not _is_intact(link.resolve(), known_only))
    for file in damaged:
        file.resolve().unlink(missing_ok=True)  # files with equal content share a cached file
        file.unlink()
    return [str(file.relative_to(folder)) for file in damaged]


def _is_intact(cached: Path, known_only: bool) -> bool:
    if len(cached.name) == 64:  # a SHA-256
        return sha256(cached) == cached.name
    return known_only or git_hash(cached.read_bytes()) == cached.name


@contextmanager
def _as_value_errors(repository: str, revision: str, key: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into a ValueError of one line."""
    where, path = f"the Hub at {constants.ENDPOINT}", f"{key}.path={repository!r}"
    taken = f"{path}: no such folder or file here, so it was taken for a Hub repository"
    try:
        yield
    except (HTTPError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        status = getattr(getattr(error, "response", None), "status_code", None)
        failed = f"denied access ({status}); set HF_TOKEN to a token with read access"
        messages: dict[Any, str] = {
            HFValidationError: f"{path}: no such folder; accepted: a folder or a Hub repository 'owner/name'",
            GatedRepoError: f"{path} is gated: accept its terms on the Hub and set HF_TOKEN",
            RevisionNotFoundError: f"{key}.revision={revision!r}: {where} has no such revision of {repository}",
            RepositoryNotFoundError: f"{taken}; {where} has no such dataset, or HF_TOKEN is required",
            LocalEntryNotFoundError: f"{taken}; revision {revision!r} is not complete in the local cache, and "
            f"{where} did not respond or HF_HUB_OFFLINE is set",
            (HfHubHTTPError, OSError): f"{taken}; {where} {failed if status in (401, 403) else f'failed: {reason}'}",
            HTTPError: f"{taken}; {where} cannot be reached ({reason}); use a local copy with {key}.path=FOLDER, or "
            "the cache with HF_HUB_OFFLINE=1",
        }
        message = next(message for kind, message in messages.items() if isinstance(error, kind))
        raise ValueError(message) from error


def _refuse_slow_responses() -> None:
    """Let responses fail whose body arrives at less than MIN_BYTES_PER_SECOND.

    A read timeout does not detect them, since each single read is fast enough.
    """
    client = get_session()
    hooks = {**client.event_hooks, "response": [_watch]}
    set_client_factory(lambda: Client(event_hooks=hooks, follow_redirects=True, timeout=None))


def _watch(response: Response) -> None:
    if isinstance(response.stream, SyncByteStream):
        response.stream = _WatchedStream(response.stream)


class _WatchedStream(SyncByteStream):
    """A stream that raises ReadError if it is too slow."""

    def __init__(self, stream: SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        start, received = time.monotonic(), 0
        for chunk in self._stream:
            received += len(chunk)
            seconds = time.monotonic() - start
            if seconds > GRACE_SECONDS and received < seconds * MIN_BYTES_PER_SECOND:
                raise ReadError(f"{received} bytes in {seconds:.0f} seconds")
            yield chunk

    def close(self) -> None:
        self._stream.close()
