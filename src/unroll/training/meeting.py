"""How the processes of a cluster agree: on what to train, where to begin, and how it ended.

They write to a key-value store of PyTorch (`TCPStore`), which torchrun's agent or the first process serves at
MASTER_ADDR:MASTER_PORT. The store of torchrun may still have what was written before a restart. The first process
therefore draws a new name, the call, under which everything is written, and answers each process by a name of its own.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.distributed_c10d import PrefixStore, Store

from unroll.cluster import Cluster
from unroll.exceptions import JobFailed, is_mistake, message
from unroll.files import sha256

STEP = 0.05  # seconds between two looks at the store
FAREWELL = 60.0  # seconds that processes wait for each other when one has failed
CAUSE = 5.0  # seconds that the first one waits for the cause of a lost connection
BRIEF = 1.0  # seconds that it waits if the others cannot answer


class Meeting:
    """The processes of a training, seen from one of them.

    Args:
        patience: seconds to wait for the other processes.
    """

    def __init__(self, cluster: Cluster, patience: float) -> None:
        self.cluster, self.patience = cluster, patience
        self.address = _address(cluster)
        self._store = self._connect()
        self._call, self._has_agreed = "", False
        if self.is_first:
            self._call = uuid4().hex
            self._store.set("call", self._call)

    @property
    def is_first(self) -> bool:
        return self.cluster.rank == 0

    @property
    def group_store(self) -> Store:
        """The store of the process group, which has nothing of an earlier attempt."""
        return PrefixStore(f"{self._call}/group", self._store)

    def agree(self, facts: dict[str, str]) -> None:
        """Wait until all processes are here; raise ValueError, in the first one, if their facts differ.

        Raises:
            JobFailed: the first process has failed, and says so.
        """
        if not self.is_first:
            self._arrive({"facts": facts}, self.patience)
            self._has_agreed = True
            return
        others = self._wait_for_all()
        for rank, other in others.items():
            where = f"process {rank} on {other['host']}"
            if "error" in other:
                raise ValueError(f"{where}: {other['error']}")
            different = [name for name in facts | other["facts"] if facts.get(name) != other["facts"].get(name)]
            if different:
                listed = ", ".join(
                    f"{name}={other['facts'].get(name)} (process 0: {facts.get(name)})" for name in different[:3]
                )
                more = f" and {len(different) - 3} more" if len(different) > 3 else ""
                raise ValueError(
                    f"{where} has {listed}{more}; accepted: the same command, code, data and packages on every node"
                )
        for rank, other in others.items():
            self._set(f"answer/{rank}/{other['name']}", "agreed")
        self._has_agreed = True

    def begin(self, checkpoint: Path) -> bool:
        """Whether the training goes on from the checkpoint, which the first process decides.

        Raises:
            ValueError: this process does not find the same file.
        """
        if self.is_first:
            digest = sha256(checkpoint) if checkpoint.exists() else ""
            self._set("checkpoint", digest)
            if failed := self._failed():
                raise failed
            return bool(digest)
        self._until(lambda: self._has("checkpoint"), "has not begun the training", self.patience)
        digest, deadline = self._get("checkpoint"), time.monotonic() + self.patience
        while digest and not (checkpoint.exists() and sha256(checkpoint) == digest):  # NFS shows new files late
            if time.monotonic() > deadline:
                raise ValueError(
                    f"{checkpoint} is not that of process 0; accepted: a project on a file system that the nodes share"
                )
            time.sleep(1)
        return bool(digest)

    def end(self) -> None:
        """Tell the other processes that all is done, or wait for the first one to do so."""
        if self.is_first:
            self._part("", FAREWELL)
        else:
            with suppress(ValueError, dist.DistError):  # this process has nothing left to do
                self._until(lambda: False, "has not ended", self.patience)

    def fail(self, error: BaseException) -> BaseException:
        """End because of an error; return the one to raise, which the first process alone explains."""
        is_lost = is_lost_connection(error)
        patience = FAREWELL if isinstance(error, Exception) else BRIEF  # SIGTERM comes to all, and SIGKILL after it
        if dist.is_initialized():
            if dist.get_backend() == "nccl":  # waits for the others, which wait for this one until they are killed
                patience = BRIEF
            else:  # wakes the others
                with suppress(Exception):
                    dist.destroy_process_group()
        if self.is_first:
            cause = self._cause() if is_lost else None
            with suppress(dist.DistError):
                self._part("failed", BRIEF if is_lost and cause is None else patience)
            return cause or (_lost(error, self.address) if is_lost else error)
        if isinstance(error, JobFailed) or not isinstance(error, Exception):
            return error
        try:
            self._tell("" if is_lost else message(error) if is_mistake(error) else repr(error), patience)
        except JobFailed as explained:
            return explained if is_lost or is_mistake(error) else error
        except (ValueError, dist.DistError):  # the first process is not there to explain it
            pass
        return _lost(error, self.address) if is_lost else error

    def _connect(self) -> Store:
        host, port = self.address
        serves = self.is_first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        patience = timedelta(seconds=self.patience)
        try:
            store = TCPStore(host, port, None, serves, patience, wait_for_workers=False, multi_tenant=True)
        except dist.DistError as error:
            if serves:
                raise ValueError(
                    f"{host}:{port} cannot be served ({_first_line(error)}); accepted: another MASTER_PORT"
                ) from error
            raise ValueError(
                f"process {self.cluster.rank} of {self.cluster.processes} found no process 0 at {host}:{port} within "
                f"{self.patience:g} seconds; accepted: the same command on every node, or a larger join_timeout"
            ) from error
        return PrefixStore("unroll", store)

    def _arrive(self, what: dict[str, Any], patience: float) -> None:
        """Tell the first process that this one is here, and wait for its answer."""
        name, rank, told = uuid4().hex, self.cluster.rank, ""
        content = json.dumps({"name": name, "host": socket.gethostname(), **what})

        def is_answered() -> bool:
            nonlocal told
            self._call = self._store.get("call").decode() if self._store.check(["call"]) else ""
            if told != self._call:
                told = self._call
                self._set(f"here/{rank}", content)
            return bool(told) and self._has(f"answer/{rank}/{name}")

        self._until(is_answered, "has not answered", patience)
        if self._get(f"answer/{rank}/{name}") == "failed":
            self._leave()

    def _wait_for_all(self) -> dict[int, dict[str, Any]]:
        """What each other process has said, by its rank."""
        found: dict[int, dict[str, Any]] = {}
        ranks, deadline = range(1, self.cluster.processes), time.monotonic() + self.patience
        while len(found) < len(ranks):
            for rank in ranks:
                if rank not in found and self._has(f"here/{rank}"):
                    found[rank] = json.loads(self._get(f"here/{rank}"))
            if time.monotonic() > deadline and len(found) < len(ranks):
                missing = ", ".join(str(rank) for rank in ranks if rank not in found)
                raise ValueError(
                    f"{len(found) + 1} of {self.cluster.processes} processes came to "
                    f"{':'.join(map(str, self.address))} within {self.patience:g} seconds (missing: {missing}); "
                    "accepted: the same command on every node, or a larger join_timeout"
                )
            time.sleep(STEP)
        return found

    def _tell(self, error: str, patience: float) -> None:
        """Give the error of this process, if it is one of its own, to the first one; JobFailed if that explains it."""
        if not self._has_agreed:
            self._arrive({"error": error or "no connection"}, patience)
            return
        if error:
            self._set(f"failed/{self.cluster.rank}", json.dumps({"host": socket.gethostname(), "error": error}))
        self._until(lambda: False, "has not ended", patience)

    def _until(self, is_done: Callable[[], bool], what: str, patience: float) -> None:
        """Wait for something that the first process does.

        Raises:
            JobFailed: it has failed.
            ValueError: it does not do it in time.
        """
        deadline = time.monotonic() + patience
        while not is_done():
            if self._has_agreed and self._has("end"):
                if self._get("end") == "failed":
                    self._leave()
                self._set(f"bye/{self.cluster.rank}", "")
                return
            if time.monotonic() > deadline:
                raise ValueError(
                    f"process 0 at {':'.join(map(str, self.address))} {what} within {self.patience:g} seconds; "
                    "accepted: the same command on every node, or a larger join_timeout"
                )
            time.sleep(STEP)

    def _part(self, how: str, patience: float) -> None:
        """Tell how this training ended, and wait until the others know: the store may end with this process."""
        self._set("end", how)
        deadline, ranks = time.monotonic() + min(patience, self.patience), range(1, self.cluster.processes)
        while time.monotonic() < deadline and not all(self._has(f"bye/{rank}") for rank in ranks):
            for rank in ranks if not self._has_agreed else ():
                if self._has(f"here/{rank}"):
                    self._set(f"answer/{rank}/{json.loads(self._get(f'here/{rank}'))['name']}", how)
            time.sleep(STEP)

    def _leave(self) -> NoReturn:
        self._set(f"bye/{self.cluster.rank}", "")
        raise JobFailed("process 0 has failed, and said why")

    def _cause(self) -> ValueError | None:
        """The error of another process, for which a connection was lost."""
        deadline = time.monotonic() + CAUSE
        with suppress(dist.DistError):
            while time.monotonic() < deadline:
                if failed := self._failed():
                    return failed
                time.sleep(STEP)
        return None

    def _failed(self) -> ValueError | None:
        """The error that another process has told."""
        for rank in range(1, self.cluster.processes):
            if self._has(f"failed/{rank}"):
                said = json.loads(self._get(f"failed/{rank}"))
                return ValueError(f"process {rank} on {said['host']}: {said['error']}")
        return None

    def _set(self, key: str, value: str) -> None:
        self._store.set(f"{self._call}/{key}", value)

    def _get(self, key: str) -> str:
        return self._store.get(f"{self._call}/{key}").decode()

    def _has(self, key: str) -> bool:
        return bool(self._store.check([f"{self._call}/{key}"]))


@contextmanager
def together(patience: float) -> Iterator[Meeting | None]:
    """Meet the other processes of a cluster; yield None if this process was started alone.

    An error in one process ends all of them, and is printed once, by the first.

    Raises:
        ValueError: the others do not come.
        JobFailed: the error of the block, or that of another process, is explained by the first process.
    """
    cluster = Cluster.here()
    if cluster is None:
        yield None
        return
    meeting = Meeting(cluster, patience)
    try:
        yield meeting
        meeting.end()
    except BaseException as error:
        shown = meeting.fail(error)
        if shown is error:
            raise
        raise shown from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Whether PyTorch has lost another process, which it says in many ways."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _lost(error: BaseException, address: tuple[str, int]) -> ValueError:
    return ValueError(
        f"another process of the training at {':'.join(map(str, address))} has ended ({_first_line(error)}); the same "
        "command on every node goes on from the last checkpoint"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def _address(cluster: Cluster) -> tuple[str, int]:
    """Where the store is served."""
    if cluster.starter == "torchrun":
        return os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ValueError(
            f"srun has started {cluster.processes} tasks, and not with --ntasks-per-node; "
            f"accepted: --nodes={cluster.nodes} --ntasks-per-node={cluster.per_node}"
        )
    slurm = SLURMEnvironment(auto_requeue=False)
    return slurm.main_address, slurm.main_port
