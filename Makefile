# run, test, lint, bench: what README.md and .ci/run call. Everything happens in $(VENV).

VENV   ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
# The constraints also hold for the environment in which pip builds our own package.
export PIP_CONSTRAINT := constraints.txt
# Twice quiet: errors only.
INSTALL := $(BIN)/python -m pip install --quiet --quiet

# A stamp is newer than what it was made from, so pip runs once and later calls need no network.
MADE_FROM := pyproject.toml constraints.txt
RUN   := $(VENV)/.installed-run
TEST  := $(VENV)/.installed-test
LINT  := $(VENV)/.installed-lint
BENCH := $(VENV)/.installed-bench
# Two processes with one thread each; a browser's waits want the machine for themselves.
SHARED := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
PAGES  = $(sort $(wildcard app.py pages/*/*.py))

.PHONY: help run test test-fast lint bench bench-why rates screenshots wheel clean

help:
	@echo "make run | test | test-fast | lint | bench | bench-why | rates | screenshots | wheel | clean"

run: $(RUN)
	$(BIN)/python -m diagnostics.loaders --if-stale
	$(BIN)/oversure app

test: $(TEST)
	@sh scripts/install_browser.sh
	$(SHARED) -m "not browser"
	$(BIN)/python -m pytest -m browser

test-fast: $(TEST)
	$(SHARED) -m "not slow and not browser"

lint: $(LINT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy diagnostics $(PAGES)

# Times; some parts alone: make bench PART="attribution serving".
bench: $(BENCH)
	@sh scripts/install_browser.sh
	@$(BIN)/python -m tests.benchmarks speed $(PART)

# Error rates and quality, which do not depend on the clock; make rates PART=trust.
rates: $(BENCH)
	@sh scripts/install_data.sh
	@$(BIN)/python -m tests.benchmarks rates $(PART)

# Whether `why` names causes that were planted; docs/why-benchmark.md says what that means.
bench-why: $(TEST)
	@sh scripts/install_data.sh
	@$(BIN)/python -m benchmarks.plants --record

screenshots: $(TEST)
	@sh scripts/install_browser.sh
	$(BIN)/python scripts/screenshots.py

wheel: $(LINT)
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf dist build out .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Oversure needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(RUN): $(MADE_FROM) | $(BIN)/python
	$(INSTALL) --editable '.[onnx,keras,huggingface]'
	@touch $@

$(TEST): $(RUN) tests/real_inputs.txt
	$(INSTALL) --editable '.[test]'
	$(INSTALL) --no-deps --requirement tests/real_inputs.txt
	@touch $@

$(LINT): $(RUN)
	$(INSTALL) --editable '.[lint]'
	@touch $@

$(BENCH): $(TEST)
	$(INSTALL) --editable '.[bench]'
	@touch $@
