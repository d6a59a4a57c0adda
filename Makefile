# Two commands: `make demo` shows the whole chain, `make test` checks it. Both need only Python >= 3.11,
# a C++ compiler, make and perl; everything else goes into .venv at the versions in .ci/constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_ARGS ?=
# The chip's gates on an FPGA instead of its source: `make demo GATES=up5k`.
GATES ?=
NETLIST := build/gates/$(GATES).v
# `make demo GATES=up5k FROM=bitstream` reads them back from a finished bitstream; needs icebox_vlog.
FROM ?=
TEST_ARGS ?=
# Tests go to whichever core is free; `make test CORES=0` runs them one after the other, in one process.
CORES ?= auto
PARALLEL := -n $(CORES) --dist worksteal

.PHONY: demo test test-long boards verify lint clean
.DEFAULT_GOAL := test

demo: $(STAMP)
	@$(if $(GATES),$(BIN)/meterseal board netlist $(GATES) $(if $(FROM),--from-$(FROM)) -o $(NETLIST))
	@$(BIN)/meterseal demo $(if $(GATES),--netlist $(NETLIST)) $(DEMO_ARGS)

test: $(STAMP)
	@$(BIN)/pytest $(PARALLEL) -m "not long and not boards" --cov --cov-report=term:skip-covered $(TEST_ARGS)

test-long: $(STAMP)
	@$(BIN)/pytest $(PARALLEL) -m long $(TEST_ARGS)

boards: $(STAMP)
	@$(BIN)/pytest -m boards verif/boards $(TEST_ARGS)

verify: $(STAMP)
	@$(BIN)/python -m verif.campaigns.verify

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) build

$(STAMP): pyproject.toml .ci/constraints.txt
	@echo "meterseal: installing the pinned dependencies into $(VENV) (first run, or they changed)"
	@$(PYTHON) -c 'import sys; sys.exit("meterseal needs Python >= 3.11, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@
