"""The figures of the house: how long, how wide and how public the code is. `make house` prints them.

Everything is counted from the syntax of `dsco/*.py` (without `__init__`) and of the notebooks:

- *parameters*: of a function, without `self`; where it takes `**options` that its docstring calls "fields of `Recipe`",
  the fields of that dataclass count too, each name once.
- *lines of checks*: all lines of functions and methods called `check`, `check_…` or `_check_…`, and of every
  `__post_init__` that sets nothing.
- *wide*: a line of more than 100 columns in an exported cell.
- *used*: a public name (one in an `__all__`) that another module, a notebook other than those it comes from, a test or
  the top level of the package imports.
- *lines of an export cell*: without its directives.
"""

import ast
import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent

# What is wanted. A share is in percent; "used" is the one figure that should be high.
TARGETS = {
    "parameters of distill": 13,
    "parameters of concentrate": 12,
    "lines of the package": 5700,
    "lines of checks": 300,
    "lines of the largest module": 450,
    "wide lines, %": 0,
    "public names": 150,
    "used public names, %": 80,
    "lines of an export cell, median": 14,
    "lines of an export cell, 90th percentile": 40,
    "runs without a replay": 0,
}
# What is reached, where that is not yet the target. A figure may only get better: lower its limit when it does.
# Only a new method may raise one: soft labels and the peers of chapter 40 brought 600 lines, ten names and three lines of checks;
# priors on latents, real images first in a search, hard images and runs that remember what they kept 300 lines, a name and ten lines of checks.
# A search that goes on from part way, budgets in calls, the error of the test images and networks that take turns and kept memory 125 lines, two names and a line of checks.
# Files of every kind and images larger than memory, sets that other libraries read and that are doubted when they are read, blocks of
# classes for any number of processes, jobs within minutes and the protocols of ImageNet brought 1,740 lines, four names and 70 lines of checks.
# (Lines of the package were 6,912 while a quarter of them was wider than 100 columns: the same code takes more lines now.)
LIMITS = TARGETS | {
    "lines of the package": 11750,
    "lines of checks": 503,
    "public names": 167,
}
HIGH = {"used public names, %"}


@dataclass(frozen=True)
class Module:
    "One exported module: its name, its text, its syntax and the notebooks that it comes from."

    name: str
    text: str
    tree: ast.Module
    notebooks: frozenset[str]

    @property
    def public(self) -> list[str]:
        "The names of its `__all__`."
        return next(
            (ast.literal_eval(node.value) for node in self.tree.body if assigns(node, "__all__")),
            [],
        )


def assigns(node: ast.AST, name: str) -> bool:
    "Whether `node` assigns a value to `name`."
    return isinstance(node, ast.Assign) and any(
        isinstance(t, ast.Name) and t.id == name for t in node.targets
    )


def modules(root: Path = ROOT) -> list[Module]:
    "The exported modules of the package, by name."
    paths = sorted(path for path in (root / "dsco").glob("*.py") if not path.name.startswith("_"))
    return [make_module(path.stem, path.read_text(encoding="utf-8")) for path in paths]


def make_module(name: str, text: str) -> Module:
    "A module from its text; nbdev writes the notebook of every cell above it."
    return Module(
        name,
        text,
        ast.parse(text),
        frozenset(re.findall(r"^# %% \S*?([^/\s]+)\.ipynb", text, re.M)),
    )


def functions(tree: ast.AST, name: str) -> list[ast.FunctionDef]:
    "All functions and methods called `name` in a tree."
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name
    ]


def fields(module: Module, name: str) -> list[str]:
    "Fields of the dataclass `name`."
    found = [
        node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return [node.target.id for node in found[0].body if isinstance(node, ast.AnnAssign)]


def parameters(houses: list[Module], name: str) -> set[str]:
    "Names that may be passed to the public function `name`."
    module = next(m for m in houses if name in m.public and functions(m.tree, name))
    function = functions(module.tree, name)[0]
    arguments = function.args
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    if arguments.kwarg is None:
        return names
    options = re.search(r"fields of `(\w+)`", ast.get_docstring(function) or "")
    assert options, (
        f"{name} takes **{arguments.kwarg.arg}, but its docstring does not say the fields of what"
    )
    home = next(m for m in houses if defines_class(m, options[1]))
    return names | set(fields(home, options[1]))


def defines_class(module: Module, name: str) -> bool:
    "Whether the module defines the class `name`."
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in module.tree.body)


def length(node: ast.FunctionDef) -> int:
    "Lines of a function, with its decorators."
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return node.end_lineno - first + 1


def is_check(node: ast.AST) -> bool:
    "Whether a function only guards: by its name, or as a `__post_init__` that sets nothing."
    if not isinstance(node, ast.FunctionDef):
        return False
    return bool(re.fullmatch(r"_?check(_.*)?", node.name)) or (
        node.name == "__post_init__" and not sets_something(node)
    )


def sets_something(function: ast.FunctionDef) -> bool:
    "Whether a method gives its object an attribute."
    stores = [n for n in ast.walk(function) if isinstance(n, ast.Attribute)]
    return any(isinstance(n.ctx, ast.Store) or n.attr == "__setattr__" for n in stores)


def lines_of_checks(tree: ast.AST) -> int:
    "Lines of all functions that only guard; one inside another counts once."
    total = 0
    for node in ast.iter_child_nodes(tree):
        total += length(node) if is_check(node) else lines_of_checks(node)
    return total


def imported(tree: ast.AST) -> set[tuple[str, str]]:
    "(module, name) of everything that a tree takes from a module of the package, by import or as an attribute."
    found, known = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (
            node.level == 1 or (node.module or "").split(".")[0] == "dsco"
        ):
            home = (node.module or "").removeprefix("dsco").removeprefix(".")
            found |= {(home, alias.name) for alias in node.names}
            known |= {alias.asname or alias.name: alias.name for alias in node.names if not home}
        elif isinstance(node, ast.Import):
            known |= {
                a.name: a.name.removeprefix("dsco.")
                for a in node.names
                if a.name.startswith("dsco.")
            }
            known |= {a.asname: a.name.removeprefix("dsco.") for a in node.names if a.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in known:
            found.add((known[ast.unparse(node.value)], node.attr))
    return found


def code_cells(path: Path) -> list[str]:
    "The code cells of a notebook."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def used_names(houses: list[Module], root: Path = ROOT) -> set[tuple[str, str]]:
    "(module, name) of the public names that somebody else takes."
    takers = [({m.name}, imported(m.tree)) for m in houses]
    for path in (root / "nbs").glob("*.ipynb"):
        own = {m.name for m in houses if path.stem in m.notebooks}
        takers.append((own, imported(ast.parse("\n".join(code_cells(path))))))
    for path in (root / "tests").glob("*.py"):
        takers.append((set(), imported(ast.parse(path.read_text(encoding="utf-8")))))
    taken = {(home, name) for own, names in takers for home, name in names if home not in own}
    return taken | at_the_top(root)


def at_the_top(root: Path) -> set[tuple[str, str]]:
    "(module, name) of what the package itself offers: the table in its `__init__`."
    tree = ast.parse((root / "dsco" / "__init__.py").read_text(encoding="utf-8"))
    homes = next(ast.literal_eval(node.value) for node in tree.body if assigns(node, "_HOMES"))
    return {(home, name) for name, home in homes.items()}


def export_cells(root: Path = ROOT) -> list[list[str]]:
    "The lines of every exported cell, without its directives."
    cells = [cell for path in (root / "nbs").glob("*.ipynb") for cell in code_cells(path)]
    exported = [cell.splitlines() for cell in cells if re.match(r"#\|\s*export", cell)]
    return [[line for line in lines if not line.startswith("#|")] for lines in exported]


def profiles(root: Path = ROOT) -> dict[str, tuple[int, int]]:
    "Runs of each profile, and how many of them have a replay."
    found = {}
    for path in sorted((root / "papermill_runs").glob("*.yaml")):
        runs = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[path.stem] = len(runs), sum("replay" in run for run in runs)
    return found


def figures(root: Path = ROOT) -> dict[str, float]:
    "Every figure that has a target, by its name in `TARGETS`."
    houses, cells, runs = modules(root), export_cells(root), profiles(root)
    lines, lengths = [line for cell in cells for line in cell], [len(cell) for cell in cells]
    public = {(m.name, name) for m in houses for name in m.public}
    return {
        "parameters of distill": len(parameters(houses, "distill")),
        "parameters of concentrate": len(parameters(houses, "concentrate")),
        "lines of the package": sum(len(m.text.splitlines()) for m in houses),
        "lines of checks": sum(lines_of_checks(m.tree) for m in houses),
        "lines of the largest module": max(len(m.text.splitlines()) for m in houses),
        "wide lines, %": round(100 * sum(len(line) > 100 for line in lines) / len(lines), 1),
        "public names": len(public),
        "used public names, %": round(
            100 * len(public & used_names(houses, root)) / len(public), 1
        ),
        "lines of an export cell, median": statistics.median(lengths),
        "lines of an export cell, 90th percentile": statistics.quantiles(lengths, n=10)[-1],
        "runs without a replay": sum(count - replayed for count, replayed in runs.values()),
    }


def holds(name: str, value: float, limit: float) -> bool:
    "Whether a figure is no worse than `limit`."
    return value >= limit if name in HIGH else value <= limit


def table() -> str:
    "All figures beside their limits and targets, as text."
    rows = [f"{'figure':42}{'today':>8}{'limit':>8}{'target':>8}"]
    for name, value in figures().items():
        mark = "" if holds(name, value, TARGETS[name]) else "not yet"
        rows.append(f"{name:42}{value:8g}{LIMITS[name]:8g}{TARGETS[name]:8g}  {mark}".rstrip())
    for name, (count, replayed) in profiles().items():
        rows.append(f"profile {name}: {count} runs, {replayed} with a replay")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
