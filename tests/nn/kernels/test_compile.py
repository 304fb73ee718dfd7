"""Every kernel compiles for the GPUs of today, which needs none."""

import json
import os
import subprocess
import sys

# A kernel is (module, function, types of the arguments that are no size, constants, warps); sizes are int32.
FLOATS = "*fp32"
GATED = {"BLOCK": 64, "PARTS": 3}
TOGETHER = {"HIDDEN": 160, "ROWS": 16, "UNITS": 8}


def floats(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), FLOATS)


DECAY = floats("decay drive states")
D_DECAY = floats("decay states grad grad_decay grad_drive")
MEMORIES = floats("memories states") | {"inputs": "*bf16"}
D_MEMORIES = floats("memories d_states") | {"inputs": "*bf16", "d_inputs": "*bf16"}
PEEPHOLE = floats("gates W peepholes cells states") | {"arrived": "*i32"}
D_PEEPHOLE = floats("gates W peepholes cells d_states d_gates sums") | {"arrived": "*i32"}
SLSTM = floats("gates W means states log_ns") | {"arrived": "*i32"}
D_SLSTM = floats("gates W means d_states d_gates d_means d_log_ns") | {"arrived": "*i32"}
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
    ("linear_recurrence", "_forward", DECAY, {"BLOCK": 32, "PARTS": 1, "FIXED": False}, 1),
    ("linear_recurrence", "_backward", D_DECAY, {"BLOCK": 32, "PARTS": 1, "FIXED": False}, 1),
    ("linear_recurrence", "_forward", DECAY, {"BLOCK": 16, "PARTS": 2, "FIXED": True}, 1),
    ("linear_recurrence", "_backward", D_DECAY, {"BLOCK": 16, "PARTS": 2, "FIXED": True}, 1),
    ("gated_recurrence", "_forward", MEMORIES, GATED | {"CELL": "min_lstm"}, 1),
    ("gated_recurrence", "_backward", D_MEMORIES, GATED | {"CELL": "min_lstm"}, 1),
    ("gated_recurrence", "_forward", MEMORIES, GATED | {"CELL": "qrnn"}, 1),
    ("gated_recurrence", "_backward", D_MEMORIES, GATED | {"CELL": "qrnn"}, 1),
    ("indrnn", "_forward", floats("states weight"), {"BLOCK": 32}, 1),
    ("indrnn", "_backward", floats("states weight d_states d_inputs d_weight"), {"BLOCK": 32}, 1),
    ("sru", "_forward", floats("inputs highway peephole memories states") | {"scale": "fp32"}, {"BLOCK": 32}, 1),
    (
        "sru",
        "_backward",
        floats("inputs highway peephole memories d_states d_inputs d_highway d_peephole") | {"scale": "fp32"},
        {"BLOCK": 32},
        1,
    ),
    ("peephole_lstm", "_forward", PEEPHOLE, TOGETHER | {"PRECISION": "ieee"}, 4),
    ("peephole_lstm", "_backward", D_PEEPHOLE, TOGETHER | {"PRECISION": "ieee"}, 4),
    ("slstm", "_forward", SLSTM, TOGETHER | {"PRECISION": "tf32", "SIGMOID": True}, 4),
    ("slstm", "_backward", D_SLSTM, TOGETHER | {"PRECISION": "tf32", "SIGMOID": True}, 4),
]

# Prints, for each kernel on each target, the atomic operations, the fast loads and the spilled bytes.
COMPILE = r"""
import importlib, json, re, subprocess, sys, tempfile, triton
from pathlib import Path
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

ptxas = Path(triton.__file__).with_name("backends") / "nvidia" / "bin" / "ptxas"
for module, name, types, constants, warps in json.load(sys.stdin):
    function = getattr(importlib.import_module("unroll.nn.kernels." + module), name)
    kinds = {it: "constexpr" if it in constants else types.get(it, "i32") for it in function.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, it in enumerate(function.arg_names) if kinds[it][0] in "*i"}
    source = ASTSource(fn=function, signature=kinds, constexprs=constants, attrs=aligned)
    for target in GPUTarget("cuda", 90, 32), GPUTarget("cuda", 80, 32), GPUTarget("hip", "gfx942", 64):
        if target.arch != 90 and warps == 1:
            continue  # without matrix products the targets differ little, and each takes half a second
        code = triton.compile(source, target=target, options={"num_warps": warps}).asm
        found = {"kernel": f"{module}.{name} {constants} {target.arch}", "cooperates": warps > 1}
        if target.backend == "cuda":
            found["atomics"] = sorted(set(re.findall(r"\b(?:atom|red)\.[\w.]+", code["ptx"])))
            found["prefetches"] = "cp.async" in code["ptx"]
            found["waits"] = "ld.global.gpu.acquire" in code["ptx"]
            with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
                file.write(code["ptx"])
                file.flush()
                arch = f"sm_{target.arch}" + "a" * (target.arch == 90)
                command = [ptxas, "-v", f"--gpu-name={arch}", file.name, "-o", "/dev/null"]
                report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
            found["spilled"] = int(re.search(r"(\d+) bytes spill stores", report)[1])
        print(json.dumps(found))
"""


def test_every_kernel_compiles_without_spills_and_without_atomic_sums_of_floats() -> None:
    """Sums of floats in an order that varies would not be the same from run to run."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, input=json.dumps(KERNELS), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == sum(3 if warps > 1 else 1 for *_, warps in KERNELS)
    for kernel in found:
        if "spilled" in kernel:
            assert kernel["spilled"] == 0, kernel
            assert kernel["prefetches"] or kernel["kernel"].startswith("crf."), (
                kernel
            )  # which loads a step ahead itself
            assert kernel["atomics"] == (["atom.global.gpu.release.add.u32"] if kernel["cooperates"] else []), kernel
            assert kernel["waits"] == kernel["cooperates"], kernel  # for all programs, which release their writes
