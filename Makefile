# Everything runs from .venv, made at the first use from the locked requirements. Once it is there nothing is downloaded.
PYTHON ?= python3
ARGS ?=
N ?= 200
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
UV_LOCK := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--no-annotate --custom-compile-command 'make lock' $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test histories raid kills powercuts chaos writers vanish fuzz lint lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.runtime  ## The whole pipeline against a sandbox Discord, in two minutes (ARGS=--stay keeps it running)
	@$(BIN)/python -m ops demo $(ARGS)

run: .venv/.runtime  ## Every process on this machine; settings from the environment or .env
	@$(BIN)/python -m ops up $(ARGS)

test: .venv/.dev  ## All tests, six files at a time (ARGS=… for pytest)
	@$(BIN)/python -m pytest -n 6 --dist loadfile $(ARGS)

histories: .venv/.dev  ## Attribution against N generated histories of a guild (default 100,000)
	@HISTORIES=$(or $(N),100000) $(BIN)/python -m pytest -q tests/producer/test_attribution_histories.py

raid: .venv/.dev  ## 1,000 joins in ten seconds against a sandbox Discord, with their figures
	@RAID=full $(BIN)/python -m pytest -q tests/producer/test_raid.py

kills: .venv/.dev  ## Kills the producer N times (default 200) at random moments of a guild's history, and judges the logs
	@KILLS=$(N) $(BIN)/python -m pytest tests/producer/test_killed.py --capture=tee-sys

chaos: .venv/.dev  ## Everything goes wrong at once, KILLS=500 kills and JOINS=50000 joins long (SEED=… for the same again)
	@CHAOS_KILLS=$(or $(KILLS),500) CHAOS_JOINS=$(or $(JOINS),50000) CHAOS_SEED=$(or $(SEED),$$(date +%s)) \
		$(BIN)/python -m pytest tests/chaos --capture=tee-sys

vanish: .venv/.dev  ## Kills everything and deletes the log folder N times (N=10) while members join, and judges the logs
	@VANISH=$(N) $(BIN)/python -m pytest tests/ops/test_vanishing_disk.py --capture=tee-sys

writers: .venv/.dev  ## Two producers and two consumers of each sink at once, for a minute each
	@WRITERS_SECONDS=60 $(BIN)/python -m pytest tests/producer/test_two_producers.py tests/consumers/test_two_consumers.py

powercuts: .venv/.dev  ## Cuts the power of a Redis server N times (N=20), forgetting up to its last second, and judges the logs
	@POWER_CUTS=$(N) $(BIN)/python -m pytest tests/producer/test_power_cuts.py --capture=tee-sys

fuzz: .venv/.dev  ## Coverage-guided fuzzing of everything that reads bytes, MINUTES=10 in all (Linux; installs atheris)
	@$(PIP) --require-hashes -r requirements-fuzz.txt
	@nice $(BIN)/python -W ignore -m tests.fuzzing $(or $(MINUTES),10)

lint: .venv/.dev  ## Style and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock:  ## Lock the requirements, with hashes (needs uv and the network; ARGS=--upgrade takes newer versions)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@echo 'setuptools>=80' | $(UV_LOCK) - --output-file requirements-build.txt >/dev/null
	@$(UV_LOCK) --group dev --constraints requirements-build.txt pyproject.toml \
		--output-file requirements-dev.txt >/dev/null
	@echo 'atheris>=3,<3.1' | $(UV_LOCK) - --output-file requirements-fuzz.txt >/dev/null
	@$(UV_LOCK) --constraints requirements-dev.txt pyproject.toml --output-file requirements.txt >/dev/null

clean:  ## Remove what make and the tools made; never the logs
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: install Python 3.11 or later." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than Python 3.11: install a later one and say make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing: apt install python3-venv" >&2; exit 1; }
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

# setuptools comes from a lock of its own, so that the project is installed without a build that downloads.
.venv/.runtime: .venv/.made requirements.txt requirements-build.txt pyproject.toml
	@echo "Installing the locked requirements"
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@PYTHONWARNINGS=ignore $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements-dev.txt
	@echo "Installing what the tests and checks need"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
