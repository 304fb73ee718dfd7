"""Runs the pretrain stage: from the configuration to ``pretrained/NAME``, an MLflow run and a registered model."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unroll.arguments import check_arguments, locate
from unroll.checks import check_least, check_name, check_seed, missing_key
from unroll.config import choice
from unroll.files import json_digest, sha256
from unroll.locks import output_lock
from unroll.plan.corpora import CorpusFolder
from unroll.source_files import source_files

if TYPE_CHECKING:
    from unroll.pretraining.pretrain import Method


def run_pretraining(config: Mapping[str, Any], overrides: list[str]) -> None:
    """Pretrain as the configuration says, unless the output is up to date; an interrupted pretraining goes on.

    Raises:
        ValueError: an option is not accepted, a dataset is missing, or MLflow cannot be used.
    """
    check_name("name", config["name"])
    check_seed("seed", config["seed"])
    check_least(1, threads=config["threads"])
    folder, output = CorpusFolder(choice("corpus"), config), Path(config["output"])
    method = build_method(config["pretraining"])  # imports PyTorch

    import torch

    from unroll.pretraining.pretrain import checkpoints_of, is_current, open_checkpoints, pretrain
    from unroll.tracking.offline import tolerating
    from unroll.tracking.pretraining import complete, pretraining_run, provenance_of
    from unroll.tracking.provenance import PROVENANCE
    from unroll.tracking.runs import flatten

    torch.set_num_threads(config["threads"])
    with output_lock(output):
        corpus, description, coverage = folder.make()
        inputs = inputs_of(config, corpus.checksum)
        if is_current(output, inputs):
            print(f"{output} is up to date", flush=True)
        else:
            open_checkpoints(output, inputs)
            provenance = provenance_of(config, overrides, folder.origin, corpus.checksum)
            with pretraining_run(provenance, checkpoints_of(output) / "run.json") as run:
                facts = {
                    "name": config["name"],
                    "run_id": run.run_id,
                    "options": flatten(
                        {key: value for key, value in config["pretraining"].items() if key != "_target_"}
                    ),
                    "corpus": {key: value for key, value in description.items() if key != "inputs"},
                    "coverage": coverage,
                }

                def add_provenance(work: Path) -> None:
                    provenance.save(work / PROVENANCE)

                pretrain(method, corpus, config["seed"], output, inputs, facts, run.log_epoch, add_provenance)
        with tolerating(f"all of {output}", " ".join(["python pipelines/pretrain.py", *overrides])):
            name, version = complete(output)
            print(f"{output}: {name} version {version}; {output}/card.md has more", flush=True)


def build_method(config: Mapping[str, Any]) -> "Method":
    """What the `pretraining` group configures; raises ValueError for an unknown or a wrong option."""
    if "_target_" not in config:
        raise ValueError(missing_key("pretraining._target_", "_target_", list(config)))
    target = locate(config["_target_"], "pretraining")
    arguments = {key: value for key, value in config.items() if key != "_target_"}
    check_arguments(target, arguments, "pretraining")
    method: Method = target(**arguments)
    return method


def inputs_of(config: Mapping[str, Any], corpus: str) -> dict[str, str]:
    """Checksums of all that the weights depend on: the code, the options and the corpus.

    The device is none of it: on another one, weights differ by rounding alone.
    """
    modules = (config["pretraining"]["_target_"].rpartition(".")[0], "unroll.pretraining.pretrain")
    options = {key: config[key] for key in ("seed", "threads", "name")}
    options["pretraining"] = without(config["pretraining"], "device")
    return {"code": sha256(*sorted(source_files(modules))), "config": json_digest(options), "corpus": corpus}


def without(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}
