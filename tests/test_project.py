from pathlib import Path

import pytest

from unroll.project import writing_command


@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("data/raw/reviews", "dataset=reviews"),
        ("/elsewhere/data/raw/reviews", "dataset=reviews"),
        ("/nowhere", "dataset=NAME output=/nowhere"),
        ("raw/reviews", "dataset=NAME output=raw/reviews"),
        ("data/prepared/reviews", "dataset=NAME output=data/prepared/reviews"),
    ],
)
def test_a_dataset_has_the_name_of_its_folder_in_the_usual_place_only(folder: str, options: str) -> None:
    assert writing_command("download", Path(folder), "data/raw") == f"python pipelines/download.py {options}"
