# Everything runs in .venv, which `make setup` builds from requirements.lock and keeps up to date.

VENV  := .venv
BIN   := $(VENV)/bin
TESTS ?= tests
STAMP := $(VENV)/.installed
AXE   := tests/browser/axe/node_modules/axe-core/axe.min.js
XTERM := services/control/dashboard/static/xterm/xterm.mjs
PYTEST := $(BIN)/pytest -n auto --dist loadgroup

# Programs start by the hundred in the tests: with this set, each would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-slow test-all check bench format docs lock generated clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) $(XTERM) ## build .venv (needs Python 3.11 or newer); quick when nothing changed

demo: setup ## run tasks that publish, hang and heal, wait, are cancelled, die and are redriven; check that all of it happened
	$(BIN)/sluicegate dev --demo

dev: setup ## run everything on this machine, on one port, until Ctrl-C
	$(BIN)/sluicegate dev

test: setup $(AXE) ## run the tests, without the slow ones (TESTS=tests/unit for a part)
	$(PYTEST) -m "not slow" $(TESTS)

test-slow: setup $(AXE) ## run the tests that `make test` leaves out: drills, corpora and long walks
	$(PYTEST) -m slow $(TESTS)

test-all: setup $(AXE) ## run every test
	$(PYTEST) $(TESTS)

check: setup ## lint, format, types, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vulture

bench: setup ## measure the queue on this machine
	$(BIN)/python -m benchmarks

format: setup ## lay out the code, mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generated: setup ## write the files that are made from the code (.env.example, docs/reference/settings.md)
	$(BIN)/python -m docs.generate

docs: setup ## build the site of the documentation in out/site, and fail for a warning
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d out/doctrees -c docs . out/site

lock: setup ## resolve the dependencies into requirements.lock, keeping versions that still fit
	$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
	    --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra tracing --constraint requirements.lock --generate-hashes --universal --python-version 3.11 \
	    --no-emit-index-url --no-header --no-annotate --quiet --output-file deploy/runtime.lock
	printf 'hatchling\neditables\n' | $(BIN)/uv pip compile - --constraint requirements.lock --generate-hashes --universal \
	    --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet --output-file deploy/build.lock

clean: ## remove what was built and measured, not the data of `make dev`
	rm -rf $(VENV) dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(XTERM): services/control/dashboard/xterm/package-lock.json
	@.ci/xterm

$(AXE): tests/browser/axe/package-lock.json
	@.ci/axe

$(STAMP): requirements.lock pyproject.toml
	@.ci/venv $(VENV)
	@.ci/install $(VENV)
	@touch $@
