"""Parse a Liberty file into groups and attributes, as far as they are written in it."""

import dataclasses
import re
from collections.abc import Iterator

__all__ = ["Group", "parse_group", "without_comments"]


@dataclasses.dataclass
class Group:
    """A group: ``kind (argument) { ... }``.

    Parameters
    ----------
    kind, argument : str
        As in ``pin (A)``.
    attributes : dict of str to str
        Simple and complex attributes, without quotation marks.
    children : list of Group
        The groups in it, in their order.
    """

    kind: str
    argument: str
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    children: list["Group"] = dataclasses.field(default_factory=list)

    def all(self, *kinds: str) -> Iterator["Group"]:
        """The groups of some kinds in it."""
        return (child for child in self.children if child.kind in kinds)


_TOKEN = re.compile(
    r"\s*(?:(?P<end>\})|(?P<word>\w+)\s*(?:\((?P<argument>[^()]*)\)\s*(?P<open>\{)?|"
    r':\s*(?P<value>"[^"]*"|[^;\n}]+))\s*;?)\s*;?'
)


def _tokens(text: str, start: int) -> Iterator[re.Match[str]]:
    while match := _TOKEN.match(text, start):
        yield match
        start = match.end()


def _parse(tokens: Iterator[re.Match[str]]) -> Iterator[Group]:
    for token in tokens:
        if token["end"]:
            return
        if token["open"]:
            group = Group(token["word"], token["argument"].strip().strip('"'))
            for part in _parse(tokens):
                if part.kind.startswith("="):
                    group.attributes[part.kind[1:]] = part.argument
                else:
                    group.children.append(part)
            yield group
        else:
            value = token["argument"] if token["value"] is None else token["value"]
            yield Group(f"={token['word']}", value.strip().strip('"'))


def parse_group(text: str, start: int) -> Group:
    """The group that begins at a place of a text without comments."""
    return next(_parse(_tokens(text, start)))


def without_comments(text: str) -> str:
    """A Liberty text without comments and continued lines."""
    return re.sub(r"/\*.*?\*/|\\\n", " ", text, flags=re.DOTALL)
