"Profiles: what is run, what is skipped, what a kill leaves, and whether the committed results belong to this code."
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsco.records import COLUMNS, read_rows, record, results, save_figure
from dsco.runs import LARGEST, RunError, code_cells, load_profile, reproduce, status

ROOT = Path(__file__).parent.parent
PROFILE = """
- {name: first, notebook: nbs/first.ipynb, parameters: {rows: 4}}
- {name: second, notebook: nbs/second.ipynb, needs: [first]}
"""
FIRST = ["import random, time\nfrom dsco.records import metric, record, save_figure", "rows = 2\npause = 0.0",
         "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1))\nax.plot([0, 1])\nsave_figure(fig, 'line')",
         "die = random.Random(0)\nfor i in range(rows):\n    record(dataset='digits', method='random', ipc=1, seed=i, accuracy=100 * die.random())\n    time.sleep(pause)",
         "import os\nmetric(rows=rows)\nprint(os.getcwd())"]
SECOND = ["from dsco.records import metric, results", "seed = 3", "metric(seen=len(results()))"]


def write_notebook(path: Path, sources: list[str], prose: str = "# A title") -> None:
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": prose}]
    for number, source in enumerate(sources):
        cells.append({"cell_type": "code", "id": f"cell-{number}", "metadata": {"tags": ["parameters"]} if number == 1 else {},
                      "execution_count": None, "outputs": [], "source": source})
    kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


def make_project(folder: Path) -> Path:
    "A project of two tiny notebooks with a copy of the package, so that its modules can be changed."
    (folder / "nbs").mkdir(parents=True)
    (folder / "papermill_runs").mkdir()
    shutil.copytree(ROOT / "dsco", folder / "dsco", ignore=shutil.ignore_patterns("__pycache__"))
    write_notebook(folder / "nbs/first.ipynb", FIRST)
    write_notebook(folder / "nbs/second.ipynb", SECOND)
    (folder / "papermill_runs/tiny.yaml").write_text(PROFILE)
    return folder


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A project whose profile was run without a disturbance. Tests copy it."
    folder = make_project(tmp_path_factory.mktemp("finished") / "project")
    reproduce("tiny", root=folder)
    return folder


@pytest.fixture
def done(finished, tmp_path):
    "A finished project to change."
    return Path(shutil.copytree(finished, tmp_path / "project"))


def states(folder: Path) -> list[str]:
    return [run.state for run in status("tiny", root=folder)]


def why(folder: Path) -> str:
    return "; ".join(run.why for run in status("tiny", root=folder))


def outcome(folder: Path) -> dict:
    "Everything a profile leaves that does not depend on the clock."
    runs = folder / "papermill_runs/tiny"
    record_of = {path.stem: json.loads(path.read_text()) for path in runs.glob("*.json")}
    return {"rows": read_rows(runs / "results.csv"), "metrics": {name: found["metrics"] for name, found in record_of.items()},
            "cells": {path.stem: code_cells(path) for path in runs.glob("*.ipynb")},
            "figure": (folder / "figures/tiny/line.png").read_bytes(), "files": sorted(path.name for path in runs.iterdir())}


def test_what_a_finished_profile_leaves(finished):
    runs = finished / "papermill_runs/tiny"
    assert states(finished) == ["fresh", "fresh"]
    assert {path.name for path in runs.iterdir()} - {"lock.tmp"} == {"first.ipynb", "first.json", "second.ipynb", "second.json", "results.csv"}
    assert [row["seed"] for row in results("tiny", root=finished)] == [0, 1, 2, 3]
    assert (runs / "results.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {row["notebook"] for row in results("tiny", root=finished)} == {"first"}
    written = json.loads((runs / "second.json").read_text())
    assert written["metrics"] == {"seen": 4} and written["seed"] == 3 and written["figures"] == [] and written["seconds"] > 0
    assert {"python", "torch", "diffusers", "dsco"} <= written["versions"].keys() and written["device"]
    assert (finished / "figures/tiny/line.png").read_bytes().startswith(b"\x89PNG")


def test_no_path_of_this_machine_is_kept(finished):
    text = (finished / "papermill_runs/tiny/first.ipynb").read_text()
    for path in (finished, sys.prefix, f"{Path.home()}/"):
        assert str(path) not in text
    assert "./nbs" in text


def test_executed_notebook_shows_the_current_code(finished):
    for name in ("first", "second"):
        assert code_cells(finished / f"papermill_runs/tiny/{name}.ipynb") == code_cells(finished / f"nbs/{name}.ipynb")


def test_fresh_runs_are_skipped(done):
    before = (done / "papermill_runs/tiny/first.json").read_bytes()
    reproduce("tiny", root=done)
    assert (done / "papermill_runs/tiny/first.json").read_bytes() == before


def test_prose_and_comments_in_modules_do_not_make_stale(done):
    write_notebook(done / "nbs/first.ipynb", FIRST, prose="# A better title")
    module = done / "dsco/records.py"
    module.write_text("# a comment\n" + module.read_text().replace("A row a trained network", "One row for each trained network"))
    assert states(done) == ["fresh", "fresh"]


EXPORTED = "#| export\ndef half(x):\n    return x / 2"
CHECKED = """#| export
def check_half(x) -> None:
    if x % 2:
        raise ValueError(f"x is {x}, but it must be even: add 1.")


def half(x):
    "Half of x."
    check_half(x)
    return x / 2"""


def test_a_check_makes_nothing_stale_and_is_shown(project):
    "In a module and in an exported cell alike; the executed notebook keeps its outputs and shows the cell of today."
    last = "metric(half=half(4))\nhalf(4)"
    write_notebook(project / "nbs/second.ipynb", [*SECOND, EXPORTED, last])
    reproduce("tiny", root=project)
    write_notebook(project / "nbs/second.ipynb", [*SECOND, "#| export\n# a note", CHECKED, last])
    module = project / "dsco/records.py"
    module.write_text(module.read_text().replace("def stage(", "def check_stage(name: str) -> None:\n    if not name:\n        raise ValueError\n\n\ndef stage(")
                      .replace("    if run := current_run():\n        with", "    check_stage(name)\n    if run := current_run():\n        with"))
    assert "check_stage(name)\n" in module.read_text() and states(project) == ["fresh", "fresh"]
    reproduce("tiny", root=project)
    executed = project / "papermill_runs/tiny/second.ipynb"
    assert code_cells(executed) == code_cells(project / "nbs/second.ipynb") and states(project) == ["fresh", "fresh"]
    assert "2.0" in str(json.loads(executed.read_text())["cells"][-1]["outputs"])
    write_notebook(project / "nbs/second.ipynb", [*SECOND, CHECKED.replace("x / 2", "x / 3"), last])
    assert states(project) == ["fresh", "stale"]


def test_code_makes_stale_what_needs_it(done):
    write_notebook(done / "nbs/first.ipynb", [*FIRST, "1 + 1"])
    assert states(done) == ["stale", "stale"] and "code cells" in why(done) and "first, which it needs" in why(done)


def test_code_of_the_last_run_makes_only_that_stale(done):
    write_notebook(done / "nbs/second.ipynb", [*SECOND, "1 + 1"])
    assert states(done) == ["fresh", "stale"]


def test_parameter_makes_stale(done):
    (done / "papermill_runs/tiny.yaml").write_text(PROFILE.replace("rows: 4", "rows: 5"))
    assert states(done) == ["stale", "stale"] and "parameter rows" in why(done)


def test_module_makes_stale(done):
    with open(done / "dsco/records.py", "a") as file:
        file.write("\nADDED = 1\n")
    assert states(done) == ["stale", "stale"] and "module dsco.records" in why(done)


def test_module_that_no_run_uses_does_not_make_stale(done):
    with open(done / "dsco/data.py", "a") as file:
        file.write("\nADDED = 1\n")
    assert states(done) == ["fresh", "fresh"]


@pytest.mark.parametrize("path, state", [
    ("papermill_runs/tiny/first.json", "missing"), ("papermill_runs/tiny/first.ipynb", "stale"),
    ("papermill_runs/tiny/results.csv", "stale"), ("figures/tiny/line.png", "stale")])
def test_lost_file(done, path, state):
    (done / path).unlink()
    assert states(done) == [state, "fresh"]


def test_broken_record_counts_as_missing(done):
    (done / "papermill_runs/tiny/first.json").write_text('{"name": ')
    assert states(done) == ["missing", "fresh"]


@pytest.mark.parametrize("text, words", [
    (PROFILE.replace("rows: 4", "rwos: 4"), ["'rwos'", "first", "rows, pause"]),
    (PROFILE.replace("first.ipynb", "none.ipynb"), ["nbs/none.ipynb", "no such file"]),
    (PROFILE.replace("needs: [first]", "needs: [frist]"), ["'frist'", "first, second"]),
    (PROFILE.replace("parameters: {rows: 4}", "needs: [second]"), ["circle", "first", "second"]),
    (PROFILE.replace("name: second", "name: first"), ["'first' twice"]),
    (PROFILE.replace("name: second", "name: a/b"), ["'a/b'", "file name"]),
    (PROFILE.replace("needs:", "need:"), ["need", "correct the keys"]),
    (PROFILE.replace("needs: [first]", "needs: first"), ["second", "[run, run]"]),
    ("runs: [", ["not valid YAML"]), ("", ["no list of runs"]), ("- first", ["'first'", "name and notebook"])])
def test_wrong_profile_is_one_sentence_before_any_work(project, text, words):
    (project / "papermill_runs/tiny.yaml").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        reproduce("tiny", root=project)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)
    assert not (project / "papermill_runs/tiny").exists()


def test_unknown_names(project):
    with pytest.raises(FileNotFoundError, match="'tyni', but the profiles are tiny"):
        status("tyni", root=project)
    with pytest.raises(ValueError, match="'third', but the runs are first, second"):
        reproduce("tiny", root=project, only=["third"])
    with pytest.raises(FileNotFoundError, match="no papermill_runs"):
        load_profile("tiny", root=project / "nbs")


def test_killed_and_resumed_is_as_if_nothing_had_happened(done, tmp_path):
    "Killed in the middle of its rows, with earlier results in place."
    expected = outcome(done)
    before = (done / "papermill_runs/tiny/results.csv").read_bytes()
    slow = [source.replace("time.sleep(pause)", "time.sleep(0.5)") for source in FIRST]
    write_notebook(done / "nbs/first.ipynb", slow)
    code = "import sys; from dsco.runs import reproduce; reproduce('tiny', root=sys.argv[1])"
    with open(tmp_path / "log.txt", "w") as log:
        process = subprocess.Popen([sys.executable, "-c", code, str(done)], cwd=ROOT, stdout=log, stderr=log)
    while not list(done.glob("papermill_runs/tiny/*.partial/rows.jsonl")):
        assert process.poll() is None, (tmp_path / "log.txt").read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (done / "papermill_runs/tiny/results.csv").read_bytes() == before and states(done) == ["stale", "stale"]
    write_notebook(done / "nbs/first.ipynb", FIRST)
    assert [run.state for run in reproduce("tiny", root=done, only=["first"], force=True)] == ["fresh", "fresh"]
    assert outcome(done) == expected


def test_failed_run_keeps_what_was_there(done, capsys):
    before = outcome(done)
    write_notebook(done / "nbs/second.ipynb", [*SECOND[:2], "raise ValueError('no luck.')"])
    with pytest.raises(RunError, match=r"run second stopped in cell .*no luck\. Its notebook so far is .*second.partial.ipynb"):
        reproduce("tiny", root=done)
    assert "no luck" in capsys.readouterr().err
    (done / "papermill_runs/tiny/second.partial.ipynb").unlink()
    assert outcome(done) == before


def test_large_notebook_is_an_error(done):
    write_notebook(done / "nbs/second.ipynb", [*SECOND, f"print('x' * {LARGEST + 1})"])
    with pytest.raises(RunError, match="run second gave a notebook of 1.0 MB"):
        reproduce("tiny", root=done)
    assert states(done) == ["fresh", "stale"]


def test_two_at_once(done):
    import fcntl

    with open(done / "papermill_runs/tiny/lock.tmp", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process"):
            reproduce("tiny", root=done)


def test_by_hand_nothing_is_written(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    monkeypatch.delenv("DSCO_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    assert record(dataset="digits", accuracy=90)[0]["accuracy"] == 90.0
    save_figure(Figure(), "empty")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("columns, words", [
    ({"acuracy": 90}, "acuracy"), ({"notebook": "mine"}, "notebook"), ({"accuracy": "high"}, "accuracy is 'high'"),
    ({"seed": "a"}, "seed is 'a'"), ({"labels": "firm"}, "hard, soft"), ({"matched": "time"}, "steps, epochs"), ({"seed": [0, 1], "accuracy": [1, 2, 3]}, "agree")])
def test_wrong_row(columns, words):
    with pytest.raises((TypeError, ValueError), match=words):
        record(**columns)


def test_wrong_figure_name(monkeypatch):
    monkeypatch.delenv("DSCO_RUN", raising=False)
    with pytest.raises(ValueError, match="file name"):
        save_figure(None, "../up")


def test_committed_quick_results_are_fresh():
    assert [str(run) for run in status("quick", root=ROOT) if run.state != "fresh"] == [], "run dsco reproduce quick"


def test_committed_quick_notebooks_come_from_the_current_sources():
    for name, spec in load_profile("quick", root=ROOT).items():
        executed = ROOT / f"papermill_runs/quick/{name}.ipynb"
        assert code_cells(executed) == code_cells(ROOT / spec.notebook), name
        assert executed.stat().st_size <= LARGEST, name
