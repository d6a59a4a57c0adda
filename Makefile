# `make help` lists the targets. All of them need only Python >= 3.11, a C++ compiler, make and perl; everything
# else goes into .venv at the versions in .ci/constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What each target installs is an extra of pyproject.toml; a stamp records that it is there and up to date.
RUN := $(VENV)/.installed-run
BOARDS := $(VENV)/.installed-boards
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
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
# The test plans that a campaign is about, all of them by default: `make mutation BLOCK="framer deframer"`.
BLOCK ?=
CAMPAIGN_ARGS ?=
CAMPAIGN := $(BIN)/python -W ignore -m verif.campaigns

.PHONY: help demo quick test test-long boards lint docs transcript screenshots site verify gates mutation coverage soak clean
.DEFAULT_GOAL := help

help: ## - | Show this list; the times are those of two cores, installation apart
	@awk -F ' *## *| *[|] *' '/^[a-z-]+:.* ## / {sub(/:.*/, "", $$1); printf "  %-12s %-7s %s\n", $$1, $$2, $$3}' $(MAKEFILE_LIST)

demo: $(if $(GATES),$(BOARDS),$(RUN)) ## 1 min | Run the whole chain: a seal is opened and attacked; GATES=up5k for its gates
	@$(if $(GATES),$(BIN)/meterseal board netlist $(GATES) $(if $(FROM),--from-$(FROM)) -o $(NETLIST))
	@$(BIN)/meterseal demo $(if $(GATES),--netlist $(NETLIST)) $(DEMO_ARGS)

# What has to be right everywhere, and those blocks of the chip whose tests take a few seconds.
QUICK = project host/domain host/protocols host/store host/i18n host/io $(QUICK_BLOCKS:%=blocks/test_%.py)
QUICK_BLOCKS = bus_access deframer event_queue firmware_calendar firmware_main framer loop password reporter \
	sense_flapping sense_sealing slave spi status_leds timing
quick: $(DEV) ## 1 min | Run the tests that a change is most likely to fail
	@$(BIN)/pytest $(PARALLEL) -q -m "not long and not boards" $(QUICK:%=verif/%) $(TEST_ARGS)

test: $(DEV) ## 12 min | Run the tests that every change must pass, with coverage of the code
	@$(BIN)/pytest $(PARALLEL) -m "not long and not boards" --cov --cov-report=term:skip-covered $(TEST_ARGS)

test-long: $(DEV) ## 15 min | Run the tests and proofs that are too long for `make test`
	@$(BIN)/pytest $(PARALLEL) -m long $(TEST_ARGS)

lint: $(DEV) ## 1 min | Check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

boards: $(DEV) ## 1 min | Build bitstreams for a UP5K and an HX1K, within their budgets
	@$(BIN)/pytest -m boards verif/boards $(TEST_ARGS)

docs: $(DEV) ## 1 min | Write the generated parts of the documents anew
	@METERSEAL_UPDATE_DOCS=1 $(BIN)/pytest -q verif/project

transcript: $(DEV) ## 1 min | Play the demo and write its transcript, docs/demo.md, anew
	@$(BIN)/python -m verif.project.transcript

screenshots: $(RUN) ## 1 min | Play the demo and take the pictures in docs/images anew; one needs Chromium
	@$(BIN)/python docs/site/screenshots.py

site: $(DOCS) ## 1 min | Build the documents and the API reference into build/site
	@# The theme's makers announce a successor at each build.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "meterseal: open build/site/index.html; search works from $(BIN)/python -m http.server -d build/site"

verify: $(DEV) ## 45 min | Run every proof and campaign, and write their results into the documents
	@$(CAMPAIGN).verify

gates: $(DEV) ## 6 min | Run the tests of each block on its netlist; BLOCK="framer deframer" for some
mutation: $(DEV) ## 20 min | Run mutants of each block against its tests and proofs; BLOCK=... for some
coverage: $(DEV) ## 4 min | Count the branches and bits of each block that its tests reach; BLOCK=... for some
gates mutation coverage:
	@$(CAMPAIGN).$@ $(CAMPAIGN_ARGS) $(BLOCK)

soak: $(DEV) ## 1 min | Run chips through a random life; CAMPAIGN_ARGS="--seconds 600 --seed 2" for another
	@$(CAMPAIGN).soak $(CAMPAIGN_ARGS)

clean: ## - | Remove .venv and build
	rm -rf $(VENV) build

# An extra is installed when its stamp is missing, or older than what is pinned. Each names the download that an
# empty .venv would need.
EXTRA_run :=
EXTRA_boards := [boards]
EXTRA_dev := [dev]
EXTRA_docs := [docs]
WHAT_run := what the demo runs on (50 MB to download)
WHAT_boards := the demo and the FPGA tools (up to 165 MB to download)
WHAT_dev := the demo, the FPGA tools, tests and proofs (up to 245 MB to download)
WHAT_docs := what builds the documentation site (up to 95 MB to download)
# Stamps of the extras that are part of another one.
WITH_boards := $(RUN)
WITH_dev := $(RUN) $(BOARDS)
WITH_docs := $(RUN)

$(VENV)/.installed-%: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("meterseal needs Python >= 3.11, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "meterseal: installing into $(VENV), at pinned versions: $(WHAT_$*)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.$(EXTRA_$*)'
	@touch $@ $(WITH_$*)
