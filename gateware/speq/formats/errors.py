"""The errors of the number format."""

__all__ = ["FormatError", "InexactError", "QuantisationError"]


class FormatError(ValueError):
    """An illegal table, word, tensor or packed file. The message names the thing and the mend."""


class InexactError(FormatError):
    """No power of two makes a BF16 or FP32 tensor exact in FP16. The message says why, alone."""


class QuantisationError(FormatError):
    """INT4 with FP16 scales cannot stand for a tensor. The message says why, alone."""
