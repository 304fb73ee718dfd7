"""The device that a network runs on: which one is taken, why not another one, and what does not fit into it."""

import copy
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from unroll.checks import check_choice
from unroll.data.tokens import Spelling, Tokens
from unroll.hardware import DEVICES, hidden, nvidia_gpu

CPU = torch.device("cpu")
_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"  # PyTorch then asks the driver's library, after which processes may be forked


def accelerator() -> torch.device | None:
    """The GPU that PyTorch finds, CUDA's (or ROCm's) first, then Apple's; None if there is none.

    CUDA is not initialised, so that it takes no memory of the GPU, and processes can still be forked.
    """
    before = os.environ.get(_NVML)
    os.environ[_NVML] = "1"
    try:
        if torch.cuda.is_available():
            return torch.device("cuda")
    finally:
        if before is None:
            del os.environ[_NVML]
        else:
            os.environ[_NVML] = before
    return torch.device("mps") if torch.backends.mps.is_available() else None


def choose(asked: str, where: str = "device", accepted: str = "auto, cpu", tries: bool = True) -> torch.device:
    """The device for one of `DEVICES`, or for `gpu`, which is CUDA's or Apple's.

    Args:
        where: the name of the option, for the error.
        accepted: what the error says is accepted.
        tries: compute one number on a GPU, which finds a driver or a GPU that PyTorch cannot use.

    Raises:
        ValueError: the device is not here; the message says why not, and what is.
    """
    check_choice(where, asked, (*DEVICES, "gpu"))
    if asked == "cpu":
        return CPU
    found = accelerator()
    if found is not None and asked in ("auto", "gpu", found.type) and not (tries and _refusal(found)):
        return found
    if asked == "auto":
        return CPU
    is_other = found is not None and asked not in ("gpu", found.type)
    here = describe(found) if found is not None and is_other and not _refusal(found) else "the CPU alone"
    raise ValueError(f"{where}={asked!r}: {_missing(asked, found)}; here: {here}; accepted: {accepted}")


def unused_gpu() -> str | None:
    """Why `auto` takes the CPU although this machine has a GPU, in words; None if it has none, or the user hides it."""
    if hidden():
        return None
    found = accelerator()
    name = nvidia_gpu()
    if found is not None:  # PyTorch does not name a GPU that it cannot use
        name = (name or "the GPU") if found.type == "cuda" else found.type
    return name and f"{name} is not used: {_missing('gpu' if found else 'cuda', found)}"


def describe(device: torch.device, count: int = 1, is_named: bool = True) -> str:
    """``cpu``, ``cuda (NVIDIA H100)`` or, of several processes, ``2 x cpu``: what figures of speed depend on."""
    is_named &= device.type == "cuda"
    name = f"cuda ({torch.cuda.get_device_name(device)})" if is_named else device.type
    return name if count == 1 else f"{count} x {name}"


def moved(tokens: Tokens[Tensor], device: torch.device) -> Tokens[Tensor]:
    """The input of a network on the device; the same object on a CPU."""
    if device.type == "cpu":
        return tokens
    words, casing, lengths, spelling = tokens
    spelled = spelling and Spelling(*(it.to(device) for it in spelling))
    return Tokens(words.to(device), casing.to(device), lengths.to(device), spelled)


def _missing(asked: str, found: torch.device | None) -> str:
    """Why a device cannot be used."""
    if found is not None and asked in ("gpu", found.type):
        return _refusal(found) or "it does not answer"
    if asked == "mps":
        return "PyTorch finds no GPU of Apple's"
    if text := hidden():
        return text
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    return _refusal(torch.device("cuda")) or "PyTorch finds no GPU"


def _refusal(device: torch.device) -> str | None:
    """What PyTorch says when it is to compute on the device; None if it does.

    An old driver, and a GPU that is too old or new for this PyTorch or taken by another process, show only then.
    """
    try:
        float(torch.ones(1, device=device).sum())
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # no driver, no kernels, not built for it
        return _sentence(error)
    return None


def _sentence(error: BaseException) -> str:
    """The first sentence of an error of PyTorch, whose further ones are advice and addresses."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(". ")[0].rstrip(".")


def missing_operation(compute: Callable[[], object]) -> str | None:
    """What a device cannot compute, such as ``aten::linalg_qr``, which Apple's GPU may lack; None if it can."""
    try:
        compute()
    except (NotImplementedError, TypeError, RuntimeError) as error:  # an operation, or a type of numbers
        if lacks_memory(error):
            raise
        found = re.search(r"'(\w+::[\w.]+)'", str(error))
        return found[1] if found else _sentence(error)
    return None


def read_once(model: nn.Module, device: torch.device) -> None:
    """Let a copy of a network read two unknown tokens on the device."""
    one, two = torch.ones(1, 1, dtype=torch.long), torch.ones(1, 2, dtype=torch.long)
    tokens = Tokens(two, two, two[0, :1] * 2, Spelling(one, two * 0))
    with torch.inference_mode():
        copy.deepcopy(model).to(device).eval()(moved(tokens, device))


def lacks_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU was too small: PyTorch's own error, or that of Apple's backend or of a library."""
    texts = ("OutOfMemoryError", "out of memory", "ALLOC_FAILED")  # the first in the report of another process
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def too_large(shape: tuple[int, ...] | None, device: str, accepted: str) -> ValueError:
    """The error for a batch of the shape (B, T), if that is known, that does not fit into the memory of a device."""
    size = f" of {shape[0]:,} sequences × {shape[1]:,} tokens" if shape else ""
    return ValueError(f"a batch{size} does not fit into the memory of {device}; accepted: {accepted}")


@contextmanager
def fitting(device: torch.device, shape: tuple[int, ...], accepted: str) -> Iterator[None]:
    """Raise `too_large` if the block lacks memory of the device."""
    try:
        yield
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        raise too_large(shape, describe(device), accepted) from error


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Compute products of float32 on a CUDA GPU without TF32, whose 10 bits could turn a label; slower, as on a CPU."""
    if device.type != "cuda":
        yield
        return
    parts = torch.backends.cudnn.rnn, torch.backends.cudnn.conv  # type: ignore[attr-defined]  # of PyTorch's stubs
    before, products = [part.fp32_precision for part in parts], torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = "tf32" in before
        for part, value in zip(parts, before, strict=True):
            if part.fp32_precision != value:
                part.fp32_precision = value


def announce(device: torch.device, asked: str) -> None:
    """Print, once in a process, which GPU is taken, or why `auto` does not take the one that is here; else nothing."""
    if device != CPU:
        note(f"device: {describe(device)}")
    elif asked == "auto":
        note(unused_gpu())


@cache
def note(text: str | None) -> None:
    """Print a line to the standard error output, once in a process."""
    if text:
        print(text, file=sys.stderr, flush=True)
