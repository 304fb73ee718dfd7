"""The parser of the console command: errors of one line, the version, and completion in shells."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

SHELLS = ("bash", "fish", "zsh")
# What the shell offers as the value of an argument with this metavar.
_FOLDERS, _FILES = ("MODEL", "FOLDER"), ("FILE", "INPUT", "OUTPUT")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with status 2; an unknown option is named with the closest one."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for name in map(_name_of_option, args or ()):
            if name == "--" or (self._subparsers and not name.startswith("-")):
                break  # texts, or what another parser reads
            known = [option for option in self._option_string_actions if option.startswith("--")]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                close = get_close_matches(name, known, n=1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                self.error(f"{name}: no such option{hint}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def _name_of_option(argument: str) -> str:
    return argument.partition("=")[0]


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


class Version(argparse.Action):
    """An option that prints the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from unroll import __version__

        print(f"unroll {__version__}")
        parser.exit()


class Completion(argparse.Action):
    """An option that prints the file by which a shell completes the command.

    Args:
        values: what it offers for arguments, by their name.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, values: dict[str, Sequence[str]], **others: Any
    ) -> None:
        super().__init__(option_strings, dest, **others)
        self._values = values

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, shell: Any, *_: Any) -> NoReturn:
        import shtab

        for action in _all_actions(parser):
            if action.dest in self._values:
                action.choices = self._values[action.dest]
            elif action.metavar in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            elif action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell))
        parser.exit()


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Those of a parser and of the parsers of its subcommands."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                found += _all_actions(subparser)
    return found
