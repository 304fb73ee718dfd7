"""What an MLflow store has registered, for the messages on what it has not. Imports nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Registered:
    """The names of all registered models, and the versions and aliases of one of them; as a text, the message."""

    models: Iterable[str]
    name: str
    versions: Iterable[int]
    aliases: Mapping[str, int]

    def __str__(self) -> str:
        if self.name not in self.models:
            return f"registered models: {', '.join(sorted(self.models)) or 'none'}"
        shown = [f"{it}{self._aliases(it)}" for it in sorted(self.versions)]
        return f"registered versions: {', '.join(shown) or 'none'}"

    def _aliases(self, version: int) -> str:
        own = sorted(alias for alias, number in self.aliases.items() if number == version)
        return f" ({', '.join(own)})" if own else ""

    @property
    def uris(self) -> list[str]:
        """What the versions of the model are called: NAME@ALIAS if any has an alias, or else models:/NAME/VERSION."""
        aliased = [f"{self.name}@{alias}" for alias, number in sorted(self.aliases.items()) if number in self.versions]
        return aliased or [f"models:/{self.name}/{version}" for version in sorted(self.versions)]
