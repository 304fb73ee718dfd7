import pytest

from unroll.inference.server.options import TOKEN, ServerOptions, token_of_environment


@pytest.mark.parametrize(
    ("name", "value"), [("workers", 0), ("port", -1), ("port", 65536), ("timeout", 0.0), ("max_body", 0)]
)
def test_a_number_out_of_range_is_named_as_its_flag(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"--{name.replace('_', '-')}={value}; accepted"):
        ServerOptions(**{name: value})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    ServerOptions(host=host).check_exposure(None, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_other_addresses_need_a_token_or_the_word_insecure(host: str) -> None:
    options = ServerOptions(host=host)

    options.check_exposure("a secret word", insecure=False)
    options.check_exposure(None, insecure=True)
    with pytest.raises(ValueError, match=rf"{TOKEN}.*--insecure"):
        options.check_exposure(None, insecure=False)


@pytest.mark.parametrize("token", ["", "short", "white space inside", "ümläute überall", "line\nfeeds"])
def test_a_token_that_no_header_can_carry_or_that_is_short_is_an_error(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(ValueError, match="accepted: 8 or more"):
        token_of_environment()


def test_without_the_variable_there_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    assert token_of_environment() is None
