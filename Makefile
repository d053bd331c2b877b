# The one front door. Every target sets up what it needs in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH_VENV ?= .venv-torch
# the release tested; name another, or a build for your GPU, with TORCH=
TORCH ?= torch==2.13.0
COHERE_VENV ?= .venv-cohere
# the newest release; `make test` runs the one that both frameworks' own integrations accept
COHERE ?= cohere>=7,<8
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-oldest test-torch test-cohere lint types docs bench notebooks clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       see two-stage retrieval at work on your own Python's documentation"
	@echo "make test       run the tests"
	@echo "make test-oldest  run them with the oldest versions of what runoff builds on"
	@echo "make test-torch run the tests of the torch backend, in an environment of their own"
	@echo "make test-cohere run the tests of Cohere Rerank with the newest SDK, likewise"
	@echo "make lint       ruff, the order of imports, and cycles among them"
	@echo "make types      mypy --strict, over the programs of tests/typing too"
	@echo "make notebooks  execute the notebooks"
	@echo "make docs       check that the documentation agrees with the code"
	@echo "make bench      side by side with bm25s and rank-bm25, as ratios in one run"
	@echo "make clean      remove .venv and caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"

# what `runoff demo` needs and no more
$(VENV)/.demo: pyproject.toml models/pyproject.toml | $(BIN)/python
	$(PIP) --editable ./models --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) --editable ".[all]" --group dev
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/runoff demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# llama-index-core, langchain-core, Altair and all else as old as pyproject.toml allows; they warn of newer Python
OLDEST := $(VENV)-oldest
test-oldest: pyproject.toml tests/oldest.txt
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint tests/oldest.txt \
		--editable ./models --editable ".[chroma,cli,cohere,eval,http,langchain,llama-index,rank-bm25,report]" \
		--group oldest
	$(OLDEST)/bin/python -m pytest -o filterwarnings=default -m "not slow" tests/adapters \
		tests/test_contracts*.py tests/onnx tests/report/test_plots.py tests/rerank/test_cohere*.py $(ARGS)

$(TORCH_VENV)/.torch: pyproject.toml models/pyproject.toml
	$(PYTHON) -m venv $(TORCH_VENV)
	$(TORCH_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TORCH_VENV)/bin/python -m pip install --quiet "$(TORCH)" --editable ./models \
		--editable ".[cli,export]" --group pytest
	@touch $@

test-torch: $(TORCH_VENV)/.torch
	$(TORCH_VENV)/bin/python -m pytest tests/test_contracts_torch.py \
		tests/rerank/test_sentence_transformers*.py tests/rerank/test_backends.py \
		tests/export tests/cli/test_export.py $(ARGS)

$(COHERE_VENV)/.cohere: pyproject.toml models/pyproject.toml
	$(PYTHON) -m venv $(COHERE_VENV)
	$(COHERE_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(COHERE_VENV)/bin/python -m pip install --quiet --upgrade "$(COHERE)" --editable ./models \
		--editable ".[cohere]" --group pytest
	@touch $@

test-cohere: $(COHERE_VENV)/.cohere
	$(COHERE_VENV)/bin/python -m pytest tests/rerank/test_cohere*.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_imports.py

types: $(VENV)/.dev
	$(BIN)/mypy src models/src tests/typing

notebooks: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_notebooks.py

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py $(ARGS)

clean:
	rm -rf $(VENV) $(OLDEST) $(TORCH_VENV) $(COHERE_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
