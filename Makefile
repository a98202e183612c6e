# Thin on purpose: every target is one call of the amxfp4 command or of pytest, and the logic is
# Python. `make sim` and `make test` set up what they need, without root, inside .venv.

PYTHON ?= python3
JOBS ?= auto
ARGS :=
SWEEP ?= synth/plans/sweep.toml
BOARD ?= ulx3s

# What the shell holds for other projects does not choose what is tested here; nor does an ARGS of its
# own, as it would with ?=.
unexport PYTEST_ADDOPTS PYTEST_PLUGINS
# Hundreds of processes would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal
# A stamp carries the folder it was made in: a copied or moved checkout sets itself up again
# instead of running the code of the old place.
PLACE := $(shell pwd | cksum | cut -d ' ' -f 1)
READY := .venv/ready-$(PLACE)
READY_DEV := .venv/ready-dev-$(PLACE)
READY_FPGA := .venv/ready-fpga-$(PLACE)
READY_DOCS := .venv/ready-docs-$(PLACE)
READY_LLM := .venv/ready-llm-$(PLACE)
INPUTS := pyproject.toml setup.py constraints.txt amxfp4/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help setup verilog sim test synth sweep accuracy fpga program lint type docs wheel bench nightly clean

help: ## list the targets
	@echo 'make TARGET [ARGS="further options"], where TARGET is one of'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{printf "%-10s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with all that sim and test need, or say what is missing

verilog: $(READY) ## write the units of the default preset to build/verilog
	@$(BIN)/amxfp4 verilog all --out build/verilog $(ARGS)

sim: $(READY) ## simulate: testbenches, then real tensors bit for bit against golden
	@$(BIN)/amxfp4 sim $(ARGS)

test: $(READY) ## run every test on all cores, e.g. make test ARGS="-k quantizer"
	@$(PYTEST) $(ARGS)

synth: $(READY) ## synthesize: what the units cost, e.g. make synth LIBERTY=cells.lib
	@$(BIN)/amxfp4 synth $(ARGS)

sweep: $(READY) ## synthesize every combination of options in a file, SWEEP=my.toml
	@$(BIN)/amxfp4 synth sweep $(SWEEP) $(ARGS)

accuracy: $(READY_LLM) ## measure what formats cost a language model, in nats per token
	@$(BIN)/amxfp4 accuracy $(ARGS)

fpga: $(READY_FPGA) ## build a bitstream, e.g. make fpga BOARD=icebreaker
	@$(BIN)/amxfp4 fpga build $(BOARD) $(ARGS)

program: $(READY) ## load it into the board, e.g. make program BOARD=icebreaker
	@$(BIN)/amxfp4 fpga program $(BOARD) $(ARGS)

lint: $(READY_DEV) ## check style, formatting and import rules
	@$(BIN)/amxfp4 dev lint $(ARGS)

type: $(READY_DEV) ## check types
	@$(BIN)/amxfp4 dev type $(ARGS)

docs: $(READY_DOCS) ## build the site of the documents in build/docs
	@$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/doctrees . build/docs $(ARGS)
	@echo 'Written: build/docs/index.html'

wheel: $(READY) ## build what pip installs, in build/dist
	@$(BIN)/python -m build --no-isolation --outdir build/dist $(ARGS)

bench: $(READY) ## measure the speed of golden and of verification
	@$(BIN)/amxfp4 dev bench $(ARGS)

nightly: $(READY_DEV) ## run every test with a million random blocks per format
	@$(PYTEST) --blocks=1000000 --timeout=7200 -o faulthandler_timeout=9000 $(ARGS)

clean: ## remove what builds and tests leave; .venv stays
	@rm -rf build .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(READY): $(INPUTS)
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo '$(PYTHON) is missing: install Python 3.11 or newer (Debian: sudo apt install python3 python3-venv; Fedora: sudo dnf install python3; macOS: brew install python), or name one with PYTHON=' >&2; exit 2; }
	@$(PYTHON) amxfp4/bootstrap.py --stamp $@

$(READY_DEV): $(READY)
	@$(PYTHON) amxfp4/bootstrap.py --extra dev --stamp $@

$(READY_DOCS): $(READY)
	@$(PYTHON) amxfp4/bootstrap.py --extra docs --stamp $@

$(READY_FPGA): $(READY)
	@$(PYTHON) amxfp4/bootstrap.py --extra fpga --stamp $@

$(READY_LLM): $(READY)
	@$(PYTHON) amxfp4/bootstrap.py --extra llm --stamp $@
