# `make reproduce` runs everything; `make test` checks everything. Both need Python 3.11 or later and nothing else.
# `make photographs` runs the same stages on photographs, which have to be there.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECKED := src tests benchmarks experiments notebooks

.PHONY: reproduce photographs experiments benchmark test test-slow lint install clean

reproduce: $(INSTALLED)
	$(BIN)/deepinside experiment=reproduce report.benchmarks=benchmarks/results.csv report.networks=experiments/networks.csv \
		report.register=experiments/claims.csv

photographs: $(INSTALLED) # those of yours: make photographs WITH="data.root=IMAGENETTE concepts.root=BRODEN"
	$(BIN)/deepinside experiment=photographs report.register=experiments/claims.csv $(WITH)

experiments: $(INSTALLED) # the cards, from what `make reproduce` left
	$(BIN)/deepinside experiment=reproduce run=claims
	$(BIN)/python experiments/cards.py outputs/claims/latest
	$(BIN)/python experiments/figures.py outputs/report/latest

benchmark: $(INSTALLED) # beside peers where they are installed, see benchmarks/README.md; the page shows the table
	for one in saliency activation_maximization localise dissect stages; do \
		OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$one.py --out benchmarks/results.csv || exit 1; done

test: $(INSTALLED) lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile --durations=10

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check --output-format concise $(CHECKED)
	$(BIN)/mypy

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
