# env     make .venv with all that development needs
# demo    the main job on a real image: in napari, or headless without a screen
# test    lint, types, layers, manifest and all tests
# bench   a short form of the benchmarks
# docs    the pictures of the guide, taken from the real window, and the figures
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# tests run in as many processes as there are cores; a window and its engine need 2 GB
AT_ONCE := -n logical --maxprocesses 4 --dist worksteal
# a virtual screen where there is none
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a -s "-screen 0 1600x1000x24")

.PHONY: env demo test lint bench docs system

env: system $(STAMP)

system:
	@bash scripts/system-packages.sh

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: env
	$(BIN)/napari-fcn demo

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate src/napari_fcn/napari.yaml

test: lint
	$(BIN)/python -m pytest $(AT_ONCE)

bench: env
	$(SCREEN) $(BIN)/python -m benchmarks --short

docs: env
	$(SCREEN) $(BIN)/python scripts/screenshots.py docs/images
	$(SCREEN) $(BIN)/python scripts/screenshots_tasks.py docs/images
	$(SCREEN) $(BIN)/python scripts/theory_figures.py docs/images
	$(SCREEN) $(BIN)/python scripts/strokes_figure.py docs/images
