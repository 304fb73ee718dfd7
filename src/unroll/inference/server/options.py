"""Options of the server: its address, its workers and its limits."""

import ipaddress
import os
from dataclasses import dataclass, field, fields
from typing import TypeVar

from unroll.checks import check_choice, check_least
from unroll.hardware import DEVICES

TOKEN = "UNROLL_SERVE_TOKEN"
MEANING = "meaning"  # in the metadata of a field
T = TypeVar("T")


def _option(default: T, meaning: str) -> T:
    """A field of `ServerOptions`."""
    return field(default=default, metadata={MEANING: meaning})


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens, how many processes answer, and what it refuses.

    Each field is an option of ``unroll serve``, with the meaning that ``--help`` prints.

    Raises:
        ValueError: a number is too small, or no such port.
    """

    host: str = _option("127.0.0.1", "address to listen at")
    port: int = _option(8000, "0 for any free port")
    workers: int = _option(1, "processes that answer, each with its own copy of the model")
    device: str = _option("auto", "of a network that is not exported: auto (a GPU if there is one), cpu, cuda, mps")
    poll: float = _option(5.0, "seconds between two looks at whether the model has changed")
    drain: float = _option(30.0, "seconds that requests have to finish when the server stops")
    batch_texts: int = _option(64, "texts that the model reads at once")
    batch_tokens: int = _option(8192, "tokens (estimated) that the model reads at once; a longer text is read alone")
    max_body: int = _option(1 << 20, "bytes of a request's body")
    max_texts: int = _option(1000, "texts of a request")
    max_tokens: int = _option(5000, "tokens of a text")
    max_characters: int = _option(100_000, "characters of a text")
    max_queue: int = _option(200_000, "tokens (estimated) that wait in a worker; beyond, the answer is 503")
    max_connections: int = _option(1000, "open connections of a worker")
    timeout: float = _option(20.0, "seconds to send a request, or to take its answer")
    keep_alive: float = _option(75.0, "seconds that a connection may stay open between two requests")

    def __post_init__(self) -> None:
        for option in fields(self):
            name = f"--{option.name.replace('_', '-')}"
            if option.type is float:
                value = getattr(self, option.name)
                if not 0 < value < 1e6:
                    raise ValueError(f"{name}={value}; accepted: more than 0 seconds")
            elif option.type is int:
                check_least(int(option.name != "port"), **{name: getattr(self, option.name)})
        check_choice("--device", self.device, DEVICES)
        if self.port > 65535:
            raise ValueError(f"--port={self.port}; accepted: 0 to 65535")

    def check_exposure(self, token: str | None, insecure: bool) -> None:
        """Raise ValueError if other machines could use the server without a token, unless that is wanted."""
        if token is None and not insecure and not is_loopback(self.host):
            raise ValueError(
                f"--host={self.host}: other machines could use the server without a token; accepted: a secret in the "
                f"environment variable {TOKEN}, --host=127.0.0.1, or --insecure"
            )


def token_of_environment() -> str | None:
    """The bearer token that requests must carry; raises ValueError if it cannot be one."""
    token = os.environ.get(TOKEN)
    if token is not None and (len(token) < 8 or not token.isascii() or not token.isprintable() or " " in token):
        raise ValueError(f"{TOKEN} has {len(token)} characters; accepted: 8 or more printable ASCII characters")
    return token


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
