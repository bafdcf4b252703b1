"What ruff and pyright have to say; their rules are in pyproject.toml."

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def said_by(*words: str) -> str:
    "What a tool prints when it runs at the top of the project; nothing when all is well."
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [["check", "--no-cache"], ["format", "--no-cache", "--check", "tests"]]
)
def test_ruff_has_nothing_to_say(words):
    assert said_by("ruff", *words) == ""


def test_annotations_are_true():
    assert said_by("pyright", "--pythonpath", sys.executable) == ""
