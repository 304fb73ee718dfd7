"""Every kernel compiles for the GPUs of today, which needs none."""

import json
import os
import subprocess
import sys
from pathlib import Path

# A kernel is (module, function, types of the arguments that are no size, constants, warps); sizes are int32.
CRF = {"num_labels": 9, "LABELS": 16, "CONSTRAINED": True, "DOUBLE": False}
CHAIN = dict.fromkeys(["start", "transitions", "end"], "*fp32")
CHAIN |= {"forbidden_starts": "*i1", "forbidden_transitions": "*i1", "labels": "*i64", "lengths": "*i64"}
MESSAGES = CHAIN | {"logits": "*bf16", "scores": "*fp32", "losses": "*fp32"}
MARGINALS = CHAIN | dict.fromkeys(["scores", "weights", "by_logits", "sums"], "*fp32")
PATHS = CHAIN | {"logits": "*bf16", "origins": "*u8", "paths": "*i64"}
KERNELS = [
    ("crf", "forward_backward_kernel", MESSAGES, CRF | {"label_stride": 1, "HAS_LABELS": True, "GOLD_STEPS": 128}, 1),
    ("crf", "gradients_kernel", MARGINALS, CRF | {"HAS_LABELS": True, "HAS_WEIGHTS": True}, 1),
    ("crf", "best_paths_kernel", PATHS, CRF | {"label_stride": 1}, 1),
]

# Prints, for each kernel on each target, the atomic operations and the spilled bytes.
COMPILE = r"""
import importlib, json, re, subprocess, sys, tempfile, triton
from pathlib import Path
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

ptxas = Path(triton.__file__).with_name("backends") / "nvidia" / "bin" / "ptxas"
for module, name, types, constants, warps in json.load(sys.stdin):
    function = getattr(importlib.import_module("unroll.nn.kernels." + module), name)
    kinds = {it: "constexpr" if it in constants else types.get(it, "i32") for it in function.arg_names}
    source = ASTSource(fn=function, signature=kinds, constexprs=constants)
    for target in GPUTarget("cuda", 80, 32), GPUTarget("cuda", 90, 32), GPUTarget("hip", "gfx942", 64):
        code = triton.compile(source, target=target, options={"num_warps": warps}).asm
        found = {"kernel": f"{module}.{name} {constants} {target.arch}"}
        if target.backend == "cuda":
            found["atomics"] = sorted(set(re.findall(r"\b(?:atom|red)\.[\w.]+", code["ptx"])))
            with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
                file.write(code["ptx"])
                file.flush()
                arch = f"sm_{target.arch}" + "a" * (target.arch == 90)
                command = [ptxas, "-v", f"--gpu-name={arch}", file.name, "-o", "/dev/null"]
                report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            found["spilled"] = int(re.search(r"(\d+) bytes spill stores", report)[1])
        print(json.dumps(found))
"""


def test_every_kernel_compiles_without_spills_and_without_atomic_sums_of_floats(tmp_path: Path) -> None:
    """Sums of floats in an order that varies would not be the same from run to run."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, input=json.dumps(KERNELS), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 3 * len(KERNELS)
    for kernel in found:
        if "spilled" in kernel:
            assert kernel["spilled"] == 0 and not kernel["atomics"], kernel
