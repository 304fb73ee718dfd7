from pathlib import Path

from unroll.sweep.jobs import Job, read_jobs, write_job


def test_jobs_are_read_as_they_were_written_by_number(tmp_path: Path) -> None:
    jobs = [
        Job(10, ["a=1"], value=0.5, parent="run"),
        Job(2, ["a=2"], error="a=2; accepted: 1", parent="run"),
        Job(0, [], value=[0.5, 1], parent="run"),
    ]
    for folder, job in zip(["a=1", "a=2/seed=1", "0"], jobs, strict=True):
        write_job(tmp_path / folder, job)
    (tmp_path / "11").mkdir()  # begun, not ended
    assert read_jobs(tmp_path, "run") == [jobs[2], jobs[1], jobs[0]]


def test_jobs_of_an_earlier_sweep_in_the_folder_are_not_read(tmp_path: Path) -> None:
    now = Job(0, ["a=1"], value=0.5, parent="now")
    write_job(tmp_path / "0", now)
    write_job(tmp_path / "1", Job(1, ["a=2"], value=0.5, parent="then"))
    assert read_jobs(tmp_path, "now") == [now]
