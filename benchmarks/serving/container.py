"""The lines of the Dockerfile in docs/serving.md without Docker: a new environment, a foreign user, and no network."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from benchmarks.environments import environment, foreign, megabytes
from benchmarks.shipped import CONF

PROJECT = CONF.parent
PARTS = ("src", "pyproject.toml", "README.md", "constraints.txt")  # what pip reads of a project
TOKEN = "a-token-for-a-benchmark"
# Starts the command, asks it once, and stops it; run by the environment's interpreter.
PROBE = """
import json, subprocess, sys, urllib.request
with subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True) as server:
    try:
        first = server.stdout.readline().strip()
        request = urllib.request.Request("http://127.0.0.1:8000/predict", b'{"text": "Not bad at all."}')
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {sys.argv[1]}")
        with urllib.request.urlopen(request) as answer:
            print(json.dumps([first, json.load(answer)["predictions"]]))
    finally:
        server.terminate()
sys.exit(server.returncode)
"""


def measure(model: Path, work: Path) -> None:
    """Install as RUN says and start as CMD says, as nobody in a name space without a network.

    Args:
        model: an exported model.
        work: a new folder, in a temporary one.

    Raises:
        ValueError: this takes root, and Linux's unshare, setpriv and ip.
    """
    if os.geteuid() or not all(map(shutil.which, ("unshare", "setpriv", "ip"))):
        raise ValueError(
            "it becomes another user without network; accepted: root, with unshare, setpriv and ip (Linux)"
        )
    page = (PROJECT / "docs" / "serving.md").read_text()
    lines = re.findall(r"^```dockerfile\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    app, served = work / "app", work / "model"
    app.mkdir(parents=True)
    for name in PARTS:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, app / name)
    shutil.copytree(model, served)
    install = shlex.split(re.findall(r"^RUN pip install (.+)$", lines, re.MULTILINE)[0])
    python = environment(work / "environment", *(word.replace("/app", str(app)) for word in install))
    start = json.loads(re.findall(r"^CMD (\[.+\])$", lines, re.MULTILINE)[0])
    start = [str(python.with_name(start[0])), *(str(served) if word == "/model" else word for word in start[1:])]
    for folder in (work, work.parent):  # a temporary folder is its owner's alone
        folder.chmod(0o755)
    inner = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(python), "-c", PROBE, TOKEN, *start]
    outer = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inner]
    variables = foreign() | {"UNROLL_SERVE_TOKEN": TOKEN, "HOME": "/nonexistent"}
    done = subprocess.run(outer, cwd="/", env=variables, stdout=subprocess.PIPE, text=True)
    print(
        f"container: {megabytes(work / 'environment'):.0f} MB with pip; status {done.returncode}; {done.stdout.strip()}"
    )
