# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' medvision/__init__.py)
TORCH := $(shell grep '^torch==' constraints.txt)
# The CPU build of torch. For CUDA: make TORCH_INDEX=https://download.pytorch.org/whl/cu128 demo
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test test-fast test-bundle test-cluster lint venv docs bundle image pneumoniamnist clean

demo: .venv/installed ## Run the pipeline on the embedded phantom cohort
	$(BIN)/snakemake --cores $(CORES) --rerun-incomplete --show-failed-logs --logger rich
	@$(BIN)/medvision summary --config config/config.yaml

test: .venv/tested ## Run all tests
	$(BIN)/pytest -n $(CORES)

test-fast: .venv/tested ## Run the tests that take seconds
	$(BIN)/pytest -n $(CORES) -m "not slow"

# Where it may, it installs SLURM first; elsewhere the tests are skipped and say what is missing.
# They mostly wait: each of two workers takes whole files, on a SLURM of its own. What fails is met once
# more, alone: a real scheduler on a busy machine is late at times. A fault of ours fails twice.
test-cluster: .venv/tested ## Run the tests on a real SLURM, started on this machine
	@[ -x /usr/sbin/slurmctld ] && [ -x /usr/sbin/slurmdbd ] && [ -x /usr/sbin/mariadbd ] || [ "$$(id -u)" != 0 ] \
	  || { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	  --no-install-recommends slurm-wlm munge slurmdbd mariadb-server >/dev/null; } || true
	$(BIN)/pytest -m cluster -n 2 --dist loadfile tests/cluster || $(BIN)/pytest -m cluster --last-failed tests/cluster

lint: .venv/linted ## Run the linters and the type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/hadolint containers/Dockerfile

venv: .venv/installed ## Make the virtual environment only

docs: .venv/installed ## Write the generated documents again
	$(BIN)/python -m medvision.config.export
	$(BIN)/python -m medvision.cli.reference

# DATA is a folder of pneumoniamnist/ and weights/; 100 epochs are the paper's, too many for a CPU.
EPOCHS ?= 3
pneumoniamnist: .venv/tested ## Print the table of docs/explanation/pneumoniamnist.md again
	$(BIN)/python benchmarks/pneumoniamnist.py --data $(DATA) --paper-epochs $(EPOCHS)

# For machines without internet: docs/how-to/air-gapped.md. 2.28 is the C library of RHEL 8.
EXTRAS ?= viewer,cluster
DIST ?= dist
GLIBC ?= 2.28
bundle: .venv/installed ## Collect an archive that installs without internet
	$(BIN)/python -m airgap.collect --torch-index "$(TORCH_INDEX)" --extras "$(EXTRAS)" \
	  --weights "$(WEIGHTS)" $(if $(GLIBC),--glibc $(GLIBC)) --into $(DIST)

# docker, podman or buildah; BASE is the image that it stands on.
BUILDER ?= $(firstword $(foreach tool,docker podman buildah,$(shell command -v $(tool))))
# Where several builds lie there: make image ARCHIVE=medvision-….tar
ARCHIVE = $(notdir $(wildcard $(DIST)/medvision-$(VERSION)-*.tar))
image: ## Build the container image from the archive in $(DIST)
	@[ $(words $(ARCHIVE)) = 1 ] || { echo "error: $(DIST): archive of $(VERSION) must be one," \
	  "got $(or $(ARCHIVE),none). Hint: make bundle, or name one: make image ARCHIVE=NAME.tar." >&2; exit 2; }
	$(BUILDER) build $(BUILD_OPTIONS) --build-arg ARCHIVE=$(ARCHIVE) \
	  --build-arg REVISION=$$(git rev-parse HEAD) $(if $(BASE),--build-arg BASE=$(BASE)) \
	  --tag medvision:$(VERSION) --file containers/Dockerfile $(DIST)

test-bundle: .venv/tested ## Build the archive, install it with the network cut, run the demo there
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(MAKE) bundle DIST="$$folder" \
	  && MEDVISION_ARCHIVE="$$folder" $(BIN)/pytest -m bundle tests/airgap

clean: ## Remove the virtual environment and the demo's results
	rm -rf .venv results .snakemake

.venv/bin/python:
	$(PYTHON) -m venv .venv

# torch comes first and by itself, so that no later step brings the CUDA build by accident.
# Where its index cannot be reached (a mirror, an air gap), the configured one serves.
.venv/torch: .venv/bin/python constraints.txt
	$(BIN)/pip install -q --no-deps --retries 0 --timeout 20 --index-url $(TORCH_INDEX) "$(TORCH)" \
	  || $(BIN)/pip install -q --no-deps "$(TORCH)"
	@touch $@

.venv/installed: .venv/torch pyproject.toml
	$(BIN)/pip install -q -c constraints.txt -e '.[viewer]'
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	@touch $@

.venv/linted: .venv/tested
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@touch $@
