# Two commands do all their own set-up: `make refresh` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	echo $$name; break; fi; done)
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/peers
MUTMUT := $(VENV)/mutmut
PIP_AUDIT := $(VENV)/pip_audit
# Spark and its dbt adapter, beside the product's environment.
SPARK := .venv-spark
# What dbt writes of the tables, for one page of the site.
TABLES := .dbt_docs
# Test files side by side, in the order of their names: the long ones first, and many short ones at
# the end. A refresh needs up to 2 GB, so never more than four. One thread each: those of several
# processes on the same processors wait for each other, for up to twenty times as long.
TESTS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What `make NAME=…` passes on; an empty one stays unset.
ifdef SOURCE
export JINGXI_SOURCE := $(SOURCE)
endif
ifdef SOURCE_PATH
export JINGXI_SOURCE_PATH := $(SOURCE_PATH)
endif
ifdef MAPPING
export JINGXI_MAPPING := $(MAPPING)
endif
ifdef AS_OF
export JINGXI_AS_OF := $(AS_OF)
endif
ifdef CURRENCY
export JINGXI_CURRENCY := $(CURRENCY)
endif
ifdef FIRST_MONTH
export JINGXI_FIRST_MONTH := $(FIRST_MONTH)
endif
ifdef CUSTOMERS
export JINGXI_CUSTOMERS := $(CUSTOMERS)
endif
ifdef FOREIGN_ACCOUNTS
export JINGXI_FOREIGN_ACCOUNTS := $(FOREIGN_ACCOUNTS)
endif
ifdef SEED
export JINGXI_SEED := $(SEED)
endif
ifdef TRAIN
export JINGXI_TRAIN := $(TRAIN)
endif
ifdef PROMOTION
export JINGXI_PROMOTION := $(PROMOTION)
endif
# Not USER: the shell's own is always set.
ifdef USER_NAME
export JINGXI_USER := $(USER_NAME)
endif
ifdef EXPORT_BOM
export JINGXI_EXPORT_BOM := $(EXPORT_BOM)
endif
# LANGUAGE and TERM are the shell's own, too: only those of make's command line count.
ifeq ($(origin LANGUAGE),command line)
export JINGXI_LANGUAGE := $(LANGUAGE)
endif
ifdef ROLES
export JINGXI_ROLES := $(ROLES)
endif
ifdef ENGINE
export JINGXI_ENGINE := $(ENGINE)
endif
ifdef EXECUTOR
export JINGXI_EXECUTOR := $(EXECUTOR)
endif
ifdef MEMORY
export JINGXI_MEMORY := $(MEMORY)
endif
ifdef REFERENCE_PATH
export JINGXI_REFERENCE_PATH := $(REFERENCE_PATH)
endif

.PHONY: help refresh check map train promote rollback-model test test-all spark test-spark acceptance mutants ui lint format lock audit-deps licences sbom bench truth customer explain price reference scenario releases diff approve reject override overrides rotate-key rollback erase audit status retain backup restore doctor export summary docs clean install

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'
	@echo "  variables: SOURCE, SOURCE_PATH, MAPPING, AS_OF, FIRST_MONTH, CURRENCY, CUSTOMERS, SEED, FOREIGN_ACCOUNTS, TRAIN, PROMOTION, USER_NAME, ROLES, RELEASE, MONTHS, REFERENCE_PATH, ENGINE, EXECUTOR, MEMORY; home: JINGXI_HOME"

$(INSTALLED): requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found; name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@echo "setting up $(VENV), once: up to 15 minutes on a slow machine or network" >&2
	@echo "  1 of 4: a virtual environment of $(PYTHON)" >&2
	@rm -f $(INSTALLED)
	@$(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made; on Debian: apt install python3-venv" >&2; exit 2; }
	@echo "  2 of 4: $$(grep -c "^[a-z].*==" requirements.lock) locked packages, about 1 GB (the longest step, up to 10 minutes)" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	@echo "  3 of 4: jingxi itself" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "  4 of 4: compiling the packages, so that commands start fast (up to 4 minutes)" >&2
	@$(RUN) -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	@touch $(INSTALLED)
	@echo "set up: make help lists what there is" >&2

install: $(INSTALLED) ## set up .venv only

refresh: $(INSTALLED) ## run the whole gated refresh and publish a release
	@$(if $(RELEASE),JINGXI_RELEASE="$$RELEASE") $(RUN) -m orchestration refresh $(if $(MONTHS),--months $(MONTHS))

# make's own status is 2 for any that is not 0: ask the command itself where 1 and 2 must differ.
check: $(INSTALLED) ## judge a delivery in seconds, building nothing: SOURCE_PATH=… MAPPING=… JSON=1
	@$(RUN) -m orchestration check $(if $(filter-out 0 false,$(JSON)),--json)

map: $(INSTALLED) ## propose the mapping of a bank's own files: SOURCE_PATH=… MAPPING=mapping.yml FORCE=1
	@$(RUN) -m orchestration map $(if $(filter-out 0 false,$(FORCE)),--force) $(if $(filter-out 0 false,$(JSON)),--json)

train: $(INSTALLED) ## train and judge the models from the features as they stand: make train MODEL=clv
	@$(RUN) -m orchestration train $(if $(MODEL),--model "$$MODEL")

# Variables of make's command line are in the recipe's environment: quotes in them do no harm.
promote: $(INSTALLED) ## make a version champion: make promote MODEL=clv VERSION=3 REASON=… APPROVER=…
	@$(RUN) -m orchestration promote --model "$$MODEL" --version "$$VERSION" \
		--approver "$$APPROVER" --reason "$$REASON" $(if $(OVERRIDE),--override)

rollback-model: $(INSTALLED) ## return to the champion before: MODEL=clv APPROVER=… REASON=…
	@$(RUN) -m orchestration rollback-model --model "$$MODEL" --approver "$$APPROVER" \
		--reason "$$REASON"

test: $(INSTALLED) ## the everyday suite; COVERAGE=1 measures its coverage and requires 84 %
	@$(TESTS) -m "not slow" $(if $(filter-out 0 false,$(COVERAGE)),--cov)

acceptance: $(INSTALLED) ## the slow runs: real data, real faults, browsers, simulations; SHORT=1: half an hour of them
	@$(TESTS) $(if $(filter-out 0 false,$(SHORT)),-m "slow and not long" tests/acceptance,-m slow)

test-all: $(INSTALLED) ## everything
	@$(TESTS)

$(SPARK)/.installed: tests/spark.lock
	@command -v java >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless; } >/dev/null \
		|| { echo "Java 17 is needed and was not found; on Debian: apt install openjdk-17-jre-headless" >&2; exit 2; }
	@rm -f $@
	@$(PYTHON) -m venv $(SPARK)
	@$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/spark.lock
	@touch $@

spark: $(SPARK)/.installed ## set up .venv-spark, with Java 17 where it is missing, for ENGINE=spark

# One process: a session of Spark uses all processors.
test-spark: $(INSTALLED) $(SPARK)/.installed ## tables, releases, plans and scores are the same on Spark; SHORT=1: of one small bank
	@TEST_SPARK=1 $(RUN) -m pytest -q -m slow $(if $(filter-out 0 false,$(SHORT)),tests/integration/test_spark_refresh.py::test_both_engines_publish_the_same_release,tests/integration/test_spark.py tests/integration/test_spark_refresh.py)

ui: $(INSTALLED) ## Dagster, MLflow and the reports on 127.0.0.1; READ_ONLY=1 PORT=3100: for stakeholders
	@$(RUN) -m orchestration ui $(if $(PORT),--port $(PORT)) $(if $(filter-out 0 false,$(READ_ONLY)),--read-only)

summary: $(INSTALLED) ## what the served release holds and where to look
	@$(RUN) -m orchestration summary

customer: $(INSTALLED) ## one customer's page: make customer ID=C00000001 ROLE=manager LANGUAGE=zh
	@$(RUN) -m orchestration customer --id "$$ID" $(if $(ROLE),--role "$$ROLE") $(if $(TO),--to "$$TO")

explain: $(INSTALLED) ## what is behind an account's month: make explain ACCOUNT=A00000001 MONTH=2025-12 TO=page.html
	@$(RUN) -m orchestration explain --account "$$ACCOUNT" $(if $(MONTH),--month "$$MONTH") \
		$(if $(ROLE),--role "$$ROLE") $(if $(TO),--to "$$TO") \
		$(if $(filter-out 0 false,$(JSON)),--json)

price: $(INSTALLED) ## a new deal: make price PRODUCT=LOAN AMOUNT=25000 TERM=60 CUSTOMER=C00000001 RATE=0.045
	@$(RUN) -m orchestration price --product "$$PRODUCT" --amount "$$AMOUNT" \
		$(if $(filter command,$(origin TERM)),--term "$$TERM") $(if $(CUSTOMER),--customer "$$CUSTOMER") $(if $(RATE),--rate "$$RATE") \
		$(if $(ROLE),--role "$$ROLE") $(if $(filter-out 0 false,$(JSON)),--json)

reference: $(INSTALLED) ## reference data proposed from the bank's own records: OUT=folder FORCE=1
	@$(RUN) -m orchestration reference $(if $(OUT),--to "$$OUT") \
		$(if $(filter-out 0 false,$(FORCE)),--force) $(if $(filter-out 0 false,$(JSON)),--json)

scenario: $(INSTALLED) ## the release's months on other reference data: make scenario REFERENCE_PATH=… NAME=+100bp BY=product
	@$(RUN) -m orchestration scenario --name "$$NAME" $(if $(BY),--by "$$BY") $(if $(filter-out 0 false,$(JSON)),--json)

releases: $(INSTALLED) ## the releases at hand
	@$(RUN) -m orchestration releases

diff: $(INSTALLED) ## what differs between two releases, and why: BEFORE=<id> AFTER=<id> JSON=1
	@$(RUN) -m orchestration diff "$$BEFORE" "$$AFTER" $(if $(filter-out 0 false,$(JSON)),--json)

approve: $(INSTALLED) ## serve the release that waits (RELEASE=approval): APPROVER=… REASON=…
	@$(RUN) -m orchestration approve --approver "$$APPROVER" --reason "$$REASON"

reject: $(INSTALLED) ## remove the release that waits: APPROVER=… REASON=…
	@$(RUN) -m orchestration reject --approver "$$APPROVER" --reason "$$REASON"

override: $(INSTALLED) ## accept that a gate's rule fails: RULE=G1/… TABLE=… BOUND=… EXPIRES=… APPROVER=… REASON=…; WITHDRAW=1
	@$(RUN) -m orchestration override --rule "$$RULE" $(if $(TABLE),--table "$$TABLE") $(if $(BOUND),--bound "$$BOUND") \
		$(if $(EXPIRES),--expires "$$EXPIRES") $(if $(APPROVER),--approver "$$APPROVER") \
		$(if $(REASON),--reason "$$REASON") $(if $(filter-out 0 false,$(WITHDRAW)),--withdraw)

overrides: $(INSTALLED) ## the overrides of gates, in force and past
	@$(RUN) -m orchestration overrides

rotate-key: $(INSTALLED) ## a new key of quarantine's tokens
	@$(RUN) -m orchestration rotate-key

portal: $(INSTALLED) ## write the pages of the served release again, or of RELEASE=<id>; LANGUAGE=zh opens in Chinese
	@$(RUN) -m orchestration portal $(RELEASE)

rollback: $(INSTALLED) ## serve the release before the served one, or RELEASE=<id>
	@$(RUN) -m orchestration rollback $(RELEASE)

erase: $(INSTALLED) ## erase a person everywhere: make erase CUSTOMER=C00000001 REASON=… OPEN_ACCOUNTS=1
	@$(RUN) -m orchestration erase --customer "$$CUSTOMER" --reason "$$REASON" \
		$(if $(filter-out 0 false,$(OPEN_ACCOUNTS)),--open-accounts) $(if $(filter-out 0 false,$(JSON)),--json)

audit: $(INSTALLED) ## verify who did what, and show it: SINCE=2026-01-31 ACT=publish BY=ana SUBJECT=C00000001 JSON=1
	@$(RUN) -m orchestration audit $(if $(SINCE),--since "$$SINCE") $(if $(ACT),--act "$$ACT") \
		$(if $(BY),--user "$$BY") $(if $(SUBJECT),--subject "$$SUBJECT") $(if $(filter-out 0 false,$(JSON)),--json)

status: $(INSTALLED) ## what is served and waits, the last runs, the sizes of the home: JSON=1
	@$(RUN) -m orchestration status $(if $(filter-out 0 false,$(JSON)),--json)

retain: $(INSTALLED) ## end the storage of what nobody can return to: DRY_RUN=1 JSON=1
	@$(RUN) -m orchestration retain $(if $(filter-out 0 false,$(DRY_RUN)),--dry-run) $(if $(filter-out 0 false,$(JSON)),--json)

backup: $(INSTALLED) ## the home as one verified archive: make backup TO=file.tar INCLUDE_SECRETS=1
	@$(RUN) -m orchestration backup "$$TO" $(if $(filter-out 0 false,$(INCLUDE_SECRETS)),--include-secrets) $(if $(filter-out 0 false,$(JSON)),--json)

restore: $(INSTALLED) ## a home from an archive: make restore FROM=file.tar JINGXI_HOME=/empty/folder
	@$(RUN) -m orchestration restore "$$FROM" $(if $(filter-out 0 false,$(JSON)),--json)

doctor: $(INSTALLED) ## check every part of the home; HEAL=1 repairs what can be derived: JSON=1
	@$(RUN) -m orchestration doctor $(if $(filter-out 0 false,$(HEAL)),--heal) $(if $(filter-out 0 false,$(JSON)),--json)

export: $(INSTALLED) ## the synthetic bank as files: make export TO=folder FORMAT=csv
	@$(RUN) -m orchestration export $(TO) $(if $(FORMAT),--format $(FORMAT))

$(PEERS): $(INSTALLED) benchmarks/peers.lock
	@echo "installing the peers that are measured beside ours (once)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
		--target $(PEERS) -r benchmarks/peers.lock
	@touch $(PEERS)

$(MUTMUT): $(INSTALLED) tests/mutants.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
		--target $(MUTMUT) -r tests/mutants.lock
	@touch $(MUTMUT)

# By hand: an hour for all. A mutant that no test kills is a rule that nothing tests.
mutants: $(MUTMUT) ## changes to the code of money, policy and publishing that no test notices: ONLY='ml.promotion*'
	@PYTHONPATH=$(MUTMUT) $(RUN) -m mutmut run $(if $(ONLY),"$(ONLY)")
	@PYTHONPATH=$(MUTMUT) $(RUN) -m mutmut results

$(PIP_AUDIT): $(INSTALLED) supply_chain/audit.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
		--target $(PIP_AUDIT) -r supply_chain/audit.lock
	@touch $(PIP_AUDIT)

# The command itself ends with 3 where no database answers; make with 2.
audit-deps: $(PIP_AUDIT) ## known vulnerabilities of the locked packages: SERVICE=osv OSV_URL=mirror ALLOW_OFFLINE=1
	@PYTHONPATH=$(PIP_AUDIT) $(RUN) -m supply_chain audit $(if $(SERVICE),--service "$$SERVICE") \
		$(if $(OSV_URL),--osv-url "$$OSV_URL") $(if $(filter-out 0 false,$(ALLOW_OFFLINE)),--allow-offline)

licences: $(INSTALLED) ## whether every locked package has an allowed licence; ALL=1 lists them
	@$(RUN) -m supply_chain licences $(if $(filter-out 0 false,$(ALL)),--all)

sbom: $(INSTALLED) ## a software bill of materials, CycloneDX 1.5: make sbom TO=file.json
	@$(RUN) -m supply_chain sbom $(if $(TO),"$$TO")

bench: $(PEERS) ## time, memory, growth by size and beside peers: ONLY=size SIZES="10000 100000 1000000" REPORT=file.json
	@$(RUN) -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SIZES),--sizes $(SIZES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(REPORT),--report "$$REPORT")

truth: $(INSTALLED) ## how much of the synthetic bank's hidden truth the models recover
	@$(RUN) -m benchmarks.truth_recovery $(if $(SEEDS),--seeds $(SEEDS)) $(if $(COVERAGE),--coverage)

lint: $(INSTALLED) ## ruff, types, licences, SQL, Dagster's definitions
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(VENV)/bin/lint-imports
	@$(RUN) -m mypy
	@$(RUN) -m supply_chain licences
	@$(VENV)/bin/sqlfluff lint --processes 2 --disable-progress-bar -q dbt_project/models dbt_project/tests
	@$(RUN) -W ignore -m dagster definitions validate --log-level warning -w workspace.yaml

docs: $(INSTALLED) ## docs/, README and the tables as one site that opens offline: site/index.html
	@DBT_WAREHOUSE=:memory: $(VENV)/bin/dbt --quiet docs generate --static --empty-catalog \
		--project-dir dbt_project --profiles-dir dbt_project --target-path "$(CURDIR)/$(TABLES)" --log-path "$(CURDIR)/$(TABLES)"
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@echo "open site/index.html"

format: $(INSTALLED) ## let ruff put the code in order
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

lock: $(INSTALLED) ## resolve pyproject.toml into requirements.lock, and audit.lock (needs uv)
	@uv pip compile pyproject.toml --extra server --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	@{ echo "# What make audit-deps needs; never part of the product's environment. make lock writes it."; \
		echo pip-audit | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet --upgrade; } > supply_chain/audit.lock
	@{ echo "# What make test-spark needs; never part of the product's environment. make lock writes it."; \
		printf '%s\n' dbt-core "dbt-spark[session]>=1.11,<1.12" "pyspark>=4.3,<4.4" | uv pip compile - --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --upgrade \
		--constraint requirements.lock; } > tests/spark.lock

clean: ## remove the environment and caches; your data stay
	rm -rf $(VENV) $(SPARK) mutants site $(TABLES) .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
