"The wheel by itself: the README's lines and the command line, where no extra is installed."

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What only the extras bring. transformers is asked for by nobody here, and must not be needed.
HIDDEN = (
    "pandas",
    "seaborn",
    "matplotlib",
    "papermill",
    "nbformat",
    "nbconvert",
    "IPython",
    "pyarrow",
    "datasets",
    "ot",
    "nbdev",
    "execnb",
    "fastcore",
    "transformers",
)

# The README's lines, with numbers that take seconds.
LINES = """
import dsco
from dsco import load_data, Prior, Recipe, concentrate, distill, evaluate, plan, ConcentratedSet
assert dsco.__file__.startswith({folder!r}), dsco.__file__
data = load_data("digits")
prior = Prior.fit(data.train, architecture="dit", steps=3, width=16, depth=1, seed=0, progress=False)
small = concentrate(prior, ipc=1, data=data.train, recipe=Recipe(1, steps=1), progress=False)
result = evaluate(small, data.test, protocol="quick", seeds=1, steps=2, progress=False)
print(result)
small.save("my-set")
assert len(ConcentratedSet.load("my-set")) == len(small) == 10
"""


def run(*command: str, cwd: Path, path: str) -> str:
    "Standard output of a command that must succeed, with `path` as the only PYTHONPATH."
    env = {**os.environ, "PYTHONPATH": path, "DSCO_CACHE": str(cwd / "cache")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    "A folder with the installed wheel, and with a start-up file that hides the extras."
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source")  # a build leaves files beside its sources
    for name in ("setup.py", "settings.ini", "README.md", "pyproject.toml", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    (source / "dsco").mkdir()
    for file in [*(ROOT / "dsco").glob("*.py"), ROOT / "dsco" / "py.typed"]:
        (source / "dsco" / file.name).write_bytes(file.read_bytes())
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(wheels),
        str(source),
        cwd=source,
        path="",
    )
    (wheel,) = wheels.glob("*.whl")
    run(
        *pip,
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
        cwd=source,
        path="",
    )
    hide = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN!r}))\n"
    (folder / "sitecustomize.py").write_text(hide, encoding="utf-8")
    return folder


def test_wheel_says_that_it_is_typed(installed):
    assert (installed / "dsco" / "py.typed").is_file()


def test_extras_are_hidden(installed, tmp_path):
    code = f"for name in {HIDDEN!r}:\n    try:\n        __import__(name)\n    except ImportError:\n        print(name)"
    assert run(sys.executable, "-c", code, cwd=tmp_path, path=str(installed)).split() == list(
        HIDDEN
    )


def test_the_lines_of_the_readme(installed, tmp_path):
    assert "quick" in run(
        sys.executable, "-c", LINES.format(folder=str(installed)), cwd=tmp_path, path=str(installed)
    )


def test_the_command_line(installed, tmp_path):
    # A share is given: where pandas is hidden so, scikit-learn, which the trial of shares asks, falls over it.
    words = "concentrate --data digits --ipc 1 --steps 2 --updates 1 --doping 0 --out small".split()
    said = run(
        sys.executable, str(installed / "bin" / "dsco"), *words, cwd=tmp_path, path=str(installed)
    )
    assert "saved in small" in said and (tmp_path / "small" / "metadata.jsonl").is_file()
