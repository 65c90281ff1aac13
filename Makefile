# make run    set up, then take hw/tiny.toml from weights to verified Verilog, area and a report
# make test   set up, then the whole fast test suite
# make slow   the tests that take longer
# make clean  remove what was generated; make distclean also removes .venv

PYTHON ?= python3
DESIGN ?= hw/tiny.toml
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := gateware sim tests scripts

# The same bytes from every run, and no more than two busy cores under pytest's two workers.
export PYTHONHASHSEED := 0
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help run test slow check simulator clean distclean

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

run: $(VENV)/installed
	@$(PY) scripts/run_all.py $(DESIGN)

test: $(VENV)/installed-dev simulator check
	@$(PY) -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=90

slow: $(VENV)/installed-dev simulator
	@$(PY) -m pytest -m slow

check: $(VENV)/installed-dev
	@$(PY) -m ruff check --no-cache $(SOURCES)
	@$(PY) -m ruff format --no-cache --check $(SOURCES)

# Icarus Verilog and libpython through apt where that is allowed, else what pip installed.
simulator: $(VENV)/installed-dev
	@sh .ci/install-simulator $(PYTHON)
	@$(PY) -c "from speq_sim.benches.simulators import describe; print('Simulator:', describe())"

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is missing or older than 3.11: install Python 3.11," \
	         "or name another with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot create virtual environments:" \
	         "install that part of it (apt-get install python3-venv)" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml
	@echo "Installing the Python packages (half a minute to two)"
	@$(call pip_install,.)
	@touch $@

$(VENV)/installed-dev: $(VENV)/created pyproject.toml
	@echo "Installing the Python packages for tests (half a minute to two)"
	@$(call pip_install,.[dev])
	@touch $@ $(VENV)/installed

# pip shows its own progress on a terminal, and would fill a log file line by line.
pip_install = quiet=--quiet; test -t 1 && quiet=; \
  $(PY) -m pip install --disable-pip-version-check $$quiet -e '$(1)'

clean:
	@rm -rf build .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV)
