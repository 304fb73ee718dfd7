"""Scores files: from their names to an output that is complete or absent."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from unroll.checks import check_choice, check_least, counted
from unroll.files import delete, make_folder
from unroll.hardware import DEVICES
from unroll.inference.scoring.engines import ENGINES, Events
from unroll.inference.scoring.inputs import Chunk, common_schema, cut, find_files, part_size, would_find
from unroll.inference.scoring.job import BATCH_SIZE, Job, ScoreOptions, build_job
from unroll.inference.scoring.manifest import Place, file_facts, manifest_of
from unroll.inference.scoring.output import FILES, NOT_WRITTEN, is_one_file, join
from unroll.inference.scoring.part import Counts, read_counts, score_chunk
from unroll.inference.server.source import ServedModel, Source
from unroll.inference.text_predictor import Loader
from unroll.locks import output_lock
from unroll.side_by_side import Line

ON_GPU = 2  # processes that share a GPU: while Python starts the kernels of one, the other computes
_PAUSE = 10.0  # seconds between two lines that say how far it is


@dataclass(frozen=True)
class Summary:
    """A complete output.

    Args:
        rows: of the output, which are those of the input.
        problems: rows with a reason in the column `ERROR`.
        scored: rows that this call has scored; the others were there.
        seconds: that this took.
    """

    rows: int
    problems: int
    scored: int
    seconds: float


def score(
    source: Source,
    inputs: Sequence[str],
    output: Path,
    options: ScoreOptions,
    loader: Loader,
    part_bytes: int | None = None,
    engine: str = "local",
    processes: int | None = None,
    address: str | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    report: Callable[[str], None] = lambda line: None,
) -> Summary:
    """Predict for every row of files, and write the rows with the predictions.

    An interrupted call is continued by the same call, on any engine. If the output is complete, nothing is done.

    Args:
        source: the model.
        inputs: files, folders or patterns.
        output: one file if it has an extension of `FILES`, otherwise a folder of Parquet files.
        loader: loads the model, in each process, which imports it by its name.
        part_bytes: of the input for each part; by default it depends on the size of the input.
        processes: with the engine `local`; by default one for each core, or `ON_GPU` of them.
        address: of the cluster, with the others.
        device: see `Predictor.load`; on a cluster `auto` is the CPU, since its tasks know nothing of each other.
        batch_size: maximum number of texts that the model reads at once.
        report: called with lines that say how far it is.

    Raises:
        ValueError: a file, column, model or option is not accepted; the output exists with other settings; or scoring
            failed, after which the same call goes on where it ended.
    """
    check_choice("--engine", engine, ENGINES)
    check_choice("--device", device, DEVICES)
    least = {"--processes": processes, "--part-bytes": part_bytes, "--max-characters": options.max_characters}
    least["--batch-size"] = batch_size
    check_least(1, **{name: value for name, value in least.items() if value is not None})
    if output.name in ("", ".."):
        raise ValueError(f"--output={output}; accepted: a path that ends with the name of a folder or file")
    if output.suffix.lower() in NOT_WRITTEN:
        raise ValueError(f"--output={output}: unknown format; accepted: {', '.join(FILES)}, or the name of a folder")
    files = find_files(inputs)
    _check_apart(inputs, files, [output, manifest_of(output)])
    size = part_size(files) if part_bytes is None else part_bytes
    version = source.version()
    settings: dict[str, Any] = {"input": file_facts(files), "model": source.identity(version), "part_bytes": size}
    settings |= asdict(options) | {"columns": options.columns and list(options.columns)}
    place = Place(output, settings)
    place.check()  # before anything is written beside it
    make_folder(output.parent)
    with output_lock(output):
        if facts := place.complete():
            return Summary(facts["rows"], facts["problems"], 0, 0.0)
        start, schema = time.monotonic(), common_schema(files)

        def job_in(folder: Path) -> Job:
            folder = folder.absolute()  # processes of a cluster begin elsewhere
            model = ServedModel("", version, folder / place.model.name)
            job = build_job(schema, model.facts(), options, folder, model.folder, loader)
            return replace(
                job, device="cpu" if device == "auto" and engine != "local" else device, batch_size=batch_size
            )

        if place.read_plan() is None:
            with place.begin() as folder:
                source.copy(version, folder / place.model.name)
                job_in(folder)  # refuses wrong columns
                place.write_plan(folder, cut(files, size))
        job, chunks = job_in(place.work), place.read_plan() or []
        counts = {chunk: found for chunk in chunks if (found := read_counts(job.part(chunk)))}
        there = sum(it.rows for it in counts.values())
        if counts:
            report(f"{output}: {len(counts)} of {counted(len(chunks), 'part')} with {counted(there, 'row')} are there")
        missing = [chunk for chunk in chunks if chunk not in counts]
        if missing:
            if engine == "local" and processes is None and loader.uses_gpu(job.model, job.device):
                processes = ON_GPU
            events = ENGINES[engine](partial(score_chunk, job), missing, processes, address)
            _follow(events, missing, counts, report)
        if file_facts(files) != settings["input"]:
            raise ValueError(f"the input has changed while it was scored; delete {place.work} and score it again")
        rows, problems = (sum(column) for column in zip(*counts.values(), strict=True))
        if is_one_file(output):
            place.finish({"rows": rows, "problems": problems})  # first: an output without it is another one's
            join((job.part(chunk) for chunk in chunks), job.schema, output)
            delete(place.work)
        else:
            place.finish({"rows": rows, "problems": problems})
        return Summary(rows, problems, rows - there, time.monotonic() - start)


def _check_apart(inputs: Sequence[str], files: Sequence[Path], written: Sequence[Path]) -> None:
    """Raise ValueError if the output, or its manifest, would be found among the input the next time."""
    output = written[0]
    if output.resolve() in files:
        raise ValueError(f"--output={output} is a file of the input; accepted: another one")
    for given in inputs:
        if any(would_find(given, it) for it in written):
            raise ValueError(f"--output={output} is in the input {given}; accepted: a place outside of it")


def _follow(
    events: Events, missing: Sequence[Chunk], counts: dict[Chunk, Counts], report: Callable[[str], None]
) -> None:
    """Add the counts of the chunks as they are scored; raises ValueError with the first error."""
    start = said = time.monotonic()
    total, rows, told = len(counts) + len(missing), 0, set()
    with closing(events):
        for event in events:
            if isinstance(event, Line):
                if event.text not in told:  # each process says it
                    report(event.text)
                told.add(event.text)
                continue
            chunk = missing[event.index]
            if event.error is not None:
                raise ValueError(f"{chunk.file}, part {chunk.number}: {event.error}; the same command goes on")
            counts[chunk] = Counts(*event.result)
            rows += counts[chunk].rows
            now = time.monotonic()
            if now - said > _PAUSE:
                said = now
                report(f"{len(counts)} of {total} parts, {rows / (now - start):,.0f} rows/s")
