# `make demo` and `make test` do all their own set-up; a second run starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PORT ?= 8080

.PHONY: demo test unit coverage stress check bench docs deb cloud-foundry clean

demo: $(VENV)/installed
	@$(BIN)/promproxy demo --port $(PORT)

# All tests, in processes beside each other, with what they cover; `make coverage` shows the lines
# that they leave out.
test: $(VENV)/installed
	@./.ci/install-peers
	@rm -f .coverage .coverage.*
	@$(BIN)/python .ci/run-tests --coverage
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report | grep '^TOTAL'

# Those without real sockets and processes.
unit: $(VENV)/installed
	@$(BIN)/python .ci/run-tests unit

coverage: test
	@$(BIN)/python -m coverage report

# The suite ten times beside busy loops, and minutes of injected faults: an hour.
stress: $(VENV)/installed
	@./.ci/install-peers
	@./.ci/stress

check: $(VENV)/installed
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Renews the parts of docs/ that follow from the code; a test tells where that was forgotten.
docs: $(VENV)/installed
	@$(BIN)/python -m docs.generate

# On Debian's Python too where its Twisted is installed. `make bench BENCH=--quick` only prints.
DEBIAN = $(if $(wildcard /usr/bin/twistd3),--python /usr/bin/python3)
BENCH ?= --json docs/performance.json --markdown docs/performance.md
bench: $(VENV)/installed
	@$(BIN)/python -m bench.scrapes --python $(BIN)/python $(DEBIAN) $(BENCH)
	@$(BIN)/python -m docs.generate

# The Debian package, into dist/; tested by .ci/test-package.
deb:
	@./.ci/build-package

# What `cf push` in conf/cloud-foundry sends along, for the Python that its runtime.txt names.
CF = conf/cloud-foundry
CF_PYTHON = $(shell sed 's/python-\(.*\)\.x/\1/' $(CF)/runtime.txt)
cloud-foundry: $(VENV)/installed
	@rm -rf $(CF)/vendor
	@$(BIN)/pip wheel -q --no-deps --wheel-dir $(CF)/vendor .
	@$(BIN)/pip download -q --dest $(CF)/vendor --only-binary=:all: --python-version $(CF_PYTHON) \
		--platform manylinux2014_x86_64 $(CF)/vendor/promproxy-*.whl
	@rm -rf build # which setuptools leaves behind
	@ls $(CF)/vendor

$(VENV)/installed: pyproject.toml
	@./.ci/make-venv $(PYTHON) $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) .debian build dist $(CF)/vendor *.egg-info .coverage* _trial_temp*
