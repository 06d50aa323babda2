# Two commands do everything on a machine that has only Python 3.11+ and make:
#   make demo   creates the environment and runs the main job
#   make test   creates the environment and passes the tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test slow peers hostile docs format faults browser clean

demo: $(VENV)/.installed
	$(BIN)/paribus reproduce --scale laptop

test: $(VENV)/.installed-dev browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto -m "not slow"

# Tests that take more than two seconds each (tests/slow.txt): compiled anew, killed often, trained for longer, more random
# modules; and of long families of cases those that `make test` leaves out. Both together are all tests.
slow: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto -m slow

# The page is tested in Debian's Chromium: installed where that needs no password, else those tests are skipped.
browser:
	@command -v chromium > /dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install chromium; } > /dev/null 2>&1 || \
		echo "no chromium here (apt-get install chromium): the tests of the page in a browser will be skipped"

# Lightning, skorch and JAX beside Paribus, each for a moment: that they run, and learn. And training loops of other
# libraries as studies: the examples of docs/other-libraries.md, interrupted and killed too.
peers: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/pytest tests/test_bench.py tests/test_bench_many.py tests/test_other_libraries.py
	$(BIN)/paribus bench moons lr=0.3 epochs=50 --rounds 1 --peers
	$(BIN)/paribus bench moons lr=0.3 epochs=50 --rounds 1 --peers --runs 20

# Plants faults in copies of the code, and demands that the tests named beside each go red. All take the better part of
# an hour on two cores: make faults SAMPLE=40 SEED=1 tries 40 of them, make faults FAULTS="plan.py 17" those alone.
faults: $(VENV)/.installed-dev
	$(BIN)/python tests/faults.py $(FAULTS) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed '$(SEED)')

# Inputs that mean harm or met bad luck, as many as the time allows: make hostile SECONDS=3600 for each generator.
hostile: $(VENV)/.installed-dev
	PARIBUS_HOSTILE_SECONDS=$(or $(SECONDS),600) $(BIN)/pytest -n auto tests/hostile

# The site of the documents, in site/, which asks no other server for anything. Its search wants one of its own:
# python3 -m http.server -d site
docs: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Paribus needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV)
