# SPDX-License-Identifier: GPL-3.0-or-later
# `make help` lists what there is. Everything happens in .venv, .dev, evict-runs and dist, which git ignores.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup audit plan test lint docs lab-up lab-audit lab-down bench-audit bench-plan bench-remediate dist clean

INVENTORY ?= inventories/local
POLICY ?= docs/examples/policy.yml
BECOME ?=
LAB ?=
ARGS ?=
HOSTS ?= 50

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv with all an audit needs (PYTHON=/path/to/python3 to choose one)
	@tools/venv runtime

audit: setup ## audit this machine (BECOME=1 as root, INVENTORY=path for others, ARGS=... for ansible-playbook)
	@tools/evict audit $(if $(filter-out 0,$(BECOME)),--become) -- -i $(INVENTORY) $(ARGS)

plan: setup ## what would be done to this machine, without doing it (POLICY=path, else as make audit)
	@tools/evict plan $(if $(filter-out 0,$(BECOME)),--become) -- -i $(INVENTORY) -e evict_hosts=all -e @$(POLICY) $(ARGS)

test: ## run the tests that alter nothing (LAB=1 adds the labs, as root; ARGS=... for pytest)
	@tools/venv dev
	@$(if $(filter-out 0,$(LAB)),EVICT_LAB=1) tests/run $(ARGS)

lint: ## run every linter
	@tools/venv dev
	@tools/lint

docs: ## write the reference pages (docs/catalog*.md, docs/lab-states.md, docs/misbehaviour.md, docs/variables.md, docs/providers.md)
	@tools/venv dev
	@.venv/bin/python tools/catalog_page.py
	@.venv/bin/python tools/lab_page.py
	@.venv/bin/python tools/misbehaviour_page.py
	@.venv/bin/python tools/providers_page.py
	@.venv/bin/python tools/inhibitors_page.py
	@.venv/bin/python tools/variables_page.py

lab-up: ## start the Linux lab: real Debian and rpm hosts on this machine (root)
	@tools/venv dev
	@tests/lab/linux/demo up

lab-audit: setup ## audit the Linux lab
	@inventory=$$(tests/lab/linux/demo inventory) && tools/evict audit -- -i "$$inventory" $(ARGS)

lab-down: ## stop the Linux lab and remove what it made
	@tests/lab/linux/demo down

bench-audit: ## what an audit costs against other ways to ask HOSTS=50 hosts, in the Linux lab (root; ARGS=...)
	@tools/venv dev
	@.venv/bin/python -m benchmarks.bench_audit $(HOSTS) $(ARGS)

bench-plan: ## what a dry run costs against an audit of the same HOSTS=200 hosts, in the Linux lab (root; ARGS=...)
	@tools/venv dev
	@.venv/bin/python -m benchmarks.bench_plan $(if $(filter file,$(origin HOSTS)),200,$(HOSTS)) $(ARGS)

bench-remediate: ## what a remediation of HOSTS=8 hosts costs against the same work by builtin modules, in the Linux lab (root; ARGS=...)
	@tools/venv dev
	@.venv/bin/python -m benchmarks.bench_remediate $(if $(filter file,$(origin HOSTS)),8,$(HOSTS)) $(ARGS)

dist: ## build the wheel, the sdist and the Galaxy tarball into dist/
	@tools/venv dev
	@tools/dist dist

clean: ## remove .venv and what builds and tests left (evidence in evict-runs stays)
	rm -rf .venv .dev dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .ansible tests/output
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
