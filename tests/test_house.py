"The figures of the house get no worse, and are counted as they say."

import ast

import pytest
from house import (
    HIGH,
    LIMITS,
    TARGETS,
    figures,
    holds,
    imported,
    lines_of_checks,
    make_module,
    parameters,
)


@pytest.fixture(scope="module")
def today():
    return figures()


@pytest.mark.parametrize("name", TARGETS)
def test_figure_is_within_its_limit(name, today):
    assert holds(name, today[name], LIMITS[name]), (
        f"{name} is {today[name]:g}, but the limit is {LIMITS[name]:g}"
    )


def test_no_limit_is_stricter_than_its_target():
    assert TARGETS.keys() == LIMITS.keys() and HIGH < TARGETS.keys()
    assert all(holds(name, TARGETS[name], LIMITS[name]) for name in TARGETS)


SAMPLE = """
# %% ../nbs/07_sample.ipynb #00000000
__all__ = ["paint"]


@dataclass
class Options:
    colour: str
    width: int = 3

    def __post_init__(self):
        if self.width < 1:
            raise ValueError("width")


@dataclass
class Derived:
    width: int

    def __post_init__(self):
        self.area = self.width**2

    def check(self):
        def check_inner():
            pass


def checker():
    pass


def _check_brush(x):
    pass


def paint(wall, *, colour, **options):
    "Paint; `options`: fields of `Options`."
"""


def test_what_is_counted():
    sample = make_module("sample", SAMPLE)
    assert sample.notebooks == {"07_sample"} and sample.public == ["paint"]
    assert parameters([sample], "paint") == {"wall", "colour", "width"}
    assert lines_of_checks(sample.tree) == 3 + 3 + 2


def test_what_counts_as_used():
    tree = ast.parse(
        "from .data import a\nfrom dsco.data import b as c\nfrom dsco import runs\nimport dsco.prior\nruns.d()\n"
        "dsco.prior.e()\nother.f()\nfrom torch import g"
    )
    assert imported(tree) == {
        ("data", "a"),
        ("data", "b"),
        ("", "runs"),
        ("runs", "d"),
        ("prior", "e"),
    }
