"""Search spaces from command-line overrides."""

from hydra.core.override_parser.overrides_parser import OverridesParser

from unroll.sweep.space import Space


def space(*overrides: str) -> Space:
    return Space(OverridesParser.create().parse_overrides(list(overrides)))
