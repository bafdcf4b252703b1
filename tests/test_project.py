"The repository is in step with its notebooks."

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.stem != "index"]
EXPORTING = [path for path in CHAPTERS if "#| default_exp" in path.read_text(encoding="utf-8")]


def name(path: Path) -> str:
    return path.stem


def cells_of(path: Path) -> list[dict]:
    return [
        {**cell, "source": "".join(cell["source"])}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    "The package as it is exported now, in a folder of its own that lies as deep as the real one."
    from export import export

    folder = tmp_path_factory.mktemp("project")
    (folder / "nbs").mkdir()
    (folder / "dsco").mkdir()
    for path in EXPORTING:
        (folder / "nbs" / path.name).write_bytes(path.read_bytes())
    export(folder / "nbs", folder / "dsco")
    return folder / "dsco"


def test_every_module_comes_from_a_notebook(exported):
    modules = {path.name for path in (ROOT / "dsco").glob("*.py")} - {"__init__.py"}
    assert {path.name for path in exported.glob("*.py")} == modules


@pytest.mark.parametrize("path", sorted((ROOT / "dsco").glob("[!_]*.py")), ids=name)
def test_module_is_what_its_notebook_exports(path, exported):
    assert path.read_text(encoding="utf-8") == (exported / path.name).read_text(encoding="utf-8"), (
        "run make export"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_notebook_is_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (
        notebook["metadata"].keys() <= {"kernelspec"}
        and notebook["metadata"]["kernelspec"]["name"] == "python3"
    )
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["metadata"].keys() <= {"tags"}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_cleaning_changes_nothing(path):
    "The file is written the way nbdev writes it."
    from execnb.nbio import dict2nb, nb2str
    from nbdev.clean import clean_nb

    text = path.read_text(encoding="utf-8")
    notebook = dict2nb(json.loads(text))
    clean_nb(notebook, allowed_cell_metadata_keys=["tags"], clean_ids=False)
    assert nb2str(notebook) == text, "run make export"


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_notebook_says_what_it_is(path):
    cells = cells_of(path)
    texts = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    assert texts[0].startswith("# ") and "\n> " in texts[0]
    for row in ("Shows", "Exports", "Needs", "Takes"):
        assert f"| **{row}** |" in texts[1]
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in cells) == 1
    if path in EXPORTING:
        assert cells[0]["source"].startswith("#| default_exp")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_cells_are_plain_python(path):
    "No magic, no cell that another tool would skip, no export hidden below the first lines of its cell."
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            ast.parse(cell["source"])
            directives = [
                number
                for number, line in enumerate(cell["source"].splitlines())
                if line.startswith("#|")
            ]
            assert directives == list(range(len(directives))) and "#| eval" not in cell["source"]


def test_readme_is_the_rendered_index():
    from dsco.runs import render_readme

    assert (ROOT / "README.md").read_text(encoding="utf-8") == render_readme(root=ROOT), (
        "run make export"
    )


def seconds_to_import(module: str) -> float:
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return float(
        subprocess.run(
            [sys.executable, "-c", f"import torch; {code}"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    )


def test_import_is_fast():
    "Beyond torch. The smaller of two, because a machine under load is slow now and then."
    assert min(seconds_to_import("dsco") for _ in range(2)) < 2
