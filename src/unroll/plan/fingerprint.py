"""The fingerprint of a run: checksums of the code, the configuration and the data that its results depend on.

DVC runs a stage if any of its files has changed; the stage skips each run whose recorded checksums are unchanged.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.data.pretrained import pretrained_checksum
from unroll.data.vectors.cache import checksum
from unroll.data.vectors.files import find_vectors
from unroll.files import json_digest, sha256
from unroll.run_folder import RunFolder
from unroll.source_files import source_files
from unroll.training.options import is_baseline, without_device

TRAINING = ("unroll.training.train", "unroll.training.schedules", "unroll.nn", "unroll.baselines")
EVALUATION = ("unroll.evaluation.evaluate",)
# Output paths, names and the number of jobs do not affect the results; the data have a separate checksum.
WITHOUT_EFFECT = {
    *("output", "run", "run_name", "reproduces", "plan", "jobs", "join_timeout", "objectives", "data", "dataset")
}
OF_NETWORKS = {"optimizer", "scheduler", "trainer", "finetune", "vectors", "pretrained", "matmul_precision"}


def training_inputs(config: Mapping[str, Any], data: PreparedData) -> dict[str, str]:
    """Checksums of everything that a training with this resolved configuration depends on."""
    if is_baseline(config):
        config = {key: value for key, value in config.items() if key not in OF_NETWORKS}
    inputs = {"code": code_checksum(TRAINING), "config": config_checksum(config), "data": data.checksum}
    if config.get("vectors") is not None:
        inputs["vectors"] = checksum(find_vectors(config["vectors"]).path)
    if config.get("pretrained") is not None:
        inputs["pretrained"] = pretrained_checksum(config["pretrained"], data)
    return inputs


def evaluation_inputs(config: Mapping[str, Any], data: PreparedData, run: RunFolder) -> dict[str, str]:
    """The same for an evaluation; the model is identified by its files."""
    return {
        "code": code_checksum(EVALUATION),
        "config": config_checksum({key: config[key] for key in ("batch_size", "threads")}),
        "data": data.checksum,
        "model": sha256(*sorted(file for file in run.model.rglob("*") if file.is_file())),
    }


def config_checksum(config: Mapping[str, Any]) -> str:
    """SHA-256 of the values that affect the results; the device does so by rounding alone."""
    return json_digest({key: value for key, value in without_device(config).items() if key not in WITHOUT_EFFECT})


@lru_cache
def code_checksum(modules: tuple[str, ...]) -> str:
    """SHA-256 of the modules and of all files of this package that they import, directly or indirectly."""
    return sha256(*sorted(source_files(modules)))
