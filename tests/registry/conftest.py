"""The tests of the registry use the fixtures of tracking."""

from tests.tracking.conftest import repository, store_folder, tracking_uri

__all__ = ["repository", "store_folder", "tracking_uri"]
