"""The library ``tokenizers``, which only some vocabularies need."""

import importlib
from types import ModuleType

from speq_sim.decoding.errors import ModelError

__all__ = ["import_tokenizers"]


def import_tokenizers() -> ModuleType:
    """The library.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    try:
        return importlib.import_module("tokenizers")
    except ImportError:
        raise ModelError(
            "the model's texts need the package tokenizers, which is missing: install the extra, "
            "pip install -e .[models]"
        ) from None
