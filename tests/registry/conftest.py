"""The tests of the registry use the fixtures of tracking."""

from tests.tracking.conftest import artifacts_elsewhere, repository, store_folder, tracking_uri

__all__ = ["artifacts_elsewhere", "repository", "store_folder", "tracking_uri"]
