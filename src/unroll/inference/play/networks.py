"""The networks that the page offers."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from unroll.data.prepared import PreparedData
from unroll.inference.explaining.explain import explain_data, network_of
from unroll.inference.explaining.gradients import Sensitivity
from unroll.inference.model_folder import is_network
from unroll.inference.predictor import Predictor
from unroll.inference.server.source import FolderSource, ServedModel, Source
from unroll.run_folder import RunFolder

PREPARED = Path("data/prepared")


class Network:
    """A network of a model folder; it is loaded when it is needed.

    Args:
        data: the prepared data that it was trained on, for means over texts; None leaves these out.
    """

    def __init__(self, served: ServedModel, data: Path | None) -> None:
        self.name, self.facts = served.name, served.facts()
        self._folder, self._data = served.folder, data

    @cached_property
    def predictor(self) -> Predictor:
        """Raises ValueError if the model is damaged, or is no network with its weights."""
        predictor = Predictor.load(self._folder)
        try:
            network_of(predictor)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        return predictor

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """The mean over texts of the test split; raises ValueError if there are no data of the training."""
        if self._data is None:
            raise ValueError(
                f"{self.name}: the prepared data of its training are not here; accepted: --data data/prepared/DATASET"
            )
        return explain_data(self.predictor, PreparedData(self._data))


def open_networks(names: Sequence[str], data: Path | None, find: Callable[[str], Source], work: Path) -> list[Network]:
    """The named networks, or without names all in ``models/``, which are loaded when they are needed.

    Args:
        names: folders, and names of registered models.
        data: the prepared data of their training; None looks for each network's own in ``data/prepared``.
        find: finds a model by its name.
        work: a folder for copies of registered models.

    Raises:
        ValueError: there is no such model, or it is no network with its weights; or no prepared data in `data`.
    """
    if data is not None:
        PreparedData(data)
    if not names:
        return [Network(it, data or data_of(it.folder)) for it in trained_networks(Path("models"))]
    networks = []
    for number, name in enumerate(dict.fromkeys(names)):
        source = find(name)
        if isinstance(source, FolderSource):
            served = source.in_place()
            own = data_of(served.folder)
        else:
            copy = source.copy(source.version(), work / str(number))
            served, own = replace(copy, name=name), prepared_data(copy.name)
        networks.append(Network(served, data or own))
    counts = Counter(network.name for network in networks)
    for network, name in zip(networks, dict.fromkeys(names), strict=True):
        network.name = name if counts[network.name] > 1 else network.name
        _ = network.predictor  # a mistake ends the command
    return networks


def prepared_data(dataset: str) -> Path | None:
    """Where the pipeline prepares this dataset, if it is there."""
    folder = PREPARED / dataset
    return folder if (folder / "dataset.json").is_file() else None


def data_of(folder: Path) -> Path | None:
    """The prepared data that the model folder of a run was trained on, if they are there."""
    run = RunFolder(folder.parent)
    return prepared_data(run.read_record().dataset) if run.record.is_file() else None


def trained_networks(folder: Path) -> list[ServedModel]:
    """The networks in DATASET/MODEL/SEED below a folder; raises ValueError if there is none."""
    found = []
    for file in sorted(folder.glob("*/*/*/model/config.json")):
        if is_network(file.parent):
            found.append(FolderSource(file.parents[1]).in_place())
    if not found:
        raise ValueError(
            f"no trained network in {folder}/DATASET/MODEL/SEED; accepted: run folders, models:/NAME@champion; "
            "to train one: python pipelines/train.py dataset=NAME model=NAME"
        )
    return found
