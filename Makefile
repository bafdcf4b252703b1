# Every target makes or updates .venv first, when the requirements have changed since.
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
EXTRAS := .[notebooks,dev]

# This environment's own kernel, even where another one named python3 is registered.
export JUPYTER_PATH := $(CURDIR)/.venv/share/jupyter
# Without bytecode every process would compile torch anew, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo cpu gpu test coverage lint types house lab env export clean

# The committed results stand: --force makes them again.
demo: env
	.venv/bin/dsco reproduce quick --force

cpu gpu: env
	.venv/bin/dsco reproduce $@

# One thread a worker: several workers with several threads each are slower than one.
test: env
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest tests nbs -q --nbval-lax --nbval-current-env -n auto --maxprocesses 8 --dist loadscope -p no:cacheprovider

# From tests/ alone, with a floor in pyproject.toml.
coverage: env
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest tests -q -n auto --maxprocesses 8 --dist loadscope -p no:cacheprovider --cov --cov-report=term

# The rules and the files not yet in order are in pyproject.toml.
lint: env
	.venv/bin/ruff check --no-cache .

types: env
	.venv/bin/pyright --pythonpath $(PYTHON)

# How long, wide and public the code is, beside what is wanted.
house: env
	$(PYTHON) tests/house.py

lab: env
	.venv/bin/jupyter lab nbs

env: $(INSTALLED)

# uv is several times faster than pip, which does the same where uv is not to be had.
$(INSTALLED): settings.ini setup.py
	python3 -m venv .venv
	if command -v uv >/dev/null; then uv pip install -q --python $(PYTHON) -e '$(EXTRAS)'; \
	else $(PYTHON) -m pip install -q uv && $(PYTHON) -m uv pip install -q --python $(PYTHON) -e '$(EXTRAS)'; fi \
	|| $(PYTHON) -m pip install -q -e '$(EXTRAS)'
	touch $@

export: env
	$(PYTHON) tests/export.py
	.venv/bin/jupyter nbconvert --log-level ERROR --clear-output --inplace nbs/*.ipynb
	.venv/bin/nbdev_clean
	$(PYTHON) -c "from pathlib import Path; from dsco.runs import render_readme; Path('README.md').write_text(render_readme(), encoding='utf-8')"

clean:
	rm -rf .venv build dist *.egg-info papermill_runs/*/*.partial papermill_runs/*/*.partial.ipynb papermill_runs/*/*.tmp
	find dsco nbs tests -name __pycache__ -prune -exec rm -rf {} +
