"""Processes that are forked from one that has imported what they need, because importing takes seconds."""

import multiprocessing.forkserver
from multiprocessing.context import ForkServerContext
from typing import Any


def forking(*modules: str) -> ForkServerContext:
    """A context whose processes begin with these modules imported.

    There is one fork server per process. One that was started with other modules is ended, or each new process would
    import these modules again.
    """
    server: Any = multiprocessing.forkserver._forkserver
    if server._preload_modules != list(modules):
        server._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context
