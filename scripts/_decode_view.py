"""Text as it is decoded: a live line below it on a terminal, nothing but the text elsewhere."""

import re
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

__all__ = ["LiveView", "PlainView", "View", "view_on", "visible"]

DRAFTED = "green"
"""Style of tokens that were drafted and accepted."""


class View(Protocol):
    """What shows a text that grows."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *what: object) -> None: ...

    def add(self, text: str, drafted: bool) -> None:
        """More text, of tokens that were drafted, or of the target's own."""
        ...

    def status(self, text: str) -> None:
        """What is known so far."""
        ...


class PlainView:
    """Writes the text to standard output as it comes, and nothing else."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        print(flush=True)

    def add(self, text: str, drafted: bool) -> None:
        """Write it."""
        print(text, end="", flush=True)

    def status(self, text: str) -> None:
        """Nothing is shown."""


class LiveView:
    """Shows the text with accepted tokens in green, and the status in a line below it.

    Parameters
    ----------
    console : Console
        A terminal.
    """

    def __init__(self, console: Console) -> None:
        # Only the line under way is drawn anew: what is done scrolls away as any text does.
        self._line = Text()
        self._status = Text()
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *what: object) -> None:
        self._live.update(self._line, refresh=True)
        self._live.stop()

    def add(self, text: str, drafted: bool) -> None:
        """Show it, styled."""
        self._line.append(visible(text), DRAFTED if drafted else None)
        *whole, self._line = self._line.split("\n", allow_blank=True)
        for line in whole:
            self._live.console.print(line)
        self._draw()

    def status(self, text: str) -> None:
        """Show it below."""
        self._status = Text(text, style="dim", no_wrap=True, overflow="ellipsis")
        self._draw()

    def _draw(self) -> None:
        self._live.update(Group(self._line, self._status), refresh=True)


def visible(text: str) -> str:
    """A text whose control characters are shown, so that no model steers the terminal."""
    return re.sub(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f]",
        lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "\ufffd",
        text,
    )


def view_on(console: Console, plain: bool) -> View:
    """The view for a console."""
    return LiveView(console) if console.is_terminal and not plain else PlainView()
