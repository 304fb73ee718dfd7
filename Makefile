# make repro: install, then run the whole pipeline.  make test: install, then run the tests.
VENV := .venv
RUN := $(VENV)/.ready
DEVELOP := $(VENV)/.ready-develop
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_TRACKING_URI ?= sqlite:///$(CURDIR)/mlflow.db
export MLFLOW_DISABLE_TELEMETRY ?= true
export OMP_NUM_THREADS ?= 1
PORT ?= 5000
BENCH_DATA ?= ../shared/datasets
CORES := $(shell getconf _NPROCESSORS_ONLN)

.PHONY: repro test lint bench ui clean

# Waits for another `dvc repro` in this folder.
repro: $(RUN)
	@git rev-parse --verify --quiet HEAD >/dev/null || \
		{ echo "error: this folder is not a git repository with a commit, which DVC and the registry need;" \
		"first: git init && git add --all && git commit -m start" >&2; exit 1; }
	$(VENV)/bin/dvc --wait-for-lock repro
	@PYTHONPATH=src $(VENV)/bin/python -m unroll.tracking.moved mlflow.db
	@PYTHONPATH=src $(VENV)/bin/python -m unroll.plan

# One process runs the pipeline's tests, which share one reproduced project; the others run the rest. There is one more
# process than cores, because some tests wait for servers.
test: $(DEVELOP)
	$(VENV)/bin/python -m pytest --numprocesses=$$(($(CORES) + 1)) --dist=loadgroup

lint: $(DEVELOP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Speed compared with alternatives; BENCH_DATA: a folder with copies of imdb and conll2003 in the Hub's layout.
bench: $(DEVELOP)
	$(VENV)/bin/python -m benchmarks $(BENCH_DATA)

# Prints the address of a tracking server, or starts MLflow's page for a database, without the processes of MLflow's own
# jobs, which take longer to start than the page.
ui: $(RUN)
	@PYTHONPATH=src $(VENV)/bin/python -m unroll.tracking.moved mlflow.db
	@case "$$MLFLOW_TRACKING_URI" in \
	http://* | https://*) echo "MLflow: $$MLFLOW_TRACKING_URI" ;; \
	*) echo "MLflow: http://127.0.0.1:$(PORT)"; \
		export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false; \
		exec $(VENV)/bin/mlflow ui --backend-store-uri "$$MLFLOW_TRACKING_URI" --workers 1 \
			--host 127.0.0.1 --port $(PORT) ;; \
	esac

# Deletes the environment, data, models, reports and runs; `make repro` recreates them.
clean:
	rm -rf $(VENV) data/raw data/prepared data/corpora pretrained models reports multirun reproduced mlflow.db* mlartifacts \
		optuna.db* .dvc/cache .dvc/tmp dvc.lock

# The first supported Python of the machine, or the one that PYTHON names.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
# An environment contains the path of its project: in a folder that was moved or copied it is made again.
MADE_IN := $(or $(shell cat $(RUN) 2>/dev/null),$(CURDIR))
ifneq ($(MADE_IN),$(CURDIR))
.PHONY: $(RUN)
CLEAR := --clear
endif
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
# Compiles with all cores; pip uses one. Some packages contain files that this version of Python cannot compile.
PIP := $(VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt
COMPILE := $(VENV)/bin/python -m compileall -qq -j 0 $(VENV)/lib || true

$(RUN): pyproject.toml constraints.txt
	@for python in $(PYTHONS); do \
		if "$$python" -c '$(FITS)' 2>/dev/null; then \
			echo "installing into $(VENV) with $$("$$python" --version): a few minutes"; \
			exec "$$python" -m venv $(CLEAR) $(VENV); \
		fi; \
	done; \
	echo "error: no Python 3.11 to 3.14 among: $(PYTHONS); accepted: make PYTHON=/path/to/python3.12" >&2; exit 1
	$(PIP) --editable '.[train]'
	$(COMPILE)
	echo "$(CURDIR)" > $@

$(DEVELOP): $(RUN)
	$(PIP) --editable '.[test,lint]'
	$(COMPILE)
	touch $@
