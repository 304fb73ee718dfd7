"""The names of devices, and the GPU that this machine seems to have; found without PyTorch, which takes seconds."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

DEVICES = ("auto", "cpu", "cuda", "mps")  # that commands and functions accept
HIDING = "CUDA_VISIBLE_DEVICES"

_DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder per GPU
_FILES = tuple(map(Path, ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu")))  # of NVIDIA's drivers
_OTHERS = Path("/dev/dxg"), Path("/dev/kfd")  # of Windows' subsystem for Linux, and of AMD


@cache
def nvidia_gpu() -> str | None:
    """The name of the first NVIDIA GPU that a driver of this machine knows; None if there is none."""
    for file in sorted(_DRIVER.glob("*/information")):
        found = re.search(r"^Model:\s*(.+?)\s*$", file.read_text(errors="replace"), re.MULTILINE)
        return found[1] if found else "an NVIDIA GPU"
    if any(map(Path.exists, _FILES)):
        return "an NVIDIA GPU"
    if command := shutil.which("nvidia-smi"):
        try:
            listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.match(r"GPU \d+: (.+?) \(", listed)
        return found[1] if found else None
    return None


def may_have_gpu() -> bool:
    """False only if PyTorch could certainly use no GPU here, so that it need not be imported to find out."""
    return sys.platform != "linux" or any(map(Path.exists, (_DRIVER, *_FILES, *_OTHERS)))


def hidden() -> str | None:
    """The setting that hides all GPUs from this process, as text; None if there is none."""
    value = os.environ.get(HIDING)
    return f"{HIDING}={value!r} hides every GPU" if value is not None and value.strip() in ("", "-1") else None
