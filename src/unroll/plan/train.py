"""Trains one model: from the configuration to a run folder and an MLflow run."""

import os
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig

from unroll.cluster import Cluster
from unroll.config import build_options, choice, compose_again, composed_files, override, task_overrides
from unroll.data.prepared import PreparedData
from unroll.inference.building import check_used, try_model
from unroll.locks import run_lock
from unroll.plan.fingerprint import WITHOUT_EFFECT, training_inputs
from unroll.run_folder import RunFolder, RunRecord
from unroll.training.options import is_baseline

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from unroll.tracking.provenance import Provenance
    from unroll.training.meeting import Meeting
    from unroll.training.options import TrainOptions

PARTS = ("model", "optimizer", "scheduler", "finetune", "trainer")


@dataclass(frozen=True)
class Training:
    """A training, given by its configuration.

    Args:
        dataset, model: the names of their files in conf/.
        config: the resolved configuration of the train stage.
        overrides: of the command, such as ``model=lstm``.
        tags: of the MLflow run, in addition to those of every run.
    """

    dataset: str
    model: str
    config: dict[str, Any]
    overrides: list[str]
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_this_command(cls, config: dict[str, Any]) -> "Training":
        """The training of the running command, which may be a job of a sweep."""
        from unroll.tracking.sweeps import sweep_tags

        tags = sweep_tags(HydraConfig.get())  # type: ignore[arg-type]
        if config["reproduces"] is not None:
            tags |= {"reproduces": config["reproduces"]}
        return cls(choice("dataset"), choice("model"), config, task_overrides(), tags)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(os.path.relpath(self.config["output"])))

    @property
    def is_trial(self) -> bool:
        """Whether the training is a trial of a study, which may prune it."""
        return "trial" in self.tags

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Checksums of everything that the training depends on, computed at the first use."""
        return training_inputs(self.config, PreparedData(Path(self.config["data"])))


def present_inputs(folder: RunFolder) -> dict[str, str]:
    """Checksums of what the training of a run folder would read now; must be called within a stage."""
    config = compose_again("train", [*_overrides(folder), override("output", str(folder.path))])
    return training_inputs(config, PreparedData(Path(config["data"])))


def present_files(folder: RunFolder) -> set[str]:
    """The files of conf/ that the training of a run folder would read now; must be called within a stage."""
    return composed_files("train", _overrides(folder))


def _overrides(folder: RunFolder) -> list[str]:
    from unroll.tracking.provenance import Provenance

    return Provenance.load(folder.provenance).overrides


def report_uncommitted(dataset: str, data: PreparedData, composed: Collection[str] = ()) -> None:
    """Print which files are not committed, because a model cannot be registered before they are.

    Args:
        composed: the files of conf/ that the training has read; without any, other choices than these count too.
    """
    from unroll.tracking.git import first_of, uncommitted

    try:
        files = uncommitted(dataset, data.description["source"]["path"], composed)
    except ValueError as error:
        print(f"no model can be registered: {error}", flush=True)
        return
    if files:
        print(
            f"not committed: {first_of(files)}; to register the model, commit them as they are now, before or after "
            "the training",
            flush=True,
        )


def _keep_replaced(training: Training) -> None:
    """Keep the results of another configuration that a training by hand replaces in models/, and say so."""
    folder, before = training.folder, training.folder.inputs("trained")
    in_models = Path("models", training.dataset, training.model, str(training.config["seed"]))
    if folder.path != in_models or not before or before["config"] == training.inputs["config"]:
        return
    if folder.is_current("trained", before):
        folder.keep()
        print(
            f"{folder.path}: replaces {training.model} with another configuration, which `dvc repro` restores if "
            f"params.yaml lists it; to have both, give this one a name: conf/model/NAME.yaml with `defaults: "
            f"[{training.model}]`",
            flush=True,
        )


def train_together(training: Training, callbacks: "Sequence[Callback]" = ()) -> RunRecord | None:
    """The same as `train_run`, by all processes of a cluster; None in those that are not the first.

    The others take part in the computation only: the first process writes, tracks and prints.

    Raises:
        ValueError: as `train_run`, or the processes do not meet, or have not the same configuration, code or data.
        JobFailed: the first process has failed, and says why.
    """
    if Cluster.here() is None:
        return train_run(training, callbacks)
    from unroll.training.meeting import together

    with together(training.config["join_timeout"]) as meeting:
        assert meeting is not None
        data, parts, options = _checked(training)
        meeting.agree(_facts(training, parts))
        if meeting.is_first:
            return train_run(training, callbacks, meeting=meeting)
        from unroll.training.train import take_part

        take_part(data, parts, options, training.folder.path, callbacks, meeting)
    return None


def _facts(training: Training, parts: dict[str, Any]) -> dict[str, str]:
    """What must be the same in all processes of a training."""
    import torch

    from unroll.tracking.runs import flatten

    config = {key: value for key, value in training.config.items() if key not in WITHOUT_EFFECT} | parts
    checksums = {key: value[:12] for key, value in training.inputs.items() if key != "config"}
    versions = {"torch": torch.__version__, "output": str(training.folder.path)}
    return {key: str(value) for key, value in flatten(config).items()} | checksums | versions


def train_run(
    training: Training,
    callbacks: "Sequence[Callback]" = (),
    is_planned: bool = False,
    meeting: "Meeting | None" = None,
) -> RunRecord:
    """Train one model with one seed, as one MLflow run; an interrupted training is resumed.

    Args:
        callbacks: of Lightning, in addition to those of every training.
        is_planned: wait for another process that trains in the same folder, instead of raising; use earlier results of
            the same inputs, if there are any, otherwise keep the new results; do not resume with other code.
        meeting: of the processes of a cluster, of which this is the first.

    Raises:
        ValueError: a value is not accepted, the data are not prepared, or MLflow cannot be used.
    """
    config, folder = training.config, training.folder
    data, parts, options = _checked(training)
    if not is_planned and not is_baseline(parts):
        from unroll.training.placing import announce_device

        announce_device(parts["trainer"])

    from unroll.sweep.objectives import MEASURED
    from unroll.tracking.offline import impatient, tolerating
    from unroll.tracking.provenance import MIXED_CODE, PROVENANCE
    from unroll.tracking.runs import training_run
    from unroll.tracking.upload import upload
    from unroll.training.checkpoints import abandoned_without_checkpoint, discard_checkpoints
    from unroll.training.train import microseconds_per_token, train

    inputs, output = training.inputs, folder.path
    if not is_planned and not training.tags:
        report_uncommitted(training.dataset, data, composed_files("train", training.overrides))
    with run_lock(output, wait=is_planned):
        if not is_planned:
            _keep_replaced(training)
        if is_planned and (folder.is_current("trained", inputs) or folder.take_back(inputs)):
            discard_checkpoints(output)
            return folder.read_record()
        provenance = _begin(training, data, parts, options, is_planned)
        provenance.save(folder.checkpoints / PROVENANCE)
        with abandoned_without_checkpoint(output), training_run(provenance, folder.checkpoints / "run.json") as run:
            logger = None
            if not is_baseline(config):
                from unroll.tracking.logger import EpochLogger  # imports Lightning

                logger = EpochLogger(run)
            result = train(data, parts, options, output, logger, callbacks, meeting)
            if MEASURED in config["objectives"]:
                result[MEASURED] = microseconds_per_token(folder.model, data, options.batch_size)
            folder.discard_evaluation()  # of an earlier model
            provenance.save(folder.provenance)
            record = RunRecord(training.dataset, data.task, training.model, options.seed, run.run_id, **result)
            folder.write_record(record)
            if MIXED_CODE not in provenance.tags:
                folder.stamp("trained", inputs)
            if is_planned:
                folder.keep()
        with tolerating(f"all of {output}"), impatient() if logger and logger.is_lost else nullcontext():
            upload(output)
        discard_checkpoints(output)
    return record


def _checked(training: Training) -> tuple[PreparedData, dict[str, Any], "TrainOptions"]:
    """The data, parts and options of a training; refuses a wrong one before a run is opened."""
    from unroll.sweep.objectives import check_objectives
    from unroll.training.options import TrainOptions

    config = training.config
    options = build_options(TrainOptions, config)
    data = PreparedData(Path(config["data"]))
    parts = {name: config[name] for name in PARTS}
    try_model(parts["model"], data.schema)
    typed = [it.lstrip("+").partition("=")[0] for it in training.overrides]
    check_used([it.removeprefix("model.") for it in typed if it.startswith("model.")], parts["model"], data.task)
    if not is_baseline(parts):
        from unroll.training.factories import check_factories
        from unroll.training.finetuning import FineTuning
        from unroll.training.processes import spread  # importing what the parts name takes seconds
        from unroll.training.trainer import build_trainer

        check_factories(parts["optimizer"], parts["scheduler"])
        build_trainer(parts["trainer"])
        parts["trainer"] = spread(parts["trainer"], is_said=True)  # checkpoints are of as many processes
        FineTuning.of(parts["finetune"], options)
        if options.pretrained is not None:
            from unroll.training.transfer import Transfer

            Transfer.of(options.pretrained, parts["model"], data).check()
    check_objectives(config["objectives"])
    return data, parts, options


def _begin(
    training: Training, data: PreparedData, parts: dict[str, Any], options: "TrainOptions", is_planned: bool
) -> "Provenance":
    """Open the checkpoints, from which a training is resumed unless that is planned and the code has changed since.

    Returns:
        The provenance of the training that is resumed, or of one that starts now.
    """
    from unroll.tracking.provenance import MIXED_CODE, PROVENANCE, Provenance
    from unroll.training.checkpoints import discard_checkpoints, is_interrupted, open_checkpoints

    output, folder = training.folder.path, training.folder.checkpoints
    open_checkpoints(output, data, parts, options)
    if is_interrupted(output) and (folder / PROVENANCE).exists():
        provenance = Provenance.load(folder / PROVENANCE).resumed()
        changed = provenance.tags.get(MIXED_CODE)
        if changed and not is_planned:
            hint = f"it will not be registered; to start over: rm -r {folder}"
            print(f"{output}: started with other code ({changed}), {hint}", flush=True)
        if not (changed and is_planned):
            return provenance
        print(f"{output}: the code has changed since the interruption ({changed}): starting over", flush=True)
        discard_checkpoints(output)
        open_checkpoints(output, data, parts, options)
    name = training.config["run_name"] + (f" #{training.tags['trial']}" if training.is_trial else "")
    return Provenance.of(training.dataset, name, training.config, data, training.overrides, training.tags)
