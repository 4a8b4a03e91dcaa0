# Each target makes .venv from the lock file if it is missing. Windows and others without make: see README.md.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage check bench venv lock schema clean

demo: .venv/run  ## a living plant: simulators, broker, history, API, page
	$(BIN)/gateway demo

test: .venv/dev  ## all tests, three files at a time, for they wait more than they compute, the longest first; what a machine lacks is skipped
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

coverage: .venv/dev  ## the same, and which lines no test runs; takes half as long again
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

check: .venv/dev  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/run  ## what it does on this machine, beside the limits
	$(BIN)/gateway bench all

venv: .venv/dev

.venv/run: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv/dev: requirements-dev.lock .venv/run
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@

lock:  ## resolve the lock files anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock
	uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header \
	  -c requirements.lock -o requirements-dev.lock
	uv pip compile -q examples/tryton/requirements.in --universal --python-version 3.11 --generate-hashes --no-header \
	  -o examples/tryton/requirements.lock

schema: .venv/run  ## write the JSON Schema of the configuration
	$(BIN)/gateway check --schema > config/schema.json
	$(BIN)/python -c 'from gateway.bus.asyncapi import text; print(text(), end="")' > docs/asyncapi.yaml

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*
