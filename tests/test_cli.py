"The command line as a user meets it: words in; a code, lines and files out."

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from dsco import __version__
from dsco.cli import main

ROOT = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-c", "import sys; from dsco.cli import main; sys.exit(main())"]


def dsco(*words: str | int | Path, **variables: str) -> SimpleNamespace:
    "What a command answers. In this process, at the top of the project: to start one takes seconds."
    out, err = io.StringIO(), io.StringIO()
    here = os.getcwd()
    os.chdir(ROOT)
    try:
        with patch.dict(os.environ, variables), redirect_stdout(out), redirect_stderr(err):
            code = main(list(map(str, words)))
    finally:
        os.chdir(here)
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.mark.parametrize(
    "command", [[], ["concentrate"], ["distill"], ["plan"], ["evaluate"], ["reproduce"]]
)
def test_help_shows_an_example(command):
    done = dsco(*command, "--help")
    assert (
        done.returncode == 0
        and f"example: dsco {' '.join(command)}" in done.stdout
        and not done.stderr
    )


@pytest.mark.parametrize(
    "words, said",
    [
        ("", "COMMAND"),
        ("concentrat", "'concentrat'"),
        ("concentrate --data digits --ipc 10", "--out"),
        ("concentrate --data digits --ipc ten --out OUT", "'ten'"),
        ("concentrate --data digits --ipc 0 --out OUT", "'0'"),
        ("concentrate --data digits --ipc 1 --minutes -1 --out OUT", "'-1'"),
        ("concentrate --data digits --ipc 1 --minutes nan --out OUT", "'nan'"),
        (
            "concentrate --data digits --ipc 1 --minutes 1 --steps 1 --out OUT",
            "leave one of them out",
        ),
        ("concentrate --data digits --ipc 1 --doping 1.5 --out OUT", "'1.5'"),
        ("concentrate --data digits --ipc 1 --doping much --out OUT", "'much'"),
        ("concentrate --data digits --ipc 1 --data-free --doping auto --out OUT", "--data-free"),
        ("concentrate --data digits --ipc 1 --prior p --steps 3 --out OUT", "--prior"),
        ("concentrate --data digits --ipc 1 --updates 3 --out OUT", "--updates is 3"),
        ("concentrate --data digits --ipc 1 --minutes 1 --updates 3 --out OUT", "--minutes is 1"),
        ("concentrate --ipc 1 --out OUT", "--data is missing"),
        ("concentrate --data no_such_data --ipc 1 --out OUT", "no_such_data"),
        ("concentrate --data digits --ipc 1 --out TAKEN", "there already"),
        ("distill --data digits --ipc 1", "--out"),
        ("distill --data digits --ipc 1 --window --epochs 2 --out OUT", "--window"),
        ("distill --data digits --ipc 3 --steps 2 --out OUT", "multiple of steps"),
        ("distill --data digits --ipc 1 --inner-lr 0 --out OUT", "'0'"),
        ("distill --data digits --ipc 1 --images-from art --out OUT", "'art'"),
        (
            "distill --data digits --ipc 1 --outer-rate 2 --out OUT",
            "--outer-rate 2 (see dsco distill --help)",
        ),
        ("distill --data digits --ipc 1 --network resnet19 --out OUT", "'resnet19'"),
        ("distill --data digits --ipc 1 --seed 4294967296 --out OUT", "'4294967296'"),
        ("concentrate --data digits --ipc 1 --seed -3 --out OUT", "'-3'"),
        ("plan --data digits", "--budgets"),
        ("plan --data digits --budgets 1,x", "'1,x'"),
        ("plan --data digits --budgets 10 --prior p --steps 3", "--prior"),
        ("plan --data digits --budgets 10 --steps 3 --protocol fast", "protocol is 'fast'"),
        ("plan --data digits --budgets 10 --steps 3 --pilot 1,500", "pilot goes up to 500"),
        ("evaluate", "FOLDER"),
        ("evaluate no_such_folder --data digits", "no_such_folder"),
        ("evaluate no_such_folder", "--data"),
        ("evaluate no_such_folder --data digits --seeds 0", "'0'"),
        ("reproduce no_such_profile", "no_such_profile"),
        ("reproduce quick --root TAKEN", "papermill_runs"),
    ],
)
def test_bad_input_is_one_line(words, said, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/note.txt").write_text("mine")
    code = main(
        words.replace("OUT", str(tmp_path / "out"))
        .replace("TAKEN", str(tmp_path / "taken"))
        .split()
    )  # in this process: to start one takes seconds
    printed = capsys.readouterr()
    assert code == 2 and printed.out == ""
    assert (
        printed.err.startswith("dsco: error: ")
        and printed.err.count("\n") == 1
        and said in printed.err
    )
    assert not (tmp_path / "out").exists()


def test_in_a_process_of_its_own(tmp_path):
    program = [
        *PROGRAM,
        "distill",
        "--data",
        "digits",
        "--ipc",
        "0",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("dsco: error: ") and done.stderr.count("\n") == 1


def write_images(folder: Path) -> Path:
    "A small ImageFolder of real digits, two classes, with a train and a test split."
    digits = load_digits()
    for label in (0, 1):
        for number, pixels in enumerate(digits.images[digits.target == label][:40]):
            path = folder / ("train" if number < 30 else "test") / str(label) / f"{number:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 15).astype("uint8")).save(path)
    return folder


def test_as_a_module_and_its_version():
    said = subprocess.run(
        [sys.executable, "-m", "dsco", "--version"], capture_output=True, text=True
    )
    assert said.returncode == 0 and said.stdout == f"dsco {__version__}\n"


def test_a_folder_of_images_in_minutes(tmp_path):
    data, small = write_images(tmp_path / "data"), tmp_path / "small"
    made = dsco(
        *["concentrate", "--data", data, "--ipc", 2, "--minutes", 0.2, "--out", small],
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert made.returncode == 0, made.stderr
    for phase in ("prior:", "maps:", "check:"):
        assert phase in made.stderr
    for words in ("recognised", "this set (", "random real images", "real images chosen by"):
        assert words in made.stdout
    assert "kept apart" in json.loads((small / "config.json").read_text())["config"]["verdict"]


def test_concentrate_then_evaluate(tmp_path):
    data, small = write_images(tmp_path / "data"), tmp_path / "small"
    made = dsco(
        "concentrate",
        "--data",
        data,
        "--ipc",
        2,
        "--steps",
        5,
        "--updates",
        1,
        "--doping",
        0,
        "--out",
        small,
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert made.returncode == 0, made.stderr
    assert "next: dsco evaluate" in made.stdout
    tested = dsco("evaluate", small, "--data", data, "--steps", 5, "--seeds", 2, "--json")
    assert tested.returncode == 0, tested.stderr
    found = json.loads(tested.stdout)
    assert len(found["accuracies"]) == 2 and 0 <= found["mean"] <= 100 and found["steps"] == 5


@pytest.mark.parametrize("init, networks", [("fixed", 1), ("random", 2)])
def test_distill_then_evaluate(init, networks, tmp_path):
    "A set made for one start is tested on that start, one made for any on several; its state stays in the cache."
    data, small = write_images(tmp_path / "data"), tmp_path / "small"
    made = dsco(
        "distill",
        "--data",
        data,
        "--ipc",
        1,
        "--epochs",
        2,
        "--outer-steps",
        3,
        "--init",
        init,
        "--out",
        small,
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "cache").rglob("distillations/*.pt"))) == 1
    tested = dsco("evaluate", small, "--data", data, "--seeds", 2, "--json")
    assert tested.returncode == 0, tested.stderr
    found = json.loads(tested.stdout)
    assert (
        found["protocol"] == "learned schedule of 2"
        and len(found["accuracies"]) == networks
        and found["steps"] == 2
    )
    said = dsco("evaluate", small, "--data", data, "--seeds", 2).stdout
    assert ("one network, so no interval" in said) == (networks == 1) and "inf" not in said


def test_distill_takes_rates_and_a_beginning(tmp_path):
    "The options reach the run: a rate far too high stops it with a message that names the option's value."
    write_images(tmp_path / "data")
    common = ["distill", "--data", "data", "--root", tmp_path, "--ipc", 1, "--outer-steps", 2]
    made = dsco(
        *common,
        "--window",
        "--inner-lr",
        0.005,
        "--outer-lr",
        0.1,
        "--images-from",
        "noise",
        "--out",
        tmp_path / "small",
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert made.returncode == 0, made.stderr
    config = json.loads((tmp_path / "small/config.json").read_text())["config"]
    assert (config["inner"]["lr"], config["outer"]["lr"], config["learn"]["begin"]) == (
        0.005,
        0.1,
        "noise",
    ) and f"--data data --root {tmp_path}" in made.stdout
    wild = dsco(
        *common,
        "--epochs",
        30,
        "--inner-lr",
        1e30,
        "--out",
        tmp_path / "wild",
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert (
        wild.returncode == 1
        and "Schedule.lr (1e+30)" in wild.stderr
        and not (tmp_path / "wild").exists()
    )


def test_help_is_fast():
    probe = (
        "import sys; from dsco.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, cwd=ROOT)


def test_plan_forecasts_every_mixture(tmp_path):
    done = dsco(
        *"plan --data digits --budgets 2,20 --steps 20 --pilot 1 --seeds 3 --json".split(),
        DSCO_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    low, high = made["crossing_interval"]
    assert (low or 0) <= made["crossing"] and (high is None or made["crossing"] <= high)
    found = made["forecasts"]
    assert {(f["ipc"], f["share"]) for f in found} == {(2, share) for share in (0, 0.5, 1)} | {
        (20, share) for share in (0, 0.25, 0.5, 0.75, 1)
    }
    assert all(
        0 <= f["low"] <= f["accuracy"] <= f["high"] <= 100 and f["discrepancy"] > 0 for f in found
    )
    real = {f["ipc"]: f["accuracy"] for f in found if f["share"] == 1}
    assert real[20] > real[2]
