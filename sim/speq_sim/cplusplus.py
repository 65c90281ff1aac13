"""Shared libraries from C++, kept by what they were made from."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CompilerError", "compile_shared", "compiler", "library_path"]


class CompilerError(RuntimeError):
    """There is no C++ compiler, or it fails."""


def library_path(build_dir: Path, name: str, text: str) -> Path:
    """Where the library made from `text` is kept: another text has another path."""
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return build_dir.resolve() / f"{name}-{key}.so"


def compiler() -> str:
    """The C++ compiler: what CXX names, else the system's.

    Raises
    ------
    CompilerError
        If there is none.
    """
    found = next(filter(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")), None)
    if found is None:
        raise CompilerError("no C++ compiler was found: install g++, or set CXX to one")
    return found


def compile_shared(source: Path, library: Path, options: Sequence[str], what: str) -> None:
    """Compile one C++ file to a shared library, which appears when it is complete.

    Parameters
    ----------
    source, library : Path
        From and to.
    options : sequence of str
        Optimisation, include folders, definitions.
    what : str
        What an error is said to be about.

    Raises
    ------
    CompilerError
        If there is no compiler, or it fails.
    """
    program = compiler()
    partial = library.with_suffix(f".{os.getpid()}.partial")
    command = [program, "-std=c++17", *options, "-shared", "-fPIC", str(source), "-o", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise CompilerError(f"{program} failed on {what}: {done.stderr[-2000:]}")
    partial.replace(library)
