"""A dataset repository of the Hugging Face Hub, as a local folder at exactly the revision asked for."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

DATA_FILES = ["*.md", "*.parquet", "*.json", "*.jsonl", "*.csv", "*.arrow", "*.txt"]
CONNECT_SECONDS = 3.0


def snapshot(repository: str, revision: str) -> tuple[Path, str]:
    """Download `repository` at `revision`; return its folder and the commit that came.

    The folder's name is the commit, so a cache can never answer with another revision than the one resolved.

    Raises:
        ValueError: the Hub cannot be reached, or knows no such repository or revision.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if not constants.HF_HUB_OFFLINE:
        _probe(constants.ENDPOINT)
    where = f"the Hub at {constants.ENDPOINT}"
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=DATA_FILES, etag_timeout=10
        )
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
        raise ValueError(f"dataset.path={repository!r}: {where} failed: {error}") from error
    commit = Path(folder).name
    if _is_commit(revision) and commit != revision:
        raise ValueError(f"dataset.revision={revision!r} was asked for, but {where} answered with {commit!r}")
    return Path(folder), commit


def _probe(endpoint: str) -> None:
    """Fail in seconds where the client itself would retry for minutes."""
    parts = urlsplit(endpoint)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ValueError(
            f"the Hub at {endpoint} cannot be reached ({error}); work from a local copy with "
            "dataset.path=FOLDER, or from the cache with HF_HUB_OFFLINE=1"
        ) from error


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(character in "0123456789abcdef" for character in revision)
