"""schemathesis on the description of a running server: requests that fit it and requests that do not, all checks.

https://schemathesis.io, in an environment of its own. It is told two things that OpenAPI cannot say: 413 is how a body
of more bytes than `--max-body` is refused, and the texts of pairs are two lists of one length.
"""

import os
import re
import subprocess
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.serving.models import every_kind
from benchmarks.serving.server import serving

REQUIREMENT = "schemathesis==4.32.5"
SEED = 1
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 408, 413, 415, 422, 431]
"""
HOOKS = """
import schemathesis

@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, dict) else {}
    lists = [body[key] for key in ("texts", "text_pairs") if isinstance(body.get(key), list)]
    return len({len(it) for it in lists}) < 2
"""


def measure(work: Path, examples: int) -> None:
    """Print a line for each kind of model, and what schemathesis says about a failure.

    Args:
        work: a new folder.
        examples: generated requests of a path, besides those for its limits.
    """
    (work / "models").mkdir(parents=True)
    command = environment(work / "environment", REQUIREMENT).with_name("schemathesis")
    (work / "schemathesis.toml").write_text(CONFIG)
    (work / "hooks.py").write_text(HOOKS)
    for kind, folder in every_kind(work / "models"):
        with serving(folder) as server:
            print(f"schemathesis: {kind}: {_run(command, server.url, work, examples)}", flush=True)


def _run(command: Path, url: str, work: Path, examples: int) -> str:
    options = ["--checks=all", f"--max-examples={examples}", f"--seed={SEED}", "--generation-database=none"]
    variables = {"PYTHONPATH": str(work), "SCHEMATHESIS_HOOKS": "hooks", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(command), "run", f"{url}/openapi.json", *options], cwd=work, env=variables, capture_output=True, text=True
    )
    found = re.search(r"Test cases:\n\s*(\d+) generated", done.stdout)
    if done.returncode == 0 and found:
        return f"{found[1]} cases, 0 failures"
    failures = re.search(r"found (\d+) unique failures?", done.stdout)
    count = f"{found[1] if found else 0} cases, {failures[1] if failures else 'an unknown number of'} failures"
    return f"{count} (status {done.returncode})\n{done.stdout[-8000:]}\n{done.stderr}"
