"""Lightning's Trainer, and which of its options a configuration may set."""

import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger

from unroll.arguments import check_targets
from unroll.cluster import Cluster
from unroll.training.meeting import Meeting
from unroll.training.placing import placed
from unroll.training.processes import STRATEGIES, Started, environment, spread

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = {"32-true": "32", "64-true": "64", "bf16-mixed": "bf16", "16-mixed": "16"}  # with Lightning's short names

_BATCHES = "a number of batches from 1, or a fraction of them above 0 and up to 1.0"
_VALIDATION = "validation ends every epoch, and the best one is kept"
_SCORES = "the scores of every epoch go to MLflow and history.csv"

# Options that are passed on and checked: whether a value works, and what is accepted.
CHECKED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_steps": (lambda steps: steps == -1 or steps > 0, "1 or more, or -1 for no limit"),
    "min_epochs": (lambda epochs: epochs is None or epochs > 0, "1 or more"),
    "min_steps": (lambda steps: steps is None or steps > 0, "1 or more"),
    "limit_train_batches": (lambda limit: _is_limit(limit), _BATCHES),
    "limit_val_batches": (lambda limit: _is_limit(limit), _BATCHES),
    "accumulate_grad_batches": (lambda batches: batches > 0, "1 or more"),
    "gradient_clip_val": (lambda limit: limit is None or limit >= 0, "0 or more, where 0 is no limit"),
    "gradient_clip_algorithm": (lambda name: name in (None, "norm", "value"), "norm, value"),
    "accelerator": (lambda name: name in ACCELERATORS, f"{', '.join(ACCELERATORS)}; trainer=cpu works everywhere"),
    "precision": (lambda name: name is None or _precision(name) in PRECISIONS, ", ".join(PRECISIONS)),
    "strategy": (lambda name: name in list(STRATEGIES), ", ".join(STRATEGIES)),
    "num_nodes": (lambda nodes: nodes > 0, "1 or more"),
    "profiler": (lambda name: name in (None, "simple", "advanced"), "simple, advanced"),
}

# Options that only have Lightning's default, and why.
REFUSED = {
    "val_check_interval": _VALIDATION,
    "check_val_every_n_epoch": _VALIDATION,
    "num_sanity_val_steps": _VALIDATION,
    "fast_dev_run": "a short training is trainer.max_epochs=1 trainer.limit_train_batches=1",
    "overfit_batches": "a training on few batches is trainer.limit_train_batches=10",
    "max_time": "the learning rate follows the number of steps; limits are trainer.max_epochs and trainer.max_steps",
    "limit_test_batches": "the evaluate stage reads the whole test split",
    "limit_predict_batches": "a training predicts nothing",
    "logger": _SCORES,
    "log_every_n_steps": _SCORES,
    "enable_checkpointing": "every training can be resumed from its checkpoints",
    "enable_model_summary": "run.json has the number of parameters",
    "callbacks": "unroll.training.train has such an argument",
    "plugins": "trainer.precision and trainer.strategy choose them",
    "barebones": "validation and checkpoints are needed",
    "sync_batchnorm": "no network normalises batches",
    "use_distributed_sampler": "batches are divided between processes without a sampler",
    "reload_dataloaders_every_n_epochs": "each epoch has its own order anyway",
    "default_root_dir": "everything is written into the run folder",
    "enable_autolog_hparams": "all parameters go to MLflow",
    "model_registry": "the register stage writes to MLflow's registry",
}


def quiet_lightning() -> None:
    """Silence Lightning's banners and tips, and its warnings about intended settings."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # the report of trainer.profiler
    warnings.filterwarnings("ignore", module="pytorch_lightning")


def build_trainer(
    config: dict[str, Any],
    callbacks: Sequence[Callback] = (),
    logger: Logger | None = None,
    meeting: Meeting | None = None,
) -> Trainer:
    """Build the trainer of a configuration, whose limits of batches and of steps others keep: see `fit_network`.

    Args:
        meeting: of the processes of a cluster.

    Raises:
        ValueError: an option is not accepted, or this machine does not have what it asks for.
    """
    quiet_lightning()
    _check_option("precision", config)  # Lightning's own list has others
    check_targets(config, "trainer", unlisted=REFUSED)
    own = {
        "enable_checkpointing": True,
        "enable_progress_bar": config.get("enable_progress_bar", sys.stderr.isatty()),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "max_epochs": -1 if config.get("max_epochs") is None else config["max_epochs"],
        "max_steps": -1,
        "limit_train_batches": None,
        "limit_val_batches": None,
        "use_distributed_sampler": False,  # ShuffledBatches and SequentialBatches divide themselves between processes
    }
    defaults = inspect.signature(Trainer).parameters
    for key, value in config.items():
        if key in REFUSED and value not in (defaults[key].default, own.get(key)):
            raise ValueError(f"trainer.{key}={value!r}; accepted: no such key, {REFUSED[key]}")
        _check_option(key, config)
    _check_end(config.get("max_epochs"), config.get("max_steps", -1), config)
    config, is_started = placed(spread(config)), Cluster.here() is not None
    own |= {"callbacks": [*callbacks], "logger": logger or False}
    try:
        own |= {"plugins": [environment()]} | ({"strategy": Started(meeting)} if is_started else {})
        trainer: Trainer = instantiate(config, **own)
        if trainer.num_devices > 1 and not is_started:  # Lightning's choice runs the command again for every device
            trainer = instantiate(config | {"strategy": STRATEGIES[config.get("strategy", "auto")]}, **own)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, MemoryError | MisconfigurationException | OverflowError | TypeError | ValueError):
            raise ValueError(
                f"trainer: {str(cause) or type(cause).__name__}; trainer.accelerator={config.get('accelerator')!r}, "
                f"trainer.devices={config.get('devices')!r}; trainer=cpu works everywhere"
            ) from error
        raise
    if (asked := config.get("precision")) is not None and trainer.precision != _precision(asked):  # a silent fallback
        raise ValueError(f"trainer.precision={asked!r} needs a GPU; accepted: {', '.join([*PRECISIONS][:3])}")
    return trainer


def _check_option(key: str, config: dict[str, Any]) -> None:
    if key in CHECKED and key in config and not CHECKED[key][0](config[key]):
        raise ValueError(f"trainer.{key}={config[key]!r}; accepted: {CHECKED[key][1]}")


def _precision(name: str | int) -> str:
    return next((long for long, short in PRECISIONS.items() if str(name) == short), str(name))


def _check_end(epochs: int | None, steps: int, config: dict[str, Any]) -> None:
    """Check that the number of steps, which the learning rate follows, has a limit that the training can end at."""
    if (epochs in (None, -1) and steps == -1) or (epochs is not None and epochs < 1 and epochs != -1):
        raise ValueError(f"trainer.max_epochs={epochs}; accepted: 1 or more, or -1 with trainer.max_steps")
    least = config.get("min_epochs")
    if least is not None and epochs not in (None, -1) and least > epochs:
        raise ValueError(f"trainer.min_epochs={least}, trainer.max_epochs={epochs}; accepted: no more than that")
    for key in ("min_epochs", "min_steps"):
        if steps != -1 and config.get(key) is not None:
            raise ValueError(f"trainer.{key}={config[key]}, trainer.max_steps={steps}; accepted: one of them")


def _is_limit(limit: int | float | None) -> bool:
    """Whether a limit of batches leaves any; a whole number counts them, and a fraction is one of all."""
    return limit is None or (0 < limit <= 1 if isinstance(limit, float) else limit > 0)
