"""The one error of the number format."""

__all__ = ["FormatError"]


class FormatError(ValueError):
    """An illegal table, word, tensor or packed file. The message names the thing and the mend."""
