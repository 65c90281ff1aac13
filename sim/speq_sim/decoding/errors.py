"""The error of models that cannot be read or run."""

__all__ = ["ModelError"]


class ModelError(ValueError):
    """A missing file, tensor or setting, or a wrong one. The message names it and the mend."""
