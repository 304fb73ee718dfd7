"""Options of the server: its address, its workers and its limits."""

import ipaddress
import os
from dataclasses import dataclass, fields

from unroll.checks import check_least

TOKEN = "UNROLL_SERVE_TOKEN"


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens, how many processes answer, and what it refuses.

    Args:
        host: address to listen at.
        port: 0 lets the system choose one.
        workers: processes that answer, each with its own copy of the model.
        poll: seconds between two looks at whether the model has changed.
        drain: seconds that requests have to finish when the server stops.
        batch_texts: maximum number of texts that the model reads at once.
        batch_tokens: maximum number of tokens (estimated) that the model reads at once; a longer text is read alone.
        max_body: bytes of a request's body.
        max_texts: texts of a request.
        max_tokens: tokens of a text.
        max_characters: characters of a text.
        max_queue: tokens (estimated) that wait in a worker for the model; more are answered with status 503.
        max_connections: open connections of a worker.
        timeout: seconds that a client has to send a request, or to take its answer.
        keep_alive: seconds that a connection may stay open between two requests.

    Raises:
        ValueError: a number is too small, or no such port.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    poll: float = 5.0
    drain: float = 30.0
    batch_texts: int = 64
    batch_tokens: int = 8192
    max_body: int = 1 << 20
    max_texts: int = 1000
    max_tokens: int = 5000
    max_characters: int = 100_000
    max_queue: int = 200_000
    max_connections: int = 1000
    timeout: float = 20.0
    keep_alive: float = 75.0

    def __post_init__(self) -> None:
        for field in fields(self):
            name = f"--{field.name.replace('_', '-')}"
            if field.type is float:
                value = getattr(self, field.name)
                if not 0 < value < 1e6:
                    raise ValueError(f"{name}={value}; accepted: more than 0 seconds")
            elif field.type is int:
                check_least(int(field.name != "port"), **{name: getattr(self, field.name)})
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
