# Each target sets itself up. Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
OLDEST_SCRAPY := 2.14.0
SEEDS ?= 30
KNOWN ?= 1000000 10000000
GROWN ?= 5
BENCHMARKS ?= chain fairness cpu_per_page event_log feed_items first_fetch hand_out memory million_starts reads units
CONTEST ?= --suite all --record .cache/contest.jsonl

DEVELOP := .venv/.ready
DEMO := .venv-demo/.ready
BENCH := .venv/.ready-bench
OLDEST := .venv-oldest/.ready
ECOSYSTEM := .venv-ecosystem/.ready
ECOSYSTEM_TESTS := .venv-ecosystem/bin/python -m pytest -o addopts="-ra --strict-markers --reactor asyncio" tests/ecosystem
BIN := .venv/bin

# Without bytecode each crawl of the tests compiles the package again: half a second of CPU.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: demo scenarios test dist test-postgres test-ecosystem soak real test-oldest bench bench-scale lint clean

demo: $(DEMO)  ## a crawl of the example shop through three SIGKILLs, then the table; DEMO_WEB=1 leaves the dashboard up
	.venv-demo/bin/python example_project/demo.py
	.venv-demo/bin/python example_project/stages/demo.py

scenarios: $(DEMO)  ## what people do to long crawls, and what they see; NAME=power_cut plays one
	cd example_project && ../.venv-demo/bin/python -m scenarios $(NAME)

test: lint dist  ## everything that has to hold before a change is merged
	$(BIN)/python -m pytest -n 3 --dist worksteal

dist: $(DEVELOP)  ## builds wheel and sdist; a crawl, a kill and a resume with the installed wheel
	$(BIN)/python -m tests.distribution.check dist

lint: $(DEVELOP)  ## style, types, direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-postgres: $(DEVELOP)  ## the crawl, crash and feed tests on PostgreSQL
	$(BIN)/python -m pytest -n 2 --store postgres tests/crawl tests/crash tests/feeds

soak: $(DEVELOP) $(ECOSYSTEM)  ## SIGKILL at random moments, over and over (SEEDS=30); images of power cuts; the slow tests
	$(BIN)/python -m tests.crash.soak --seeds $(SEEDS)
	$(BIN)/python -m pytest -n 2 -m soak
	$(ECOSYSTEM_TESTS) -m soak

real: $(DEVELOP)  ## a large documentation site that nobody here wrote, through five SIGKILLs
	$(BIN)/python -m tests.crash.real

# The contest takes about three hours on two idle cores; stopped midway, it goes on where it was.
# CONTEST="--rounds 2" is a short form, with one table.
bench: $(BENCH)  ## CPU a page, an item, an event; chain, fairness, memory, start; then the contest
	set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py; done
	$(BIN)/python benchmarks/contest.py $(CONTEST)

bench-scale: $(DEVELOP)  ## what grows with the URLs that a job knows: disk, memory, time (KNOWN="1000000")
	$(BIN)/python benchmarks/scale.py --known $(KNOWN) --grown $(GROWN)

test-oldest: $(OLDEST)  ## the tests with the oldest Scrapy that is supported
	.venv-oldest/bin/python -m pytest -n 2

test-ecosystem: $(ECOSYSTEM)  ## beside the real packages that people use; needs chromium
	$(ECOSYSTEM_TESTS) -n 2 -m "not soak"

clean:  ## removes what the targets above have made
	rm -rf .venv .venv-demo .venv-ecosystem .venv-oldest .cache dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEVELOP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[test,lint,dist]'
	touch $@

$(BENCH): $(DEVELOP)
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	touch $@

$(DEMO): pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip install --quiet -e '.[web]'
	touch $@

$(OLDEST): pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -e '.[test]' 'scrapy==$(OLDEST_SCRAPY)'
	touch $@

$(ECOSYSTEM): pyproject.toml
	$(PYTHON) -m venv .venv-ecosystem
	.venv-ecosystem/bin/python -m pip install --quiet -e '.[ecosystem]'
	touch $@
