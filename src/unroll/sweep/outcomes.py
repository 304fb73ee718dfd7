"""How a job ends, other than well."""


class JobFailed(Exception):
    """It failed, and has said why; the message is what it said."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a scheduler: the same as Ctrl-C, but for the status."""


class Pruned(Exception):
    """Its sweep gave it up: the scores so far leave no hope."""
