# make repro: install, then run the whole pipeline.  make test: install, then run the tests.
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_TRACKING_URI ?= sqlite:///$(CURDIR)/mlflow.db
export MLFLOW_DISABLE_TELEMETRY ?= true
export OMP_NUM_THREADS ?= 1
PORT ?= 5000
BENCH_DATA ?= ../shared/datasets

.PHONY: repro classification labeling test lint bench ui clean

# The two tasks share nothing but the machine: run them side by side, then let DVC confirm that all is done.
repro: $(READY)
	$(MAKE) --jobs=2 classification labeling
	dvc repro

classification labeling: $(READY)
	dvc repro compare-$@ register-$@

# Two processes: one runs the pipeline's tests, which share one reproduced project, the other takes the rest.
test: $(READY)
	python -m pytest --numprocesses=2 --dist=loadgroup

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# Speed side by side with other ways; BENCH_DATA: a folder with copies of imdb and conll2003 in the Hub's layout.
bench: $(READY)
	python -m benchmarks $(BENCH_DATA)

# A server has a page of its own; a database needs one here.
ui: $(READY)
	@case "$$MLFLOW_TRACKING_URI" in \
	http://* | https://*) echo "MLflow: $$MLFLOW_TRACKING_URI" ;; \
	*) echo "MLflow: http://127.0.0.1:$(PORT)"; \
		exec mlflow ui --backend-store-uri "$$MLFLOW_TRACKING_URI" --host 127.0.0.1 --port $(PORT) ;; \
	esac

# What was made here: environment, data, models, reports, runs. `dvc repro` makes the last four again.
clean:
	rm -rf $(VENV) data/raw data/prepared models reports multirun reproduced mlflow.db* mlartifacts optuna.db* \
		.dvc/cache .dvc/tmp dvc.lock

$(READY): pyproject.toml constraints.txt
	python3.11 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@
