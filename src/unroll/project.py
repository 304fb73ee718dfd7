"""Finds the project: the checkout with conf/, pipelines/ and src/."""

from pathlib import Path


def project_root() -> Path:
    """The checkout that this package is imported from, independent of the current folder."""
    return Path(__file__).resolve().parents[2]


def database_folder(project: Path) -> Path:
    """The folder of the local MLflow database of a checkout.

    ``dvc exp run --queue`` works in a copy below ``.dvc/tmp`` and logs to the database of the project itself.
    """
    return next((parent.parent for parent in project.parents if parent.name == ".dvc"), project)
