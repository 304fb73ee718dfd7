"""Every output is replaced as a whole, never opened for writing in place."""

import ast
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tiny import OPTIONS, tiny_parts
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.evaluation.report import write_comparison
from unroll.evaluation.runs import read_run_folders
from unroll.files import checksums, link
from unroll.run_folder import RunFolder, RunRecord
from unroll.training.train import train

SOURCES = ("src/unroll", "pipelines")
HELPERS = "src/unroll/files.py"
REPLACING = {"whole_file", "whole_folder", "TemporaryDirectory"}
WRITERS = {
    *(
        "write_text",
        "write_bytes",
        "to_csv",
        "to_parquet",
        "to_json",
        "to_pickle",
        "to_feather",
        "savefig",
        "save_file",
    ),
    *("save", "savez", "savez_compressed", "savetxt", "tofile", "write_table", "ParquetWriter", "write_csv", "dump"),
    *("copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "link", "symlink_to", "hardlink_to", "truncate"),
    *("open", "save_model", "touch"),
}
OWN = {"write_text", "write_bytes", "link"}  # when called by name: the functions of files.py
# What only looks like a write to a file: (file, call).
ELSEWHERE = {
    ("src/unroll/pages/drawing.py", "figure.savefig"),  # to memory
    ("src/unroll/sweep/promote.py", "editor.dump"),  # to memory
    ("src/unroll/data/encoding.py", "np.save"),  # to the open file of a whole_file
    ("src/unroll/pretraining/checkpoints.py", "np.savez"),  # likewise
    ("src/unroll/locks.py", "file.touch"),  # the empty file of a lock
}
MODULES = {"np", "torch", "shutil", "os", "OmegaConf", "pq", "json", "yaml", "safetensors", "pickle", "joblib"}


def is_write(call: ast.Call) -> bool:
    """Whether a call writes a file, by its name and arguments."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else None
    if name not in WRITERS or (owner is None and name in OWN):
        return False
    if name == "open":
        modes = [
            *call.args[owner in (None, "gzip", "io") :],
            *(word.value for word in call.keywords if word.arg == "mode"),
        ]
        return any(
            isinstance(it, ast.Constant) and isinstance(it.value, str) and set(it.value) & set("wax+") for it in modes
        )
    if name in {"to_csv", "to_json"}:  # without a path they return text
        return bool(call.args)
    if name in {"save", "copy", "move", "dump", "link"}:  # methods of our own classes save through files.py
        return owner in MODULES
    return True


def writes_in_place(path: str, source: str) -> list[str]:
    """The calls that write a file, other than in a block that replaces it as a whole."""
    found: list[str] = []

    def visit(node: ast.AST, is_replacing: bool) -> None:
        if isinstance(node, ast.With):
            names = {
                ast.unparse(it.context_expr.func).split(".")[-1]
                for it in node.items
                if isinstance(it.context_expr, ast.Call)
            }
            is_replacing = is_replacing or bool(names & REPLACING)
        if isinstance(node, ast.Call) and is_write(node) and not is_replacing:
            call = ast.unparse(node.func)
            if (path, call) not in ELSEWHERE:
                found.append(f"{path}:{node.lineno} {call}")
        for child in ast.iter_child_nodes(node):
            visit(child, is_replacing)

    visit(ast.parse(source), False)
    return found


def test_no_module_writes_a_file_in_place(project: Path) -> None:
    files = [file for folder in SOURCES for file in (project / folder).rglob("*.py")]
    assert len(files) > 100
    found = [
        write
        for file in files
        if (path := str(file.relative_to(project))) != HELPERS
        for write in writes_in_place(path, file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        'open("a", "w")',
        'path.open("ab")',
        'path.open(mode="r+")',
        "path.write_text(text)",
        "table.to_csv(path)",
        "frame.to_parquet(path)",
        "figure.savefig(path)",
        "save_file(weights, path)",
        "np.save(path, array)",
        "torch.save(state, path)",
        "shutil.copy(a, b)",
        "pq.write_table(table, path)",
        "json.dump(value, file)",
    ],
)
def test_a_write_in_place_is_found_and_one_in_a_replacing_block_is_not(line: str) -> None:
    assert len(writes_in_place("x.py", line)) == 1
    assert writes_in_place("x.py", f"with whole_file(path) as temporary:\n    {line}") == []


@pytest.mark.parametrize(
    "line", ['open("a")', 'path.open("rb")', "write_text(path, text)", "table.to_csv(index=False)"]
)
def test_reading_and_the_helpers_are_no_writes(line: str) -> None:
    assert writes_in_place("x.py", line) == []


def run_stages(folder: Path, label: str) -> None:
    """Download, prepare, train, evaluate and compare, where the text with `label` is another one each time."""
    rows = [{"text": f"{label} {i}", "label": i % 2} for i in range(20)]
    (folder / "hub").mkdir(exist_ok=True)
    for split in ("train", "validation", "test"):
        pq.write_table(pa.Table.from_pylist(rows), folder / "hub" / f"{split}.parquet")
    source = Source("classification", str(folder / "hub"), {"text": "text", "label": "label"})
    download(source, folder / "data/raw/tiny")
    prepare(source, folder / "data/raw/tiny", folder / "data/prepared/tiny", PrepareOptions(processes=1))
    data, run = PreparedData(folder / "data/prepared/tiny"), RunFolder(folder / "models/tiny/majority/1")
    result = train(data, tiny_parts("majority"), OPTIONS, run.path)
    run.write_record(RunRecord("tiny", data.task, "majority", 1, label, **result))
    run.stamp("trained", {"label": label})
    evaluate(data, run.path, EvaluateOptions(batch_size=8, threads=1))
    run.stamp("evaluated", {"label": label})
    write_comparison(read_run_folders([run.path]), data, folder / "reports/tiny", 0.05)


def test_stages_run_by_hand_leave_linked_copies_of_their_outputs_as_they_were(tmp_path: Path) -> None:
    """DVC links its cache to the outputs (`cache.type hardlink`)."""
    run_stages(tmp_path, "first")
    outputs = ("data", "models", "reports")
    for name in outputs:
        link(tmp_path / name, tmp_path / "cache" / name)
    before = checksums(tmp_path / "cache")
    file = "models/tiny/majority/1/history.csv"
    assert os.path.samefile(tmp_path / file, tmp_path / "cache" / file)
    run_stages(tmp_path, "second")
    assert checksums(tmp_path / "cache") == before
    assert len(before) > 30
    rewritten = {
        str(it.relative_to(tmp_path)) for name in outputs for it in (tmp_path / name).rglob("*") if it.is_file()
    }
    assert {it for it in rewritten if os.path.samefile(tmp_path / it, tmp_path / "cache" / it)} == set()
