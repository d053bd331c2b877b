# The one front door. Every target sets up what it needs in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# how runoff itself is installed: `editable`, or `wheel`, which tests what users get, from dist/
INSTALL ?= editable
TORCH_VENV ?= .venv-torch
# the release tested; name another, or a build for your GPU, with TORCH=
TORCH ?= torch==2.13.0
TORCH_EXTRAS := cli,export
COHERE_VENV ?= .venv-cohere
RAY_VENV ?= .venv-ray
SITE_VENV ?= .venv-site
RAY_EXTRAS := cli,eval,models,ray
# the newest release; `make test` runs the one that both frameworks' own integrations accept
COHERE ?= cohere>=7,<8
STORES_VENV ?= .venv-stores
STORES_EXTRAS := chroma,cli,eval,http,langchain,llama-index
EXPLORER_VENV ?= .venv-explorer
EXPLORER_EXTRAS := cli,eval,explore,models
EXPLORER_PAGE := src/runoff/report/_explorer/page
ENGINES_VENV ?= .venv-engines
ENGINES_EXTRAS := elasticsearch,lancedb,milvus,opensearch,postgres,qdrant
OLDEST := $(VENV)-oldest
OLDEST_EXTRAS := chroma,cli,cohere,eval,explore,http,langchain,llama-index,rank-bm25,report,xlsx
# what installs, for every environment: `pip`, or `uv`, which takes a tenth of its processor time and reads none of
# its settings; to be named before $(VENV) is made
INSTALLER ?= pip
pip = $(BIN)/python -m pip --python $(1)/bin/python --disable-pip-version-check install --quiet
ifeq ($(INSTALLER),uv)
# copies: NLTK refuses files that have several names
pip = $(BIN)/uv pip install --quiet --link-mode copy --python $(1)/bin/python
endif
PIP := $(call pip,$(VENV))
venv = test -x $(1)/bin/python || $(PYTHON) -m venv --without-pip $(1)
# how many processes run the tests
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest

# an sdist has no models/: runoff-models is then installed as any other requirement
MODELS := $(if $(wildcard models/pyproject.toml),--editable ./models)
# what to install, with which extras: $(call self,extras), several of them in a variable (commas part arguments)
self = $(if $(filter wheel,$(INSTALL)),$(wildcard dist/runoff_models-*.whl) "$(wildcard dist/runoff-*.whl)[$(1)]",$(MODELS) --editable ".[$(1)]")

.PHONY: help demo test test-slow test-pythons test-oldest test-torch test-cohere test-ray \
	test-engines engines-matrix test-explorer test-stores test-sdist explorer lint types docs site bench notebooks build release-check clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       see two-stage retrieval at work on your own Python's documentation"
	@echo "make test       run the tests that take a few minutes together"
	@echo "make test-slow  run the others: statistics, soaks, notebooks, benchmarks, wall-clock times"
	@echo "make test-pythons  make test, with every CPython from 3.11 on that is found here"
	@echo "make test-oldest  run tests with the oldest versions of what runoff builds on"
	@echo "make test-torch run the tests of the torch backend, in an environment of their own"
	@echo "make test-cohere run the tests of Cohere Rerank with the newest SDK, likewise"
	@echo "make test-stores run the tests of the frameworks' vector stores likewise; write the page on them"
	@echo "make test-engines run the tests of the search engines' sources, likewise"
	@echo "make engines-matrix  measure them, and write the table of docs/engines.md"
	@echo "make test-ray  run the tests of bulk work on a Ray cluster, likewise"
	@echo "make test-explorer run the explorer's page in Chromium, likewise"
	@echo "make explorer   build the explorer's page anew, with Node.js"
	@echo "make lint       ruff: rules and format; the order of imports, and cycles among them"
	@echo "make types      mypy --strict, over the programs of tests/typing too"
	@echo "make notebooks  execute the notebooks"
	@echo "make docs       build the site, and check that the documentation agrees with the code"
	@echo "make site       build the site alone, in build/site"
	@echo "make bench      side by side with bm25s and rank-bm25, as ratios in one run"
	@echo "make build      wheels and sdists of runoff, runoff-models and integrations/, in dist/"
	@echo "make release-check  everything a release needs, except the upload"
	@echo "make clean      remove .venv and caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$@ -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" $(filter uv,$(INSTALLER))

# what `runoff demo` needs and no more; Python compiles what is imported, and a first minute has no time for the rest
UV := $(shell command -v uv 2> /dev/null)
$(VENV)/.demo: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(PIP) --no-compile) $(call self,demo)
	@touch $@

$(VENV)/.dev: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(PIP) $(call self,all) --group dev
	@touch $@ $(VENV)/.demo

$(VENV)/.build: pyproject.toml | $(BIN)/python
	$(PIP) --group build
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/runoff demo

test: $(VENV)/.dev
	$(PYTEST) -m "not slow" --numprocesses $(JOBS) --dist loadfile $(ARGS)

# one at a time: some of them measure times
test-slow: $(VENV)/.dev
	$(PYTEST) -m slow --verbose --durations=0 --durations-min=1 $(ARGS)

test-pythons:
	@.ci/pythons > /dev/null
	@for python in $$(.ci/pythons 2> /dev/null); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "Python $$version: $$python"; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=$(VENV)-$$version || exit 1; \
	done

# llama-index-core, langchain-core, Altair and all else as old as pyproject.toml allows; they warn of newer Python
# the pages run with warnings as errors; caches, activations, blends and what a server does to secrets are ours alone;
# the extra `export` is not installed here
NOT_OLDEST := --ignore tests/adapters/test_quick_starts.py \
	--deselect tests/adapters/test_secrets.py::test_neither_results_events_errors_nor_logs_hold_a_key \
	--deselect "tests/onnx/test_runtime.py::test_telemetry_is_off_before_the_import[the export]" \
	$(addprefix --deselect=tests/test_contracts_rerank.py::Test,Cached CrossEncoderAlone CrossEncoderAsProbability)
OLDEST_TESTS ?= tests/adapters tests/test_contracts*.py tests/onnx tests/report/test_plots.py \
	tests/rerank/test_cohere*.py tests/report/explorer tests/cli/test_explore.py
test-oldest: pyproject.toml tests/oldest.txt | $(BIN)/python
	$(call venv,$(OLDEST))
	$(call pip,$(OLDEST)) --constraint tests/oldest.txt --group oldest \
		$(call self,$(OLDEST_EXTRAS))
	$(OLDEST)/bin/python -m pytest -o filterwarnings=default -m "not slow" $(OLDEST_TESTS) \
		$(NOT_OLDEST) $(ARGS)

$(TORCH_VENV)/.torch: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(TORCH_VENV))
	$(call pip,$(TORCH_VENV)) "$(TORCH)" $(call self,$(TORCH_EXTRAS)) --group pytest
	@touch $@

test-torch: $(TORCH_VENV)/.torch
	$(TORCH_VENV)/bin/python -m pytest tests/test_contracts_torch.py \
		tests/rerank/test_sentence_transformers*.py tests/rerank/test_backends.py \
		tests/export tests/cli/test_export.py $(ARGS)

$(COHERE_VENV)/.cohere: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(COHERE_VENV))
	$(call pip,$(COHERE_VENV)) --upgrade "$(COHERE)" $(call self,cohere) --group pytest
	@touch $@

test-cohere: $(COHERE_VENV)/.cohere
	$(COHERE_VENV)/bin/python -m pytest tests/rerank/test_cohere*.py $(ARGS)

# real stores in this process or beside it: Qdrant, Chroma, FAISS, Milvus Lite, LanceDB, PostgreSQL, DuckDB, SQLite;
# their clients warn of much
$(STORES_VENV)/.stores: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(STORES_VENV))
	$(call pip,$(STORES_VENV)) $(call self,$(STORES_EXTRAS)) --group stores
	@touch $@

test-stores: $(STORES_VENV)/.stores
	$(STORES_VENV)/bin/python -m pytest -o filterwarnings=default tests/stores $(ARGS)
$(ENGINES_VENV)/.engines: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(ENGINES_VENV))
	$(call pip,$(ENGINES_VENV)) $(call self,$(ENGINES_EXTRAS)) --group engines
	@touch $@

test-engines: $(ENGINES_VENV)/.engines
	$(ENGINES_VENV)/bin/python -m pytest tests/recall/stores tests/test_contracts_recall.py $(ARGS)

# recall, latency, filters and overhead of every engine, written into docs/engines.md
engines-matrix: $(ENGINES_VENV)/.engines
	$(call pip,$(ENGINES_VENV)) $(call self,chroma)
	$(ENGINES_VENV)/bin/python benchmarks/run.py engines --json benchmarks/figures.json \
		--markdown docs/engines.md $(ARGS)

$(RAY_VENV)/.ray: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(RAY_VENV))
	$(call pip,$(RAY_VENV)) $(call self,$(RAY_EXTRAS)) --group pytest
	@touch $@

test-ray: $(RAY_VENV)/.ray
	$(RAY_VENV)/bin/python -m pytest -W default tests/bulk tests/cli/test_bulk.py $(ARGS)

$(EXPLORER_VENV)/.explorer: pyproject.toml $(wildcard models/pyproject.toml) | $(BIN)/python
	$(call venv,$(EXPLORER_VENV))
	$(call pip,$(EXPLORER_VENV)) $(call self,$(EXPLORER_EXTRAS)) --group explorer
	@touch $@

# RUNOFF_CHROMIUM names a browser other than `chromium`
test-explorer: $(EXPLORER_VENV)/.explorer
	$(EXPLORER_VENV)/bin/python -m pytest tests/report/explorer tests/report/test_label_browser.py $(ARGS)

# what it writes is committed: users need no Node.js
explorer:
	cd $(EXPLORER_PAGE) && npm ci && npm run build

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(PYTEST) --quiet tests/test_imports.py

types: $(VENV)/.dev
	$(BIN)/mypy src models/src tests/typing

notebooks: $(VENV)/.dev
	$(PYTEST) tests/test_notebooks.py

docs: $(VENV)/.dev site
	$(PYTEST) tests/test_docs.py

$(SITE_VENV)/.site: pyproject.toml | $(BIN)/python
	$(call venv,$(SITE_VENV))
	$(call pip,$(SITE_VENV)) --group site
	@touch $@

# not --quiet, which hides the warnings that --strict counts
site: $(SITE_VENV)/.site
	NO_MKDOCS_2_WARNING=1 $(SITE_VENV)/bin/mkdocs build --strict --site-dir build/site

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py $(ARGS)

# the wheel is built from the sdist, which proves that the sdist is whole
build: $(VENV)/.build
	rm -rf dist
	printf '%s\0' models . integrations/*/ | xargs -0 -n 1 -P 2 $(BIN)/python -m build --no-isolation --outdir dist

# the tests that the sdist brings along, in its own folder, over the runoff that is installed in $(VENV)
test-sdist: $(VENV)/.dev
	rm -rf build/sdist && mkdir -p build/sdist
	tar --extract --gzip --strip-components=1 --directory build/sdist --file dist/runoff-*.tar.gz
	cd build/sdist && $(abspath $(BIN))/python -m pytest -m "not slow" --numprocesses $(JOBS) \
		--dist loadfile $(ARGS)

# in environments of its own, on the wheels that would be uploaded; see RELEASING.md
RELEASE := VENV=$(VENV)-release
release-check:
	$(MAKE) build lint types $(RELEASE)
	$(VENV)-release/bin/python -m pip install --quiet --group release
	$(VENV)-release/bin/twine check --strict dist/*
	$(VENV)-release/bin/check-wheel-contents dist/runoff-*.whl
	$(MAKE) test $(RELEASE) INSTALL=wheel ARGS="--hypothesis-profile thorough"
	$(MAKE) test-slow test-sdist test-oldest $(RELEASE) INSTALL=wheel
	$(MAKE) test-cohere $(RELEASE) INSTALL=wheel COHERE_VENV=$(VENV)-release-cohere
	$(MAKE) test-torch $(RELEASE) INSTALL=wheel TORCH_VENV=$(VENV)-release-torch
	$(MAKE) test-ray $(RELEASE) INSTALL=wheel RAY_VENV=$(VENV)-release-ray
	$(MAKE) test-engines $(RELEASE) INSTALL=wheel ENGINES_VENV=$(VENV)-release-engines
	$(MAKE) test-stores $(RELEASE) INSTALL=wheel STORES_VENV=$(VENV)-release-stores
	$(MAKE) test-pythons $(RELEASE) INSTALL=wheel

clean:
	rm -rf $(VENV) $(VENV)-* $(TORCH_VENV) $(COHERE_VENV) $(STORES_VENV) $(RAY_VENV) $(SITE_VENV) $(ENGINES_VENV) $(EXPLORER_VENV) \
		$(EXPLORER_PAGE)/node_modules \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
