# `make reproduce` runs everything; `make test` checks everything. Both need Python 3.11 or later and nothing else.
# What runs is in requirements.lock, what tests and documentation need beside it in requirements-dev.lock.
# `make photographs` runs the same stages on photographs, which have to be there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.installed-dev
UV := $(shell command -v uv) # where it is, it installs; without it, or with `make UV= ...`, pip does
INSTALL = $(if $(strip $(UV)),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/pip install --quiet --disable-pip-version-check)
CHECKED := src tests benchmarks experiments notebooks docs

.PHONY: reproduce photographs experiments benchmark test test-slow lint docs install lock clean

reproduce: $(INSTALLED)
	$(BIN)/deepinside experiment=reproduce report.benchmarks=benchmarks/results.csv report.networks=experiments/networks.csv \
		report.register=experiments/claims.csv

photographs: $(INSTALLED) # those of yours: make photographs WITH="data.root=IMAGENETTE concepts.root=BRODEN"
	$(BIN)/deepinside experiment=photographs report.register=experiments/claims.csv $(WITH)

experiments: $(INSTALLED) # all that the tables say, measured anew: hours; make experiments WITH="data.root=... --plan" says how many
	$(BIN)/python experiments/everything.py $(WITH)

benchmark: $(INSTALLED) # beside peers where they are installed, see benchmarks/README.md; the page shows the table
	for one in saliency activation_maximization localise dissect stages; do \
		OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$one.py --out benchmarks/results.csv || exit 1; done

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile --durations=10

test-slow: $(TOOLS)
	$(BIN)/pytest -m slow

lint: $(TOOLS)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check --output-format concise $(CHECKED)
	$(BIN)/mypy

docs: $(TOOLS) # site/index.html; with search: python -m http.server -d site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

install: $(TOOLS)

$(INSTALLED): requirements.lock pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --editable .
	touch $@

$(TOOLS): $(INSTALLED) requirements-dev.lock
	$(INSTALL) --no-deps --require-hashes -r requirements-dev.lock
	touch $@

# Both files from pyproject.toml, by uv. Versions stay as they are while they fit.
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE)
lock: # one version: make lock UPGRADE="--upgrade-package NAME"
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock \
		$$(sed -n "/ 'win32'/! s/^\([^ #]*\)==.*/--no-emit-package \1/p" requirements.lock)

clean:
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache
