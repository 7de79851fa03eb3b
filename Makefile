# Everything from a machine with Python 3.11 or newer, make and git: `make run`, `make test`.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(name))))
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup run test test-all coverage check results docs pages clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing what requirements.lock pins; the first time takes minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@test -f "$(HOME)/.asv-machine.json" || $(BIN)/asv machine --yes >/dev/null  # else its first run asks
	@touch $@

# ARGS are handed on: make run ARGS='--suite standard'
run: $(READY)
	@$(BIN)/sparkscale run $(ARGS)

PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 30

# Less the tests marked `slow`, of half a minute and more each.
test: $(READY)
	@$(PYTEST) -m "not slow" $(ARGS)

# What CI runs.
test-all: $(READY)
	@$(PYTEST) $(ARGS)

# Which lines and branches the tests run, child processes included. ARGS='-m "not slow"' leaves out the slow tests.
coverage: $(READY)
	@$(PYTEST) --cov --cov-report term:skip-covered $(ARGS)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy docs/tools
	@$(BIN)/lint-imports

# Writes the measured tables and figures of the documentation from docs/results/records.
results: $(READY)
	@$(BIN)/python docs/tools/results.py

# The documentation as a site, in site/: open site/index.html. A broken link is an error.
docs: $(READY)
	@$(BIN)/python docs/tools/commands.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What asv's pages load from elsewhere, for `asv publish` to put beside them, and what checks the pages of reports.
# Needs npm.
pages:
	@npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix .asv/pages jquery@3.3.1 flot@0.8.3 \
		flot-orderbars@1.0.0 stupid-table-plugin@1.1.3 blueimp-md5@2.19.0 bootstrap@3.1.1 axe-core@4.10.3

# Records in results/ stay.
clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .asv *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
