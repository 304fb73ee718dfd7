"""The registry's tests use the same database and repository as those of tracking."""

from tests.tracking.conftest import repository, store_folder, tracking_uri

__all__ = ["repository", "store_folder", "tracking_uri"]
