import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from unroll.config.compose import override


@pytest.mark.parametrize("text", ["gru-1", "gru-1 #0", "it's", "a=b, c", "back\\", "{x} [y]", "null", "1"])
def test_an_option_gives_the_very_text(text: str) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override("run_name", text)])
    assert (parsed.key_or_group, parsed.value()) == ("run_name", text)
