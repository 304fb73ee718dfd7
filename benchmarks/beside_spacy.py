"""Named entities on one core: `bilstm_char_crf` in ONNX next to spaCy's blank NER, from raw tokens to labels.

    python -m benchmarks.beside_spacy [FOLDER] [--runs 5]

The sentences are the test split of conll2003, of which FOLDER has a copy in the Hub's layout, or without FOLDER that of
demo_entities. Both models are of their default size and have initial weights.
spaCy is installed in an environment of its own, for which pip needs a package index. Two processes of one thread, on
the same core, label all sentences in turns, after one turn that does not count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median, stdev

import pyarrow.parquet as pq

from benchmarks.corpora import Corpora
from benchmarks.environments import environment, foreign
from benchmarks.inference import DEMO, Pair
from benchmarks.table import machine
from unroll.data.prepared import PreparedData
from unroll.data.tokens import TOKENS

SPACY = "spacy==3.8.18"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")
# A process labels all sentences once for each line that it reads, and answers with the seconds and how many labels.
TURNS = """
import json, os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
content = json.load(open(sys.argv[2]))
sentences, work = content["sentences"], make()
for line in sys.stdin:
    start = time.process_time()
    labels = work()
    print(json.dumps([time.process_time() - start, sum(map(len, labels))]), flush=True)
"""
OURS = """
def make():
    from unroll.inference.predictor import Predictor
    predictor = Predictor.load(sys.argv[3])
    return lambda: [answer["labels"] for answer in predictor.predict(sentences)]
"""
THEIRS = """
def make():
    import spacy
    from spacy.tokens import Doc
    nlp = spacy.blank("en")
    ner = nlp.add_pipe("ner")
    for kind in content["types"]:
        ner.add_label(kind)
    nlp.initialize()
    def labels(doc):
        return [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in doc]
    return lambda: [labels(doc) for doc in nlp.pipe(Doc(nlp.vocab, tokens) for tokens in sentences)]
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.beside_spacy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    with tempfile.TemporaryDirectory() as temporary:
        compare(arguments.folder, arguments.runs, Path(temporary))


def compare(folder: Path | None, runs: int, work: Path) -> None:
    """Print the tokens per second of CPU time of both, means and standard deviations, and the ratio of the medians."""
    name = "conll2003" if folder else "demo_entities"
    data = Corpora(folder or DEMO, work).public(name)
    model = Pair("bilstm_char_crf", data, work).onnx_folder
    file = work / "sentences.json"
    tokens = write(data, file)
    core = str(min(os.sched_getaffinity(0)))  # noqa: TID251 - one of them, not how many there are
    commands = {
        "unroll": [sys.executable, "-c", OURS + TURNS, core, str(file), str(model)],
        SPACY: [str(environment(work / "spacy", SPACY)), "-c", THEIRS + TURNS, core, str(file)],
    }
    speeds: dict[str, list[float]] = {title: [] for title in commands}
    with ExitStack() as stack:
        processes = {title: stack.enter_context(start(command)) for title, command in commands.items()}
        for turn in range(1 + runs):
            for title, process in processes.items():
                seconds, labels = label(process)
                if labels != tokens:
                    raise RuntimeError(f"{title}: {labels} labels of {tokens} tokens")
                speeds[title] += [tokens / seconds] * (turn > 0)
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.close()  # ends it
    print(f"{name}, {tokens} tokens, initial weights, core {core}, {runs} runs in turns:")
    for title, found in speeds.items():
        print(f"{title}: {mean(found):,.0f} ± {stdev(found):,.0f} tokens/s")
    ours, theirs = map(median, speeds.values())
    print(f"ratio: {ours / theirs:.2f}")


def write(data: PreparedData, file: Path) -> int:
    """Write the test split as it was downloaded, and the types of the entities; return the number of tokens."""
    sentences = pq.read_table(data.folder.parent / "raw" / "test.parquet")[TOKENS].to_pylist()
    types = sorted({name.partition("-")[2] for name in data.label_names} - {""})
    file.write_text(json.dumps({"sentences": sentences, "types": types}))
    return sum(map(len, sentences))


def start(command: list[str]) -> "subprocess.Popen[str]":
    """Start a process that answers a line for each line."""
    environ = (foreign() if command[0] != sys.executable else dict(os.environ)) | THREADS
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True)


def label(process: "subprocess.Popen[str]") -> tuple[float, int]:
    """One turn of a process: the seconds of CPU time, and how many labels it found."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise RuntimeError(f"{process.args!r} ended with status {process.wait()}")
    seconds, labels = json.loads(answer)
    return seconds, labels


if __name__ == "__main__":
    main()
