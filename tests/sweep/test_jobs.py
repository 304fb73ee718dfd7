from pathlib import Path

from unroll.sweep.jobs import Job, read_jobs, write_job


def test_jobs_are_read_as_they_were_written_by_number(tmp_path: Path) -> None:
    jobs = [Job(10, ["a=1"], value=0.5), Job(2, ["a=2"], error="a=2; accepted: 1"), Job(0, [], value=[0.5, 1])]
    for job in jobs:
        write_job(tmp_path / str(job.number), job)
    (tmp_path / "11").mkdir()  # begun, not ended
    assert read_jobs(tmp_path) == [jobs[2], jobs[1], jobs[0]]
