# Everything a user or CI types. Each target brings what it needs: uv, then the locked environment.
# `make` alone lists the targets.

UV_VERSION := 0.13.9
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
export SIGMALAB_HOME ?= $(CURDIR)/.sigmalab

.DEFAULT_GOAL := help
.PHONY: help demo serve test simulate mutants test-lowest lint types check vendor clean

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.synced  ## Run the example experiment, start to verdict (a few minutes on a laptop).
	@$(BIN)/sigmalab demo

serve: .venv/.synced  ## Start the service with all it needs; Ctrl-C stops it.
	@$(BIN)/sigmalab serve

# More than cores: tests that start servers mostly wait. tests/conftest.py says what runs beside what.
WORKERS ?= 3
# Hundreds of child processes import the project: compiled once, where a variable of the user's says never. Each computes
# on one thread: with more processes than cores, threads wait for each other's turn (1.9 times the CPU time).
test: .venv/.synced  ## Run all tests.
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder \
		--durations=25 --durations-min=5

# A failing seed is printed as the line that replays it.
SEED ?= 0
SCHEDULES ?= 1000
simulate: .venv/.synced  ## Play schedules of faults on a virtual clock (SEED=, SCHEDULES=).
	$(BIN)/python -m tests.simulation --seed $(SEED) --schedules $(SCHEDULES) $(if $(WRITE),--write)

mutants: .venv/.synced  ## Take out one precaution after another: does a schedule notice?
	$(BIN)/python -m tests.simulation --mutants --seed $(SEED) --schedules $(SCHEDULES) $(if $(WRITE),--write)

# All else as locked; sympy and what CUDA brings are torch's own choice.
LOWEST := .venv-lowest
LOWEST_TORCH = $(shell sed -n 's/^ *"\(torch\|torchvision\)>=\([0-9.]*\)",$$/\1==\2/p' pyproject.toml)
test-lowest: $(if $(filter .tools/%,$(UV)),.tools/bin/uv)  ## Train with the lowest torch (downloads some 3 GB).
	$(UV) venv --quiet --clear $(LOWEST)
	$(UV) export --quiet --frozen --all-groups --no-hashes --no-emit-project | \
		grep -vE '^(torch|torchvision|triton|sympy|nvidia-|cuda-)' > $(LOWEST)/constraints.txt
	$(UV) pip install --quiet --python $(LOWEST) --constraint $(LOWEST)/constraints.txt $(LOWEST_TORCH) --editable . --group dev
	$(LOWEST)/bin/pytest -m torch_oldest -n $(WORKERS) tests/trainers

lint: .venv/.synced  ## Check style, layers, manifests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/check.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/compose.gpu.yaml
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/kubernetes-validate --quiet --strict $(addprefix deploy/kubernetes/,storage.yaml postgresql.yaml mlflow.yaml service.yaml)

types: .venv/.synced  ## Check types.
	$(BIN)/mypy

check: lint types test  ## All that CI checks.

vendor:  ## Fetch the browser libraries anew (needs npm).
	@$(PYTHON) api/pages/libraries/vendor.py

clean:  ## Remove the environment, the tools and the demo's state.
	rm -rf .venv $(LOWEST) .tools .sigmalab

# The stamp is newer than the lock file when the environment holds what the lock file says.
.venv/.synced: pyproject.toml uv.lock $(if $(filter .tools/%,$(UV)),.tools/bin/uv)
	@echo "Installing the locked environment into .venv (about 6 GB, most of it torch; once)"
	$(UV) sync --frozen --compile-bytecode
	@touch $@

# A virtual environment for uv alone works where the system's Python refuses `pip install`; where Debian split
# `venv` off, pip's --target does.
.tools/bin/uv:
	@echo "Installing uv $(UV_VERSION) into .tools"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sigmalab needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)"; exit 1; }
	@rm -rf .tools
	@{ $(PYTHON) -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip install --quiet uv==$(UV_VERSION); } || \
	 { rm -rf .tools; $(PYTHON) -m pip install --quiet --target .tools uv==$(UV_VERSION); } || \
	 { rm -rf .tools; echo "Neither venv nor pip works in $(PYTHON). On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@
