# One vocabulary for a person, a hook and CI: `make` alone prints it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/tools/.ready
PYTHON ?= python3
WEEKS ?=
WITHHOLD ?=
ONLY ?=
REGISTRY ?= docker.io/trimtab
VERSION ?= dev
TAGS ?=
PROFILES ?=
BUILD_FLAGS ?=
OUT ?= build/production
PRODUCTION ?= build/production
REPORTS ?= build/reports
HANDED ?= build/review
URL ?=
ADVISORIES ?=
ENV ?=
SECONDS_OF_LOAD ?= 20
CLIENTS ?= 4
ROWS ?=
P99_MS ?= 250
MAX_ERRORS ?= 0
IMAGES := mlflow serve trainer airflow
COMPOSE ?= docker compose
export REGISTRY VERSION
UV := uv==0.13.9

# Bytecode is compiled once, at install: without it every process compiles every import again.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup docs lint format type test-fast programs test test-reports test-mongodb mutate e2e demo bench-gate bench-serve bench-memory up down status verify verify-status lock clean \
	production review comment smoke load deploy release-notes secrets images push scan sbom scan-secrets audit check-deploy compose-up compose-demo compose-down

help: ## Print this
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Work on the code

setup: $(READY) ## Make .venv and install what is pinned in requirements.txt

$(READY): requirements.txt pyproject.toml
	@command -v git >/dev/null || { echo "git was not found. Install it, then run make again."; exit 1; }
	command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one: make PYTHON=..."; exit 1; }
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V), 3.11 or newer is needed. Name one: make PYTHON=python3.12"; exit 1; }
	free=$$(df -Pk . | awk 'NR == 2 { print int($$4 / 1024) }')
	test "$$free" -ge 4000 || { echo "$$free MB are free here, 4000 are needed. Make room, then run make again."; exit 1; }
	echo "Installing into $(VENV)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(BIN)/uv pip install --quiet --require-hashes --compile-bytecode --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python -e .
	touch $@

format: $(READY) ## Format the code
	@$(BIN)/isort --quiet src examples tests dags benchmarks docs
	$(BIN)/black --quiet src examples tests dags benchmarks docs

docs: $(READY) ## Generate the reference pages of commands
	@$(BIN)/python docs/generate.py docs/reference

lint: $(READY) ## Check style, format and the direction of imports
	@$(BIN)/flake8 src examples tests dags plugins benchmarks docs
	$(BIN)/black --check --quiet src examples tests dags benchmarks docs || { echo "Not formatted. Run make format."; exit 1; }
	$(BIN)/isort --check-only --quiet src examples tests dags benchmarks docs || { echo "Imports not sorted. Run make format."; exit 1; }
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

type: $(READY) ## Check types
	@$(BIN)/mypy

test-fast: programs ## Unit, contract and DAG tests: the inner loop
	@$(BIN)/python -m pytest src examples tests/unit tests/contracts tests/dags -n 2 -q

$(TOOLS): requirements-tools.txt $(READY)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/tools
	$(BIN)/uv pip install --quiet --require-hashes --python $(VENV)/tools/bin/python -r requirements-tools.txt
	touch $@

programs: $(READY) $(TOOLS) ## Install the programs that the tests run beside ourselves, and the checkers of what is delivered
	@bash tests/programs.sh $(VENV)/node

test: lint type programs ## Everything: lint, types, all tests, coverage
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=25 --cov --cov-report=term

test-reports: programs ## All tests as test runs them, with JUnit and coverage as files (REPORTS=build/reports, ONLY=tests/... for a part)
	@mkdir -p "$(REPORTS)"
	$(BIN)/python -m pytest $(if $(ONLY),$(ONLY) --cov-fail-under=0) -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=xml:"$(REPORTS)/coverage.xml" --junitxml="$(REPORTS)/junit.xml"

test-mongodb: $(READY) ## The contract of the prediction log on the MongoDB of TRIMTAB_TEST_MONGODB_URL
	@test -n "$${TRIMTAB_TEST_MONGODB_URL:-}" || { echo "TRIMTAB_TEST_MONGODB_URL is not set. Name a MongoDB: TRIMTAB_TEST_MONGODB_URL=mongodb://localhost:27017 make test-mongodb"; exit 1; }
	$(BIN)/python -m pytest tests/integration/predictions -k mongodb -q

e2e: $(READY) ## The whole stack, end to end
	@$(BIN)/python -m pytest tests/e2e -q

mutate: $(READY) ## Change the gate, the arbiter, the transitions; list what no test notices (ONLY=src/... for a part)
	@$(if $(ONLY),,$(BIN)/python -m tests.mutation.by_hand)
	$(BIN)/python -m tests.mutation $(ONLY)

verify: $(READY) ## Run what takes too long for test: AREA=year, weeks, soak, mongo, mutate, compose, kubernetes, azure, pipelines
	@$(BIN)/python -m tests.verify $(AREA)

verify-status: $(READY) ## Print the newest run of each area of verify, and whether it is stale
	@$(BIN)/python -m tests.verify.areas

bench-gate: $(READY) ## False promotions and power of the gate, beside the usual rules
	@$(BIN)/python -m benchmarks.gate

bench-serve: $(READY) ## Requests per second and latency of the service, beside mlflow models serve and FastAPI
	@command -v wrk >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq wrk >/dev/null; } || { echo "wrk was not found. Install it: apt-get install wrk"; exit 1; }
	$(BIN)/python -m benchmarks.serve

bench-memory: $(READY) ## Peak memory of each step by rows, beside pandas and scikit-learn alone (ROWS="10000 100000")
	@$(BIN)/python -m benchmarks.memory $(if $(ROWS),--rows $(ROWS))

lock: $(READY) ## Pin all dependencies anew: requirements.txt, requirements-tools.txt, and what each image holds
	@pin="$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"
	$$pin --all-extras pyproject.toml -o requirements.txt
	$$pin --group pyproject.toml:tools -o requirements-tools.txt
	pin+=" --constraint requirements.txt"
	$$pin --extra loop --extra airflow --extra celery --extra kubernetes --extra remotes --extra demo --extra xgboost pyproject.toml -o deploy/docker/airflow.txt
	$$pin --extra loop --extra airflow --extra celery --extra kubernetes --extra remotes --extra distributed pyproject.toml -o deploy/docker/trainer.txt
	$$pin --extra xgboost pyproject.toml -o deploy/docker/serve.txt
	$$pin --group pyproject.toml:mlflow-server -o deploy/docker/mlflow.txt

clean: ## Remove .venv and what tools left; var/ stays
	rm -rf $(VENV) build .mypy_cache .pytest_cache .hypothesis .import_linter_cache .coverage*

##@ Run on this machine

demo: $(READY) ## Play a year of flights through the loop (WEEKS=20 plays less, WITHHOLD=4 lets labels come late)
	@$(BIN)/python -m examples.flights $(if $(WEEKS),--weeks $(WEEKS)) $(if $(WITHHOLD),--withhold $(WITHHOLD))

up: $(READY) ## Start Airflow, MLflow and the service, to stay up
	@$(BIN)/trimtab up

status: $(READY) ## Print the addresses and what runs
	@$(BIN)/trimtab status

down: $(READY) ## Stop what up started
	@$(BIN)/trimtab down

##@ Run in containers

secrets: ## Make what docker-compose.yaml needs beside images: passwords, keys, tokens, addresses; what exists stays
	@bash deploy/compose/make-secrets.sh

images: ## Build the four images (REGISTRY=docker.io/trimtab VERSION=dev)
	@for target in $(IMAGES); do
	  echo "Building trimtab-$$target:$(VERSION)"
	  docker build --quiet $(BUILD_FLAGS) --file deploy/docker/Dockerfile --target "$$target" --build-arg "VERSION=$(VERSION)" --build-arg "COMMIT=$$(git rev-parse HEAD)" --tag "$(REGISTRY)/trimtab-$$target:$(VERSION)" .
	done
	docker image ls --format 'table {{.Repository}}\t{{.Tag}}\t{{.Size}}' | grep -E '^REPOSITORY|trimtab-'

compose-up: ## Start the whole system in containers, Airflow with CeleryExecutor (PROFILES="--profile monitoring")
	@$(COMPOSE) $(PROFILES) up --detach --wait --wait-timeout 600
	$(COMPOSE) ps

compose-demo: ## Play flights through the containers (WEEKS=8)
	@$(COMPOSE) run --rm demo python -m examples.flights --deployed $(if $(WEEKS),--weeks $(WEEKS))

compose-down: ## Stop the containers; their volumes stay
	@$(COMPOSE) --profile "*" down

##@ Review and deliver

production: $(READY) ## Collect what a pull request's model is compared with (OUT=build/production), in trusted hands
	@bash deploy/review/collect.sh "$(OUT)"

review: $(READY) ## Judge this checkout's model against the one in Production (PRODUCTION=build/production)
	@bash deploy/review/review.sh "$(PRODUCTION)"

comment: $(READY) ## Say on the pull request what review found (HANDED=build/review), in a trusted checkout
	@$(BIN)/trimtab comment "$(HANDED)"

check-deploy: $(READY) $(TOOLS) ## Check the Kubernetes manifests, the Dockerfile and the scripts with what needs no cluster
	@$(BIN)/python -m tests.deploy

scan: sbom scan-secrets audit ## What the images hold as CycloneDX, no secret in the tree, no known vulnerability

sbom: $(TOOLS) ## Write build/sbom/IMAGE.json, the Python packages of each image as CycloneDX
	@mkdir -p build/sbom
	for image in $(IMAGES); do
	  $(VENV)/tools/bin/cyclonedx-py requirements deploy/docker/$$image.txt --output-reproducible --validate --of JSON -o build/sbom/$$image.json
	  echo "build/sbom/$$image.json: $$(grep -c '"purl"' build/sbom/$$image.json) packages"
	done

scan-secrets: $(TOOLS) ## Look for secrets in all that git tracks, or would
	@git ls-files -co --exclude-standard -z | grep -zvE '^(requirements.*|deploy/docker/.*)\.txt$$' | xargs -0 $(VENV)/tools/bin/detect-secrets-hook --exclude-lines '^ *automountServiceAccountToken: (true|false)'

audit: $(TOOLS) ## Ask PyPI for known vulnerabilities of each pinned package, or an OSV service (ADVISORIES=http://...)
	@for image in $(IMAGES); do
	  echo "trimtab-$$image"
	  $(VENV)/tools/bin/pip-audit $(if $(ADVISORIES),--vulnerability-service osv --osv-url "$(ADVISORIES)") --strict --disable-pip --require-hashes --progress-spinner off -r deploy/docker/$$image.txt
	done

push: ## Push the images, under VERSION and the further TAGS
	@for target in $(IMAGES); do
	  for tag in $(VERSION) $(TAGS); do
	    docker tag "$(REGISTRY)/trimtab-$$target:$(VERSION)" "$(REGISTRY)/trimtab-$$target:$$tag"
	    docker push "$(REGISTRY)/trimtab-$$target:$$tag"
	  done
	done

deploy: ## Bring an overlay to the cluster of kubectl's context, and back when it fails (ENV=local VERSION=...)
	@bash deploy/deploy.sh "$(ENV)"

smoke: $(READY) ## Ask a running service whether it lives, is ready and answers (URL=http://...)
	@$(BIN)/python deploy/checks/smoke.py "$(URL)"

load: $(READY) ## A short load on a running service (URL=http://... SECONDS_OF_LOAD=20 CLIENTS=4 P99_MS=250 MAX_ERRORS=0)
	@$(BIN)/python deploy/checks/load.py "$(URL)" --seconds $(SECONDS_OF_LOAD) --clients $(CLIENTS) --p99-ms $(P99_MS) --max-errors $(MAX_ERRORS)

release-notes: ## Print the changelog of a version (VERSION=0.1.0)
	@bash deploy/release-notes.sh "$(VERSION)"
