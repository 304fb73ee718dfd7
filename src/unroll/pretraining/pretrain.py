"""Learns weights from a corpus: from a method and its options to the folder ``pretrained/NAME``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from unroll.data.pretrained import Kind, Pretrained
from unroll.data.tokens import SPECIAL_WORDS
from unroll.files import (
    CHECKSUMS,
    damaged_files,
    delete,
    make_folder,
    read_json,
    read_mapping,
    whole_folder,
    write_checksums,
    write_json,
    write_text,
)
from unroll.pretraining.corpus import TokenCorpus

RECORD, CARD = "pretraining.json", "card.md"
_IDENTITY, _HISTORY = "identity.json", "history.json"
Report = Callable[[int, dict[str, float]], None]  # called with an epoch, counted from 1, and its figures


class Method(Protocol):
    """What a file of ``conf/pretraining`` builds."""

    @property
    def kind(self) -> Kind: ...

    def learn(self, corpus: TokenCorpus, seed: int, checkpoints: Path, report: Report) -> Pretrained:
        """Learn weights from a corpus.

        Args:
            checkpoints: a folder in which the state is kept and found again after an interruption; it has nothing of
                other inputs.
            report: takes the figures of each epoch.
        """


def pretrain(
    method: Method,
    corpus: TokenCorpus,
    seed: int,
    output: Path,
    inputs: Mapping[str, str],
    facts: Mapping[str, Any],
    report: Report = lambda epoch, figures: None,
    complete: Callable[[Path], None] = lambda folder: None,
) -> dict[str, Any]:
    """Learn weights and write them, a card and a record into the folder `output`; return the record.

    A pretraining that was interrupted goes on, and ends with the same weights, unless `inputs` have changed.

    Args:
        inputs: checksums of all that the weights depend on.
        facts: more entries of the record, for the card: `name`, `options`, and `corpus`, its description.
        report: takes the figures of each epoch too.
        complete: adds files to the folder before its checksums are written.

    Raises:
        ValueError: the corpus or an option is not accepted, or the file system refuses.
    """
    checkpoints = open_checkpoints(output, inputs)
    history: list[dict[str, float]] = read_json(file) if (file := checkpoints / _HISTORY).exists() else []

    def keep(epoch: int, figures: dict[str, float]) -> None:
        history[epoch - 1 :] = [{"epoch": epoch, **figures}]
        write_json(file, history)
        report(epoch, figures)

    result = method.learn(corpus, seed, checkpoints, keep)
    record = {**facts, "kind": result.kind, "words": len(result.vocabulary) - len(SPECIAL_WORDS), "seed": seed}
    record |= {"inputs": dict(inputs), "history": history}
    with whole_folder(output) as work:
        result.save(work)
        write_json(work / RECORD, record)
        write_text(work / CARD, card_of(record))
        complete(work)
        write_checksums(work)
    delete(checkpoints)
    return record


def is_current(output: Path, inputs: Mapping[str, str]) -> bool:
    """Whether the folder has the weights of exactly these inputs, and its files are unchanged."""
    is_same = read_mapping(output / RECORD).get("inputs") == dict(inputs)
    return is_same and (output / CHECKSUMS).is_file() and not damaged_files(output)


def checkpoints_of(output: Path) -> Path:
    """The folder of the state of an interrupted pretraining, beside the output, which is replaced as a whole."""
    return output.parent / f".{output.name}.checkpoints"


def open_checkpoints(output: Path, inputs: Mapping[str, str]) -> Path:
    """Create and return the folder of the state; one of other inputs, or whose history is damaged, is deleted."""
    folder = checkpoints_of(output)
    if folder.exists():
        changed = read_mapping(folder / _IDENTITY) != dict(inputs)
        try:
            is_damaged = (folder / _HISTORY).exists() and not isinstance(read_json(folder / _HISTORY), list)
        except ValueError:
            is_damaged = True
        if changed or is_damaged:
            why = "of other code, options or text" if changed else "damaged"
            print(f"{output}: deleting the checkpoints, which are {why}", flush=True)
            delete(folder)
    make_folder(folder)
    write_json(folder / _IDENTITY, dict(inputs))
    return folder


def card_of(record: Mapping[str, Any]) -> str:
    """The card of pretrained weights, in Markdown."""
    environment = Environment(
        loader=PackageLoader("unroll.pretraining", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("card.md.j2").render(record)
