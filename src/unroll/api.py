"""The functions of ``import unroll``: prepare data, build, train, evaluate and compare models, and see inside.

They do what the stages in ``pipelines/`` do, from plain arguments, with the defaults of ``conf/`` and without MLflow.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from omegaconf import OmegaConf

from unroll.arguments import check_arguments, check_targets
from unroll.checks import check_choice, unknown_key
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS, Source
from unroll.data.tokenizer import TokenizerOptions
from unroll.data.tokens import DeclaredTask
from unroll.files import delete, read_yaml
from unroll.inference.building import Model, check_used
from unroll.inference.building import build_model as build
from unroll.inference.predictor import Predictor
from unroll.keys import accepted_keys, listed
from unroll.loading import load
from unroll.nn import SequenceModel
from unroll.project import project_root
from unroll.run_folder import RunFolder, RunRecord

if TYPE_CHECKING:
    import pandas as pd

    from unroll.inference.explaining.explanation import Explanation
    from unroll.inference.explaining.gradients import Sensitivity

T = TypeVar("T")

# The name and the configuration that each model was built from.
_BUILT: "WeakKeyDictionary[Model, tuple[str, dict[str, Any]]]" = WeakKeyDictionary()


def prepare(
    path: str | Path,
    output: str | Path,
    task: DeclaredTask = "classification",
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> PreparedData:
    """Download a dataset and prepare it for training.

    Args:
        path: a folder in the layout of the Hugging Face Hub, a file, or the name of a Hub repository.
        output: the folder of the prepared data, which is replaced.
        task: ``classification``, ``multilabel`` or ``labeling``.
        columns: the dataset's names of the columns that the task needs, such as ``{"text": "body", "label": "stars"}``;
            None if the names are the same.
        options: fields of `Source` (such as ``splits``) and of `PrepareOptions` (such as ``limit``); ``tokenizer`` is a
            dictionary of fields of `TokenizerOptions`.
    """
    from unroll.data.download.download import download
    from unroll.data.prepare.prepare import PrepareOptions
    from unroll.data.prepare.prepare import prepare as prepare_raw

    if task not in COLUMNS:
        raise ValueError(f"task={task!r}; accepted: {', '.join(COLUMNS)}")
    columns = columns or {name: name for name in COLUMNS[task][0]}
    declared: dict[str, Any] = {"task": task, "path": str(path), "columns": dict(columns)}
    if Path(path).is_file() or has_magic(str(path)):
        declared["splits"] = {"train": "train", "validation": None, "test": None}
    tokenizer = _call(TokenizerOptions, options.pop("tokenizer", {}), where="tokenizer")
    kinds = {field.name: kind for kind in (Source, PrepareOptions) for field in fields(kind)}
    for name in options:
        if name not in kinds:
            raise ValueError(unknown_key(name, name, list(kinds)))
    source = _call(Source, declared | {name: it for name, it in options.items() if kinds[name] is Source})
    others = {name: it for name, it in options.items() if kinds[name] is PrepareOptions}
    chosen = _call(PrepareOptions, others, tokenizer=tokenizer)
    output = Path(output)
    with tempfile.TemporaryDirectory() as work:
        raw = Path(work) / output.name  # the name in the report
        download(source, raw)
        prepare_raw(source, raw, output, chosen)
    return PreparedData(output)


def build_model(name: str, data: PreparedData, **overrides: Any) -> Model:
    """Build an untrained model for a dataset.

    Args:
        name: of a file in ``conf/model``, such as ``bilstm``.
        data: the dataset, which determines the sizes and the head.
        overrides: values for keys of that file; a dictionary overrides keys of a part, such as
            ``encoder={"num_layers": 2}``.
    """
    config = _configuration("model", name)
    if "_target_" not in config:
        raise ValueError(
            f"model={name!r}: conf/model/{name}.yaml is a promoted trial, which sets options of the training too; "
            f"accepted: the file of a model alone, or python pipelines/train.py dataset=NAME model={name}"
        )
    config = _overridden(config, overrides, "model")
    check_used(overrides, config, data.task)
    model = build(config, data.schema)
    _BUILT[model] = name, config
    return model


def train(
    model: Model,
    data: PreparedData,
    seed: int = 1,
    output: str | Path | None = None,
    epochs: int | None = None,
    optimizer: Mapping[str, Any] | None = None,
    scheduler: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    finetune: Mapping[str, Any] | None = None,
    **options: Any,
) -> RunFolder:
    """Train a model with one seed; an interrupted training is resumed by the same call.

    The training starts from weights drawn with `seed`, not from those of `model`, which is not changed: pass the same
    model for several seeds, and load the trained one with `load`.

    Args:
        model: built by `build_model`.
        output: the run folder; by default ``runs/DATASET/MODEL/SEED``. `compare` needs folders that end with
            MODEL/SEED, and takes the name of the model from there.
        epochs: maximum number of epochs.
        optimizer, scheduler, trainer: values for keys of their files in ``conf/``, such as ``optimizer={"lr": 0.001}``.
        finetune: fields of `FineTuning`, for a training that begins with ``pretrained`` weights.
        options: fields of `TrainOptions`, such as ``batch_size``, ``patience`` and ``pretrained``.

    Raises:
        ValueError: a value is not accepted, or another process trains in the folder.
    """
    from unroll.locks import run_lock
    from unroll.training.checkpoints import abandoned_without_checkpoint, discard_checkpoints
    from unroll.training.options import TrainOptions
    from unroll.training.train import train as train_parts

    if model not in _BUILT:
        raise ValueError(f"model={type(model).__name__}; accepted: what unroll.build_model returned")
    name, config = _BUILT[model]
    defaults = _configuration(".", "train")
    settings = {field.name: defaults[field.name] for field in fields(TrainOptions)} | options | {"seed": seed}
    train_options = _call(TrainOptions, settings)
    parts = {"model": config}
    chosen = {group: name for it in defaults["defaults"] if isinstance(it, dict) for group, name in it.items()}
    trainer = dict(trainer or {}) | ({} if epochs is None else {"max_epochs": epochs})
    for group, overrides in {"optimizer": optimizer, "scheduler": scheduler, "trainer": trainer}.items():
        parts[group] = _overridden(_configuration(group, chosen[group]), overrides or {}, group)
    parts["finetune"] = _overridden(_configuration("finetune", chosen["finetune"]), finetune or {}, "finetune")
    if isinstance(model, SequenceModel):  # a baseline uses none of them, and checking would import Lightning
        from unroll.training.factories import check_factories
        from unroll.training.finetuning import FineTuning
        from unroll.training.placing import announce_device

        check_factories(parts["optimizer"], parts["scheduler"])
        check_targets(parts["trainer"], "trainer")
        FineTuning.of(parts["finetune"], train_options)

        announce_device(parts["trainer"])
    run = RunFolder(Path("runs", data.folder.name, name, str(seed)) if output is None else Path(output))
    *_, folder_model, folder_seed = ("", "", *run.path.absolute().parts)
    name = folder_model if folder_seed == str(seed) else name
    with run_lock(run.path), abandoned_without_checkpoint(run.path):
        result = train_parts(data, parts, train_options, run.path)
        run.discard_evaluation()  # of an earlier training in this folder
        delete(run.path / "trained.json")
        delete(run.provenance)
        run.write_record(RunRecord(data.folder.name, data.task, name, seed, uuid4().hex, **result))
        discard_checkpoints(run.path)
    return run


def evaluate(
    run: RunFolder | str | Path, data: PreparedData, batch_size: int = 64, threads: int = 1, device: str = "auto"
) -> dict[str, float]:
    """Score a trained model on the test split, and write the scores and predictions into its run folder.

    Args:
        device: of a network: `auto` (the GPU if there is one), `cpu`, `cuda` or `mps`.

    Returns:
        The metrics by name, such as ``test/accuracy``.

    Raises:
        ValueError: there is no trained model in the folder, or it was trained on other data; or no such device.
    """
    from unroll.evaluation.evaluate import EvaluateOptions
    from unroll.evaluation.evaluate import evaluate as evaluate_folder

    return evaluate_folder(data, _folder(run).path, EvaluateOptions(batch_size, threads, device))


def compare(runs: Sequence[RunFolder | str | Path]) -> "pd.DataFrame":
    """The leaderboard of evaluated runs: one row per model, with means and standard deviations over seeds.

    The rows are sorted by the validation score, best first; see `unroll.evaluation.leaderboard.leaderboard`.

    Raises:
        ValueError: there is no run, one is not evaluated, or they were scored on different examples.
    """
    from unroll.evaluation.leaderboard import leaderboard
    from unroll.evaluation.runs import read_run_folders

    if not runs:
        raise ValueError("runs=[]; accepted: one run or more")
    return leaderboard(read_run_folders([_folder(run).path.absolute() for run in runs]))


def explain(model: Predictor | RunFolder | str | Path, text: str | Sequence[str]) -> "Explanation":
    """What a network makes of a text: its output after each token, what each changes, and how much each matters.

    Args:
        model: what `load` returned, or what it accepts; neither a baseline nor an exported model.
        text: what `Predictor.predict` accepts; raises ValueError for others. The time is quadratic in its length.
    """
    from unroll.inference.explaining.explain import explain as explain_text

    return explain_text(_predictor(model), text)


def sensitivity(
    model: Predictor | RunFolder | str | Path, data: PreparedData, split: str = "test", texts: int = 200
) -> "Sensitivity":
    """How far the output of a network feels a token, ‖∂y/∂x‖, by its distance from the output; a mean over texts.

    Args:
        model: as for `explain`.
        data: the prepared data that it was trained on; raises ValueError for others.
        texts: the number of texts, evenly spaced in the split.
    """
    from unroll.inference.explaining.explain import explain_data

    check_choice("split", split, ("train", "validation", "test"))
    return explain_data(_predictor(model), data, split, texts)


def _predictor(model: Predictor | RunFolder | str | Path) -> Predictor:
    return model if isinstance(model, Predictor) else load(model)


def _folder(run: RunFolder | str | Path) -> RunFolder:
    return run if isinstance(run, RunFolder) else RunFolder(Path(run))


def _call(target: Callable[..., T], arguments: Mapping[str, Any], where: str = "", **checked: Any) -> T:
    """Call `target` with arguments whose names and types are checked first."""
    check_arguments(target, arguments, where)
    return target(**arguments, **checked)


def _configuration(group: str, name: str) -> dict[str, Any]:
    """The content of ``conf/GROUP/NAME.yaml``, upon that of the files in its ``defaults`` if they are of the group."""
    files = {file.stem: file for file in sorted((project_root() / "conf" / group).glob("*.yaml"))}
    if name not in files:
        raise ValueError(f"{group}={name!r}; accepted: {', '.join(files)}")
    content: dict[str, Any] = read_yaml(files[name])
    bases = [it for it in content.get("defaults", []) if isinstance(it, str) and it != "_self_"]
    if not bases:
        return content
    del content["defaults"]
    merged = OmegaConf.merge(*(_configuration(group, base) for base in bases), content)
    return OmegaConf.to_container(merged)  # type: ignore[return-value]


def _overridden(config: Mapping[str, Any], overrides: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The configuration with other values for some of its keys."""
    accepted = accepted_keys(config, where.split(".")) or list(config)
    result = dict(config)
    for key, value in overrides.items():
        if key not in accepted or key.startswith("_"):
            raise ValueError(unknown_key(f"{where}.{key}", key, listed(accepted, where.split("."))))
        if isinstance(config.get(key), Mapping) and isinstance(value, Mapping):
            value = _overridden(config[key], value, f"{where}.{key}")
        result[key] = value
    return result
