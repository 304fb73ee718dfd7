"""A dataset repository of the Hugging Face Hub, as a local folder at exactly the revision asked for."""

from pathlib import Path

DATA_FILES = ["*.md", "*.parquet", "*.json", "*.jsonl", "*.csv", "*.arrow", "*.txt"]
ANSWER_SECONDS = 5.0


def snapshot(repository: str, revision: str) -> tuple[Path, str]:
    """Download `repository` at `revision`; return its folder and the commit that came.

    The folder's name is the commit, so a cache can never answer with another revision than the one resolved.

    Raises:
        ValueError: the Hub cannot be reached, or knows no such repository or revision.
    """
    from httpx2 import HTTPError  # what the client lets through
    from huggingface_hub import constants, dataset_info, snapshot_download
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
        commit = revision
        if not constants.HF_HUB_OFFLINE:
            # One question that is not asked again: the download itself would go on asking for half a minute.
            commit = dataset_info(repository, revision=revision, timeout=ANSWER_SECONDS).sha or revision
        folder = Path(
            snapshot_download(
                repository, repo_type="dataset", revision=commit, allow_patterns=DATA_FILES, etag_timeout=10
            )
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
        raise ValueError(f"dataset.path={repository!r}: {where} failed: {_first_line(error)}") from error
    except HTTPError as error:
        raise ValueError(
            f"{where} cannot be reached ({_first_line(error)}); work from a local copy with "
            "dataset.path=FOLDER, or from the cache with HF_HUB_OFFLINE=1"
        ) from error
    if _is_commit(revision) and folder.name != revision:
        raise ValueError(f"dataset.revision={revision!r} was asked for, but {where} answered with {folder.name!r}")
    return folder, folder.name


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(character in "0123456789abcdef" for character in revision)
