"Profiles: what is run, what is skipped, what a kill leaves, and which results still stand."

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsco.core import cache_folder
from dsco.profiles import code_cells, content_id, load_profile, read_record, status
from dsco.records import COLUMNS, read_rows, record, results, save_figure
from dsco.replay import outside, rehearse, spot, verify, write_table
from dsco.runs import LARGEST, RunError, reproduce

ROOT = Path(__file__).parent.parent
PROFILE = """
- {name: first, notebook: nbs/first.ipynb, parameters: {rows: 4}, replay: {rows: 2}}
- {name: second, notebook: nbs/second.ipynb, needs: [first]}
"""
FIRST = [
    "import random, time\nfrom dsco.records import metric, record, save_figure",
    "rows = 2\npause = 0.0",
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1))\nax.plot([0, 1])\nsave_figure(fig, 'line')",
    "die = random.Random(0)\nfor i in range(rows):\n    record(dataset='digits', method='random', ipc=1, seed=i, accuracy=100 * die.random())\n    time.sleep(pause)",
    "import os\nmetric(rows=rows)\nprint(os.getcwd())",
]
SECOND = ["from dsco.records import metric, results", "seed = 3", "metric(seen=len(results()))"]


def write_notebook(path: Path, sources: list[str], prose: str = "# A title") -> None:
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": prose}]
    for number, source in enumerate(sources):
        cells.append(
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {"tags": ["parameters"]} if number == 1 else {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
        )
    kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    path.write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )


def make_project(folder: Path) -> Path:
    "A git repository of two tiny notebooks with a copy of the package, so that its modules can be changed."
    (folder / "nbs").mkdir(parents=True)
    (folder / "papermill_runs").mkdir()
    shutil.copytree(ROOT / "dsco", folder / "dsco", ignore=shutil.ignore_patterns("__pycache__"))
    write_notebook(folder / "nbs/first.ipynb", FIRST)
    write_notebook(folder / "nbs/second.ipynb", SECOND)
    (folder / "papermill_runs/tiny.yaml").write_text(PROFILE)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
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
    return {
        "rows": read_rows(runs / "results.csv"),
        "metrics": {name: found["metrics"] for name, found in record_of.items()},
        "cells": {path.stem: code_cells(path) for path in runs.glob("*.ipynb")},
        "figure": (folder / "figures/tiny/line.png").read_bytes(),
        "files": sorted(path.name for path in runs.iterdir()),
    }


def test_what_a_finished_profile_leaves(finished):
    runs = finished / "papermill_runs/tiny"
    assert states(finished) == ["current", "current"]
    assert {path.name for path in runs.iterdir()} - {"lock.tmp"} == {
        "first.ipynb",
        "first.json",
        "second.ipynb",
        "second.json",
        "results.csv",
    }
    assert [row["seed"] for row in results("tiny", root=finished)] == [0, 1, 2, 3]
    assert (runs / "results.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {row["notebook"] for row in results("tiny", root=finished)} == {"first"}
    written = json.loads((runs / "second.json").read_text())
    assert (
        written["made"]["dsco"] == content_id(finished, "dsco")
        and written["made"]["needs"]["first"][0] == 4
    )
    assert {row["made"] for row in results("tiny", root=finished)} == {written["made"]["dsco"][:12]}
    assert (
        written["metrics"] == {"seen": 4}
        and written["seed"] == 3
        and written["figures"] == []
        and written["seconds"] > 0
    )
    assert {"python", "torch", "diffusers", "dsco"} <= written["versions"].keys() and written[
        "device"
    ]
    assert (finished / "figures/tiny/line.png").read_bytes().startswith(b"\x89PNG")


def test_no_path_of_this_machine_is_kept(finished):
    text = (finished / "papermill_runs/tiny/first.ipynb").read_text()
    for path in (finished, sys.prefix, f"{Path.home()}/"):
        assert str(path) not in text
    assert "./nbs" in text


def test_executed_notebook_shows_the_current_code(finished):
    for name in ("first", "second"):
        assert code_cells(finished / f"papermill_runs/tiny/{name}.ipynb") == code_cells(
            finished / f"nbs/{name}.ipynb"
        )


def test_current_runs_are_skipped(done):
    before = (done / "papermill_runs/tiny/first.json").read_bytes()
    reproduce("tiny", root=done)
    assert (done / "papermill_runs/tiny/first.json").read_bytes() == before


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_comment_opens_every_result_and_a_replay_closes_it(done):
    "Nothing is made again: the records and the rows stay, and say what was checked."
    rows = (done / "papermill_runs/tiny/results.csv").read_bytes()
    change(done / "dsco/records.py", "def record(", "# a comment\ndef record(")
    assert states(done) == ["open", "open"] and "the package has changed" in why(done)
    assert verify("tiny", root=done) == {}
    assert states(done) == ["replayed", "replayed"] and "numbers agree" in why(done)
    assert (done / "papermill_runs/tiny/results.csv").read_bytes() == rows
    proof = read_record("first", "tiny", done)["replayed"]
    assert proof["compared"] > 0 and proof["content"]["dsco"] == content_id(done, "dsco")
    change(done / "dsco/records.py", "# a comment\ndef record(", "# another\ndef record(")
    assert states(done) == ["open", "open"]


def test_a_changed_number_is_named(done):
    change(done / "nbs/first.ipynb", "100 * die.random()", "99 * die.random()")
    [(run, differ)] = verify("tiny", root=done).items()
    assert run == "first" and any("accuracy" in name for name in differ)
    assert states(done)[0] == "open"


def test_a_clock_is_no_difference(done):
    "What is handed over as a timing is in the record, and no replay compares it."
    write_notebook(
        done / "nbs/second.ipynb",
        [
            "import time\nfrom dsco.records import metric, timing",
            "seed = 3",
            "metric(seen=1)\ntiming(now=time.time())",
        ],
    )
    reproduce("tiny", root=done)
    written = read_record("second", "tiny", done)
    assert written["timings"] == ["now"] and written["metrics"].keys() == {"seen", "now"}
    change(done / "nbs/second.ipynb", "time.time()", "1 + time.time()")
    assert (
        verify("tiny", root=done) == {}
        and read_record("second", "tiny", done)["replayed"]["compared"] == 1
    )


def test_a_replay_sees_what_it_needs_by_the_same_content(done):
    "The second run counts the rows of the first: two in a replay, by both contents."
    change(done / "nbs/second.ipynb", "len(results())", "len(list(results()))")
    assert verify("tiny", root=done) == {} and states(done) == ["current", "replayed"]


def test_the_command_line_verifies_and_says_what_differs(done, capsys):
    from dsco.cli import main

    change(done / "nbs/second.ipynb", "len(results())", "len(list(results()))")
    assert main(["reproduce", "tiny", "--verify", "--root", str(done)]) == 0
    assert "second" in (said := capsys.readouterr().out) and "replayed" in said
    change(done / "nbs/second.ipynb", "len(list(results()))", "1 + len(list(results()))")
    assert main(["reproduce", "tiny", "--verify", "--only", "second", "--root", str(done)]) == 1
    assert "second: 1, first seen ('2', '3')" in capsys.readouterr().err


def test_moved_and_renamed_is_replayed(done):
    "The record names the notebook that made it, wherever it lies today."
    (done / "nbs/first.ipynb").rename(done / "nbs/moved.ipynb")
    (done / "papermill_runs/tiny.yaml").write_text(PROFILE.replace("nbs/first", "nbs/moved"))
    assert states(done) == ["current", "current"]  # the content is the same, whatever its name


def test_without_git_nobody_can_know(done):
    shutil.rmtree(done / ".git")
    assert states(done) == ["unknown", "unknown"] and "no git" in why(done)
    with pytest.raises(RunError, match="no git"):
        verify("tiny", root=done)
    reproduce("tiny", root=done)  # what is there is left alone
    assert states(done) == ["unknown", "unknown"]


def test_a_result_is_made_without_git(project):
    shutil.rmtree(project / ".git")
    assert [run.state for run in reproduce("tiny", root=project)] == ["unknown", "unknown"]


def test_a_lost_content_is_named(done, monkeypatch, tmp_path):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))  # where no replay is remembered
    change(done / "dsco/records.py", "def record(", "# a comment\ndef record(")
    shutil.rmtree(done / ".git")
    subprocess.run(["git", "init", "--quiet", str(done)], check=True)
    with pytest.raises(RunError, match="git has no content .* fetch the whole history"):
        verify("tiny", root=done)


def test_parameter_opens_and_cannot_be_replayed(done):
    (done / "papermill_runs/tiny.yaml").write_text(PROFILE.replace("rows: 4", "rows: 5"))
    assert states(done)[0] == "open" and "parameter rows" in why(done)
    assert verify("tiny", root=done) == {} and states(done)[0] == "open"


def test_new_rows_of_a_need_open_what_reads_them(done):
    (done / "papermill_runs/tiny.yaml").write_text(PROFILE.replace("rows: 4", "rows: 5"))
    reproduce("tiny", root=done, only=["first"])
    assert states(done) == ["current", "open"] and "what it needs" in why(done)


KEEPING = [
    "from dsco.records import keep, metric, record, save_figure",
    "rows = 2\npause = 0.0",
    "found = keep('found', lambda: [1.5, 2.5])\nmetric(found=found[0])",
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1))\nax.plot(found)\nsave_figure(fig, 'line')",
]


def test_drawn_from_what_was_kept(project):
    "The figure is new, the numbers are not made again."
    write_notebook(project / "nbs/first.ipynb", KEEPING)
    reproduce("tiny", root=project, only=["first"])
    kept, figure = (
        project / "papermill_runs/tiny/sets/first/found.json",
        project / "figures/tiny/line.png",
    )
    before, picture, written = (
        kept.read_bytes(),
        figure.read_bytes(),
        read_record("first", "tiny", project),
    )
    change(project / "nbs/first.ipynb", "lambda: [1.5, 2.5]", "lambda: 1 / 0")
    change(project / "nbs/first.ipynb", "ax.plot(found)", "ax.plot(found[::-1])")
    reproduce("tiny", root=project, draw=True)
    assert kept.read_bytes() == before and figure.read_bytes() != picture
    assert read_record("first", "tiny", project) == written
    assert "found[::-1]" in (project / "papermill_runs/tiny/first.ipynb").read_text()


def test_a_set_is_kept_to_the_last_bit(digits, monkeypatch, tmp_path):
    import torch

    from dsco import ConcentratedSet
    from dsco.records import Run, keep

    images = digits.train.subset(torch.arange(20))
    small = ConcentratedSet(
        images.images,
        images.labels.sort().values,
        images.classes,
        origin=["synthetic", 3] * 10,
        soft_labels=torch.rand(20, 10),
        config={"method": "nopt", "rate": 0.1},
    )
    folder = tmp_path / "papermill_runs/quick/sets/run"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DSCO_RUN", Run("run", "quick", str(tmp_path), str(tmp_path)).variable())
    assert keep("small", lambda: small) is small
    shutil.move(tmp_path / "kept/small.npz", folder)
    monkeypatch.setenv(
        "DSCO_RUN", Run("run", "quick", str(tmp_path), str(tmp_path), draw=True).variable()
    )
    read = keep("small", lambda: 1 / 0)
    assert torch.equal(read.images, small.images) and torch.equal(read.labels, small.labels)
    assert (
        torch.equal(read.soft_labels, small.soft_labels)
        and read.origin == small.origin
        and read.config == small.config
    )
    with pytest.raises(FileNotFoundError, match="has no other"):
        keep("other", lambda: small)


def test_spot_check_judges_by_the_spread_of_the_record(done):
    rows = results("tiny", root=done)
    assert outside(rows, [rows[0]]) == ({}, 1)
    assert outside(rows, [{**rows[0], "accuracy": 500.0}])[0]
    assert spot("tiny", root=done) == {}  # nothing is open, and no run has a parameter seeds
    assert states(done) == ["current", "current"]


SEEDED = [
    "import random\nfrom dsco.records import record",
    "seeds = 6\nshift = 0",
    "for s in range(seeds):\n    record(dataset='digits', method='random', ipc=1, seed=s, accuracy=50 + shift + random.Random(s).random())",
]


def test_a_spot_check_passes_noise_and_stops_a_shift(project):
    (project / "papermill_runs/tiny.yaml").write_text("- {name: first, notebook: nbs/first.ipynb}")
    write_notebook(project / "nbs/first.ipynb", SEEDED)
    reproduce("tiny", root=project)
    change(project / "nbs/first.ipynb", "random.Random(s)", "random.Random(s + 1)")
    assert spot("tiny", root=project) == {} and states(project) == ["spot-checked"]
    change(project / "nbs/first.ipynb", "50 + shift", "60 + shift")
    assert list(spot("tiny", root=project)) == ["first"] and states(project) == ["open"]


def test_a_rehearsal_keeps_nothing_and_names_what_fails(done):
    before = outcome(done)
    took = rehearse("tiny", root=done)
    assert took.keys() == {"first", "second"} and outcome(done) == before
    change(done / "nbs/second.ipynb", "len(results())", "1 / 0")
    with pytest.raises(
        RunError, match="1 of 2 runs of tiny did not rehearse: run second stopped .*ZeroDivision"
    ):
        rehearse("tiny", root=done)


def test_new_code_never_meets_an_old_cache(done):
    "The cache of a run is named by the package."
    show = [*FIRST[:2], "import os\nprint(os.environ['DSCO_CACHE'])"]
    write_notebook(done / "nbs/first.ipynb", show)
    seen = []
    for comment in ("# one", "# two"):
        change(done / "dsco/records.py", "def record(", f"{comment}\ndef record(")
        reproduce("tiny", root=done, only=["first"])
        seen.append(
            content_id(done, "dsco")[:12] in (done / "papermill_runs/tiny/first.ipynb").read_text()
        )
    assert seen == [True, True]


@pytest.mark.parametrize(
    "path, state",
    [
        ("papermill_runs/tiny/first.json", "missing"),
        ("papermill_runs/tiny/first.ipynb", "open"),
        ("papermill_runs/tiny/results.csv", "open"),
        ("figures/tiny/line.png", "open"),
    ],
)
def test_lost_file(done, path, state):
    (done / path).unlink()
    assert states(done)[0] == state


def test_broken_record_counts_as_missing(done):
    (done / "papermill_runs/tiny/first.json").write_text('{"name": ')
    assert states(done) == ["missing", "current"]


@pytest.mark.parametrize(
    "text, words",
    [
        (PROFILE.replace("rows: 4", "rwos: 4"), ["'rwos'", "first", "rows, pause"]),
        (PROFILE.replace("first.ipynb", "none.ipynb"), ["nbs/none.ipynb", "no such file"]),
        (
            PROFILE.replace("replay: {rows: 2}", "replay: {rows: few}"),
            ["replay of run first", "'few'", "numbers only"],
        ),
        (PROFILE.replace("needs: [first]", "needs: [frist]"), ["'frist'", "first, second"]),
        (
            PROFILE.replace("parameters: {rows: 4}", "needs: [second]"),
            ["circle", "first", "second"],
        ),
        (PROFILE.replace("name: second", "name: first"), ["'first' twice"]),
        (PROFILE.replace("name: second", "name: a/b"), ["'a/b'", "file name"]),
        (PROFILE.replace("needs:", "need:"), ["need", "correct the keys"]),
        (PROFILE.replace("needs: [first]", "needs: first"), ["second", "[run, run]"]),
        ("runs: [", ["not valid YAML"]),
        ("", ["no list of runs"]),
        ("- first", ["'first'", "name and notebook"]),
    ],
)
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
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(done)], cwd=ROOT, stdout=log, stderr=log
        )
    while not list(done.glob("papermill_runs/tiny/*.partial/rows.jsonl")):
        assert process.poll() is None, (tmp_path / "log.txt").read_text()
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert (done / "papermill_runs/tiny/results.csv").read_bytes() == before and states(done)[
        0
    ] == "open"
    write_notebook(done / "nbs/first.ipynb", FIRST)
    assert [run.state for run in reproduce("tiny", root=done, only=["first"], force=True)] == [
        "current",
        "current",
    ]
    assert outcome(done) == expected


def test_a_run_that_failed_late_makes_nothing_twice(project, tmp_path):
    "What was kept, and the rows recorded on the way, are there at the next attempt."
    row = "record(dataset='digits', method='nopt', ipc=1, real_share=0, network='n', protocol='p', "
    row += "labels='hard', matched='steps', seed=0, accuracy=90.0)"
    log, stop = tmp_path / "log", tmp_path / "stop"
    stop.touch()
    dear = f"def dear():\n    open({str(log)!r}, 'a').write('x')\n    return {row}"
    halt = f"import os\nif os.path.exists({str(stop)!r}): raise ValueError('no luck.')"
    start = "from dsco.records import keep, record"
    write_notebook(
        project / "nbs/first.ipynb", [start, "pause = 0\nrows = 3", dear, "keep('a', dear)", halt]
    )
    with pytest.raises(RunError, match="no luck"):
        reproduce("tiny", root=project, only=["first"])
    stop.unlink()
    reproduce("tiny", root=project, only=["first"])
    assert log.read_text() == "x"
    assert [row["accuracy"] for row in results("tiny", root=project)] == [90.0]
    assert not list(cache_folder("made").glob("*/attempts/*"))


def test_failed_run_keeps_what_was_there(done, capsys):
    before = outcome(done)
    write_notebook(done / "nbs/second.ipynb", [*SECOND[:2], "raise ValueError('no luck.')"])
    with pytest.raises(
        RunError,
        match=r"run second stopped in cell .*no luck\. Its notebook so far is .*second.partial.ipynb",
    ):
        reproduce("tiny", root=done)
    assert "no luck" in capsys.readouterr().err
    (done / "papermill_runs/tiny/second.partial.ipynb").unlink()
    assert outcome(done) == before


def test_large_notebook_is_an_error(done):
    write_notebook(done / "nbs/second.ipynb", [*SECOND, f"print('x' * {LARGEST + 1})"])
    with pytest.raises(RunError, match="run second gave a notebook of 1.0 MB"):
        reproduce("tiny", root=done)
    assert states(done) == ["current", "open"]


def test_two_at_once(done):
    from filelock import FileLock

    with (
        FileLock(done / "papermill_runs/tiny/lock.tmp"),
        pytest.raises(RunError, match="another process"),
    ):
        reproduce("tiny", root=done)


def test_by_hand_nothing_is_written(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    monkeypatch.delenv("DSCO_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    assert record(dataset="digits", accuracy=90)[0]["accuracy"] == 90.0
    save_figure(Figure(), "empty")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "columns, words",
    [
        ({"acuracy": 90}, "acuracy"),
        ({"notebook": "mine"}, "notebook"),
        ({"accuracy": "high"}, "accuracy is 'high'"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"labels": "firm"}, "hard, soft"),
        ({"matched": "time"}, "steps, epochs"),
        ({"seed": [0, 1], "accuracy": [1, 2, 3]}, "agree"),
    ],
)
def test_wrong_row(columns, words):
    with pytest.raises((TypeError, ValueError), match=words):
        record(**columns)


def test_wrong_figure_name(monkeypatch):
    monkeypatch.delenv("DSCO_RUN", raising=False)
    with pytest.raises(ValueError, match="file name"):
        save_figure(None, "../up")


PROFILES = ("quick", "cpu")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_made_a_committed_result_is_in_the_history(profile):
    "Every id that a record names is content of a commit that this one stands on."

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True
        ).stdout

    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        pytest.skip("this checkout has no whole history")
    known = {line.split(" ")[0] for line in git("rev-list", "--objects", "HEAD").splitlines()}
    records = [
        read_record(path.stem, profile, ROOT)
        for path in (ROOT / "papermill_runs" / profile).glob("*.json")
    ]
    assert len(records) > 3
    for one in records:
        assert {one["made"]["dsco"], one["made"]["notebook"]} <= known, one["name"]


@pytest.mark.parametrize("profile", PROFILES)
def test_no_committed_result_is_in_pieces(profile):
    "What a record lists is there; whether it stands, README says."
    assert not [
        str(run)
        for run in status(profile, root=ROOT)
        if run.state == "unknown" or "gone" in run.why
    ]


def test_a_table_is_written_by_the_package_of_its_content(tmp_path, monkeypatch):
    "Wherever we stand: old content finds the columns that it knows."
    (tmp_path / "dsco").mkdir()
    (tmp_path / "dsco/__init__.py").touch()
    writer = "def write_rows(path, rows): open(path, 'w').write('as then')"
    (tmp_path / "dsco/records.py").write_text(f"COLUMNS = ('seed',)\n{writer}\n")
    monkeypatch.chdir(ROOT)
    write_table(tmp_path, tmp_path / "table.csv", [{"seed": 1}])
    assert (tmp_path / "table.csv").read_text() == "as then"


def test_the_quick_results_stand():
    "They are made, or verified, again in minutes: see `dsco reproduce quick --verify`."
    assert {run.state for run in status("quick", root=ROOT)} <= {"current", "replayed"}


@pytest.mark.parametrize("profile", (*PROFILES, "gpu"))
def test_every_run_can_be_replayed_in_a_moment(profile):
    specs = load_profile(profile, root=ROOT)
    assert {name for name, spec in specs.items() if not spec.replay} <= {
        "20_digits"
    }  # its defaults are small


def test_committed_notebooks_are_small():
    for path in (ROOT / "papermill_runs").glob("*/*.ipynb"):
        assert path.stat().st_size <= LARGEST, path.name
