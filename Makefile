# Everything here works on a machine that has Python >= 3.10, make and the package index.
# `make` alone lists the targets.

PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo simulate test check lint types boundaries browser tests bench contracts lock package \
	audit up screenshots clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1|\2/' \
		| column -t -s '|' 2>/dev/null || grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST)

demo: .venv/ready ## watch ten tickets go their way through a cloud on this machine
	@$(BIN)/python -m demo

up: .venv/ready ## run the same cloud and functions, and the console, until you stop them
	@mkdir -p .local && rm -f .local/ledger.db* && install -m 600 demo/profile.yaml .local/
	@LEDGER_URL=sqlite:///$(CURDIR)/.local/ledger.db CLOUD_SECONDS=1 \
		EXTERNAL_ID_KEY=demo-external-id-key-demo-external-id-key \
		$(BIN)/python -m demo.up

test: check lint types boundaries audit tests ## everything that CI checks

check: .venv/ready ## registry.yaml, as strictly as a request: each mistake with its line
	@echo "== registry.yaml =="
	@$(BIN)/python -m shared.registry registry.yaml

lint: .venv/ready ## ruff: rules and form
	@echo "== ruff =="
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/ready ## mypy --strict
	@echo "== mypy --strict =="
	@$(BIN)/mypy

boundaries: .venv/ready ## which part may import which
	@echo "== import contracts =="
	@$(BIN)/lint-imports

browser: ## install Debian's Chromium for the browser tests, where there is apt and no browser yet
	@if [ -n "$$CHROMIUM" ] || command -v chromium chromium-browser google-chrome >/dev/null; then \
		echo "there is a browser"; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
		echo "no browser, and no apt or no right to use it: tests/browser are skipped"; \
	fi

tests: .venv/ready ## pytest; one worker more than there are CPUs, for many tests wait
	@echo "== pytest =="
	@$(BIN)/python -m pytest --dist loadgroup \
		-n $$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

simulate: .venv/ready ## let faults loose on the code; OPTIONS="--schedules 300000 --minutes 30"
	@$(BIN)/python -m simulation $(OPTIONS)

bench: .venv/ready ## measure, beside what one would do instead; writes benchmarks/results.json
	@$(BIN)/python -m benchmarks

contracts: .venv/ready ## write contracts/*.json from the models
	@$(BIN)/python -m contracts

lock: .venv/ready ## compile requirements/*.txt anew (use Python 3.10, the oldest that is run)
	@$(BIN)/python -m pip install --quiet pip-tools
	@cd requirements && for f in runtime dev; do CUSTOM_COMPILE_COMMAND="make lock" \
		../$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-trusted-host --no-emit-options --no-emit-find-links \
		--output-file $$f.txt $$f.in || exit 1; done

package: check ## build dist/, what `s deploy` deploys: a folder a function, and what is in it
	@$(BIN)/python -m package

audit: .venv/ready ## known vulnerabilities of what is deployed; says so where nobody can be asked
	@echo "== pip-audit =="
	@$(BIN)/python -m package.audit

screenshots: .venv/ready ## take the README's pictures of the console anew (needs a browser)
	@$(BIN)/python -m demo.screenshots

clean: ## remove what was built and installed
	rm -rf .venv .local dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/ready: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is needed: set PYTHON=/path/to/python3"; exit 1; }
	@echo "== installing into .venv (once) =="
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m ecrauth.install $(BIN)/ecrauth
	@touch $@
