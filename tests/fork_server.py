"""Runs the project's scripts in forks of a process that has imported the libraries, because that takes seconds.

`bin_folder` returns a folder for PATH, whose program `python` passes ``pipelines/NAME.py``, its arguments, environment
and streams to the server, and ends with the status of the script. Anything else is run by the real interpreter, as is a
script with other settings of the libraries in its environment than the server has. The package itself is never imported
by the server, so that a script uses the code that PYTHONPATH names. The processes of pytest-xdist share one server.
"""

import atexit
import gc
import json
import multiprocessing.process
import multiprocessing.util
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import psutil
from filelock import FileLock

LIBRARIES = """
alembic.command alembic.config dvc.data_cloud dvc.dependency dvc.lock dvc.output dvc.repo dvc.repo.graph
dvc.repo.index dvc.repo.plots dvc.repo.status dvc.rwlock dvc.scm dvc.stage.cache filelock httpcore2 httpx2
hydra._internal.core_plugins.basic_launcher hydra._internal.core_plugins.basic_sweeper hydra.core.utils hydra.main
icu4py.breakers jinja2 joblib matplotlib.backends.backend_agg matplotlib.backends.backend_svg matplotlib.pyplot
mlflow.pyfunc mlflow.store.tracking.sqlalchemy_store mlflow.tracking multiprocess networkx optuna optuna.importance
optuna.visualization.matplotlib pandas PIL.JpegImagePlugin PIL.PngImagePlugin pyarrow.dataset pyarrow.parquet pydantic
pytorch_lightning ruamel.yaml safetensors.torch scipy.io scipy.sparse scipy.stats sentencepiece
sklearn.feature_extraction.text sklearn.linear_model sklearn.model_selection sqlalchemy.dialects.sqlite torch
truststore xxhash yaml
"""
SETTINGS = ("MLFLOW_", "MKL_", "OMP_", "ONEDNN_", "TORCH", "PL_", "PYTHON", "RAY_", "TZ")
READ_AT_USE = {
    *("MLFLOW_TRACKING_URI", "PYTHONPATH", "MLFLOW_DISABLE_TELEMETRY", "PL_GLOBAL_SEED", "PL_SEED_WORKERS"),
    *("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_ERROR_FILE"),
    *("TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_SIGNALS_TO_HANDLE", "TORCH_NCCL_ASYNC_ERROR_HANDLING"),
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE",
}
SHIM = """#!{python} -IS
import json, os, signal, socket, sys

arguments, environment = sys.argv[1:], dict(os.environ)
given = {{**{defaults}, **environment}}
settings = {{name: value for name, value in given.items() if name.startswith({prefixes}) and name not in {free}}}
script = arguments[0] if arguments else ""
is_script = os.path.basename(os.path.dirname(script)) == "pipelines" and os.path.isfile(script)
if not is_script or settings != {settings}:
    os.execv({python!r}, [{python!r}, *arguments])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([arguments, os.getcwd(), environment]).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(process, number))
status = int(answers.readline())
if status < 0:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@cache
def bin_folder() -> Path:
    """Start the server, if no other process of these tests has, and return the folder of the program that uses it."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if session is None:
        folder = Path(tempfile.mkdtemp(prefix="unroll-python-"))
        atexit.register(_start(folder, os.getpid()).kill)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder
    folder = Path(tempfile.gettempdir(), f"unroll-python-{session[:8]}")
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "python").exists():
            _start(folder, os.getppid())  # the process that has started those of pytest-xdist, and ends last
    return folder


def _start(folder: Path, tests: int) -> subprocess.Popen[bytes]:
    """Start the server, which deletes the folder and ends after the process `tests`, and write the program."""
    address = str(folder / "socket")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    defaults = _defaults()
    given = {**defaults, **environment}
    settings = {name: value for name, value in given.items() if name.startswith(SETTINGS) and name not in READ_AT_USE}
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, address, str(tests)],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None and server.stdout.readline() == b"ready\n"
    shim = folder / "python.new"
    shim.write_text(
        SHIM.format(
            python=sys.executable,
            prefixes=SETTINGS,
            free=sorted(READ_AT_USE),
            defaults=defaults,
            settings=settings,
            address=address,
        )
    )
    shim.chmod(0o755)
    shim.rename(folder / "python")
    return server


def _defaults() -> dict[str, str]:
    """What a script adds to its environment, which the scripts that it starts then have."""
    from unroll.project import project_root, set_environment

    with patch.dict(os.environ, clear=True):
        set_environment(project_root())
        return dict(os.environ)


def main() -> None:
    from unroll.project import project_root, set_environment

    given = dict(os.environ)
    set_environment(project_root())  # as every script does before it imports the libraries
    for name in LIBRARIES.split():
        __import__(name)
    requirements_utils = sys.modules["mlflow.utils.requirements_utils"]
    requirements_utils._init_modules_to_packages_map()  # MLflow reads this once for each logged model's process
    os.environ.clear()
    os.environ.update(given)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("unroll", "hydra_plugins")]:
        del sys.modules[name]
    sys.executable = str(Path(sys.argv[1]).with_name("python"))  # for the scripts that a script starts
    gc.freeze()  # keeps the pages of the libraries shared
    script = _serve(sys.argv[1], int(sys.argv[2]))
    os._exit(_status_of(script))


def _status_of(script: str) -> int:
    """Run the script and what it has left to be done at its end, but do not take the libraries apart."""
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    interpreter: Any = threading
    interpreter._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


class _Script(NamedTuple):
    """A script that runs, and the program `python` that waits for it."""

    process: int
    ended: int  # a file descriptor that can be read when the process has ended
    client: socket.socket

    def close(self) -> None:
        os.close(self.ended)
        self.client.close()


def _serve(address: str, pid: int) -> str:
    """Answer requests until the process of the tests has ended; returns the script to run in the fork for it.

    One process waits for all scripts, because a second fork for each would take longer than many a script.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    path = [entry for entry in sys.path if entry not in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    tests = psutil.Process(pid)
    running: list[_Script] = []
    while True:
        waited: list[Any] = [listener, *(it.ended for it in running), *(it.client for it in running)]
        ready, _, _ = select.select(waited, [], [], 1)
        if not ready and not tests.is_running():
            shutil.rmtree(Path(address).parent, ignore_errors=True)
            sys.exit()
        for script in list(running):
            if script.ended in ready:
                _report(script)
                running.remove(script)
            elif script.client in ready:  # it was killed, so that it has nothing to say
                os.kill(script.process, signal.SIGKILL)
                os.waitpid(script.process, 0)
                script.close()
                running.remove(script)
        if listener not in ready:
            continue
        client, _ = listener.accept()
        size, streams, _, _ = socket.recv_fds(client, 8, 3)
        with client.makefile("rb") as stream:
            request = stream.read(int.from_bytes(size, "big"))
        process = os.fork()
        if not process:
            listener.close()
            client.close()
            for script in running:
                script.close()
            arguments, folder, environment = json.loads(request)
            return _become(arguments, folder, environment, streams, path)
        for number in streams:
            os.close(number)
        with suppress(OSError):  # the client was killed: so is the script, above
            client.sendall(f"{process}\n".encode())
        running.append(_Script(process, os.pidfd_open(process), client))


def _report(script: _Script) -> None:
    """Tell the program `python` how its script has ended."""
    _, status = os.waitpid(script.process, 0)
    with suppress(OSError):  # it was killed
        script.client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    script.close()


def _become(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int], path: list[str]) -> str:
    """Give this process the streams, folder, environment and arguments of a new one; return its script."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    state: Any = multiprocessing.process
    state.ORIGINAL_DIR = folder  # where a worker process looks for the script
    launching: Any = multiprocessing.util
    launching.spawnv_passfds = partial(_fork_helper, launching.spawnv_passfds)
    sys.argv = arguments
    script = Path(arguments[0])
    ahead = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [str(script.parent.resolve()), *ahead, *path]
    return str(script)


def _fork_helper(spawn: Callable[..., int], program: bytes, arguments: list[str], streams: list[int]) -> int:
    """Run the fork server of `multiprocessing`, or its resource tracker, in a fork of this process."""
    if arguments[-2] != "-c":  # a process that begins anew by design
        return spawn(program, arguments, streams)
    process = os.fork()
    if process:
        return process
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    for name in os.listdir("/proc/self/fd"):  # as a new program would
        if int(name) > 2 and int(name) not in streams:
            with suppress(OSError):
                os.close(int(name))
    status = 1
    try:
        exec(arguments[-1], {})
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
