# Everything a person types: make demo, make test. The rest is for those who change Gimbal.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := tests/faces/mlflow/judges
JUDGES := $(patsubst $(PINS)/%.txt,.judges/%/.ready,$(wildcard $(PINS)/*.txt))
APART := install --quiet --disable-pip-version-check --no-deps --no-compile
CHECK ?=
NAME ?= change

.PHONY: help setup demo test lint types layers unit bench generate migration screenshots clean

help:                    ## Show what there is
	@grep -E '^[a-z]+: *.*## ' Makefile | sed -E 's/: .*## /\t/' | expand -t 14

setup: $(VENV)/.ready    ## Make the virtual environment and install everything

# The stamp depends on what is installed, so that a changed pin is installed anew and nothing else is.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Gimbal needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.ready     ## Start Gimbal and turn both rings; CHECK=1 exits afterwards
	$(BIN)/python -m demo $(if $(CHECK),--check)

test: lint types layers unit  ## Everything that must pass

lint: $(VENV)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.ready
	$(BIN)/pyright

layers: $(VENV)/.ready
	$(BIN)/lint-imports

unit: $(VENV)/.ready $(VENV)/.browser $(JUDGES)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -m alone

# Browser tests drive the system's Chromium; where none can be installed they are counted as skipped.
$(VENV)/.browser: $(VENV)/.ready
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 \
	  || { command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] \
	       && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || echo "no Chromium here and none could be installed: browser tests will be skipped"
	@touch $@

# Clients of MLflow and training libraries that judge us, apart from our own packages; where they cannot be installed their
# tests are counted as skipped. `frameworks` is an environment, each `mlflow-*` one version of MLflow to put before it.
.judges/frameworks/.ready: $(PINS)/frameworks.txt
	@rm -rf $(@D)
	@{ $(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip $(APART) -r $< && touch $@; } \
	  || { rm -rf $(@D); echo "the packages of $< could not be installed: the tests that need them will be skipped"; }

.judges/mlflow-%/.ready: $(PINS)/mlflow-%.txt | $(VENV)/.ready
	@rm -rf $(@D)
	@{ $(BIN)/python -m pip $(APART) --target $(@D) -r $< && touch $@; } \
	  || { rm -rf $(@D); echo "the packages of $< could not be installed: the tests that need them will be skipped"; }

bench: $(VENV)/.ready    ## Measure the bars and print them with their limits
	$(BIN)/python -m bench

generate: $(VENV)/.ready ## Write the SDK, the command list and the reference from the operation table
	$(BIN)/python -m gimbal.faces.client.generate
	$(BIN)/python docs/generate.py

migration: $(VENV)/.ready ## Write a catalog migration for changed tables: NAME=what
	$(BIN)/python -m gimbal.faces.server.migrations.generate $(NAME)

screenshots: $(VENV)/.ready $(VENV)/.browser ## Take the pictures of the docs while the demo is up
	$(BIN)/python docs/screenshots.py

clean:                   ## Remove the virtual environments and the demo's data
	rm -rf $(VENV) .judges .gimbal
