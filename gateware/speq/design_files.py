"""Design points by name: presets, and the TOML files of ``hw/``.

Pure Python, like :mod:`speq.parameters`.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speq.parameters import PRESETS, ParameterError, Parameters

__all__ = ["load"]


def load(source: str | Path, overrides: Mapping[str, str] | None = None) -> Parameters:
    """Read a design point from a TOML file or a preset name.

    Parameters
    ----------
    source : str or Path
        Path of a design file, or the name of a preset.
    overrides : mapping of str to str
        ``--set key=value`` pairs; values are read as TOML, and bare words as text.

    Raises
    ------
    ParameterError
        If the file is missing or malformed, or the design point is illegal.
    """
    path = Path(source)
    if str(source) in PRESETS:
        parameters = PRESETS[str(source)]
    elif path.suffix == ".toml":
        parameters = Parameters.from_mapping({"name": path.stem} | _read_toml(path))
    else:
        raise ParameterError(
            f"design {str(source)!r} is neither a preset ({', '.join(PRESETS)}) nor a .toml file: "
            f"name one of them"
        )
    changes = {key: _toml_value(text) for key, text in (overrides or {}).items()}
    return parameters.replace(**changes) if changes else parameters


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"design file {path} does not exist: check the path") from None
    except OSError as error:
        raise ParameterError(f"design file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"design file {path} is not valid TOML: {error}") from None


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
