"Finished work is never lost, and nobody else's files are read or deleted."

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dsco import ConcentratedSet, ImageSet, Prior, Recipe, concentrate, load_data
from dsco.cli import main

ROOT = Path(__file__).parent.parent
FAST = {"recipe": Recipe(1, steps=2, pool=1), "progress": False}
BIG = 250  # letters of a name that leaves no room for a temporary one


@pytest.fixture
def small(few):
    "Two real digits of each class."
    index = torch.cat([few.of_class(c)[:2] for c in range(10)])
    return ConcentratedSet.from_selection(few, index, method="random")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "A cache of its own."
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def python(code: str, *words: object, **options) -> subprocess.CompletedProcess:
    "A process of its own that runs `code`."
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, cwd=ROOT, **options
    )


def command(*words: object, **options) -> subprocess.CompletedProcess:
    "`dsco` in a process of its own."
    return python("import sys; from dsco.cli import main; sys.exit(main())", *words, **options)


# A place to save in is tried before the work.


def test_a_name_without_room_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Prior, "fit", lambda *_, **__: pytest.fail("work was begun"))
    assert (
        main(f"concentrate --data digits --ipc 1 --steps 2 --out {tmp_path / ('x' * BIG)}".split())
        == 2
    )
    assert "cannot be written" in capsys.readouterr().err


def test_nothing_can_be_put_there(tmp_path, capsys, monkeypatch):
    "Permissions say nothing about such a place, and to root they say nothing at all."
    monkeypatch.setattr(Prior, "fit", lambda *_, **__: pytest.fail("work was begun"))
    assert main("concentrate --data digits --ipc 1 --steps 2 --out /proc/nothing/here".split()) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("fixed", ["mount point", "parent", "here"])
def test_a_folder_that_cannot_be_renamed_is_filled(fixed, small, tmp_path, monkeypatch):
    "A mount point, a folder in a read-only one, the folder we are in: an empty one serves, and so does one with a set."
    out = tmp_path / "out"
    out.mkdir()
    if fixed == "mount point":
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == out)
    elif fixed == "parent":
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    else:
        monkeypatch.chdir(out)
    kept = out.stat().st_ino
    small.save("." if fixed == "here" else out)
    small.prefix(1).save(out)
    assert out.stat().st_ino == kept and len(ConcentratedSet.load(out)) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and not list(
        out.glob("*.tmp")
    ) + list(out.glob("*.old"))


def test_class_names_that_no_file_takes(few, tmp_path):
    folder = tmp_path / "data"
    for name in ("caf\udce9", "long " * 40, "b"):
        for number in range(3):
            try:
                (folder / name).mkdir(parents=True, exist_ok=True)
            except OSError:
                pytest.skip("this file system takes no such name")
            Image.fromarray(few.images[number, 0].numpy()).save(folder / name / f"{number}.png")
    images = load_data(folder).train
    index = torch.arange(len(images))
    loaded = ConcentratedSet.load(
        ConcentratedSet.from_selection(images, index, method="x").save(tmp_path / "set")
    )
    assert loaded.classes == images.classes == ["b", "caf?", "long " * 40]
    longest = ConcentratedSet(few.images[:1], torch.tensor([0]), ["é" * 300])
    assert ConcentratedSet.load(longest.save(tmp_path / "long")).classes == ["é" * 300]


def test_a_set_that_cannot_be_saved_after_all_is_saved_elsewhere(
    small, tmp_path, capsys, monkeypatch
):
    from dsco.cli import save_and_say

    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("mine")
    words = type("Words", (), {"out": str(tmp_path / "taken"), "data": None, "typed": "dsco"})
    with pytest.warns(UserWarning, match="could not be written"):
        save_and_say(small, words)
    [place] = [
        line[len("saved in ") :]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("saved in ")
    ]
    assert len(ConcentratedSet.load(place)) == 20 and (tmp_path / "taken").read_text() == "mine"


def test_a_prior_that_the_cache_cannot_take_is_still_returned(few, cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["dsco.pretrained"], "write_parts", full)
    with pytest.warns(UserWarning, match="could not be kept"):
        prior = Prior.fit(few, steps=2, width=32, depth=1, progress=False)
    assert prior.record["steps"] == 2


# What is printed.


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_letters(encoding, small, tmp_path):
    small.save(tmp_path / "set")
    done = command(
        "evaluate",
        tmp_path / "set",
        "--data",
        "digits",
        "--steps",
        1,
        "--seeds",
        2,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert (
        done.returncode == 0 and b"tested on digits" in done.stdout and b"error" not in done.stderr
    )


def test_nobody_reads_what_is_printed(small, tmp_path):
    small.save(tmp_path / "set")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from dsco.cli import main; sys.exit(main())",
            "evaluate",
            str(tmp_path / "set"),
            "--data",
            "digits",
            "--steps",
            "1",
            "--seeds",
            "1",
        ],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    os.close(writer)
    assert process.returncode == 0 and b"rror" not in process.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KeyError("x"),
        RuntimeError("one\ntwo"),
        RecursionError("deep"),
        EOFError(),
        AttributeError("a"),
    ],
    ids=repr,
)
def test_any_error_is_one_line(error, capsys, monkeypatch):
    def fail(words):
        raise error

    monkeypatch.setattr(sys.modules["dsco.cli"], "run_reproduce", fail)
    monkeypatch.delenv("DSCO_DEBUG", raising=False)
    assert main(["reproduce", "quick"]) == 1
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and said.startswith("dsco: error: ") and type(error).__name__ in said
    )
    monkeypatch.setenv("DSCO_DEBUG", "1")
    assert main(["reproduce", "quick"]) == 1 and "Traceback" in capsys.readouterr().err


# Replacing.

KILLED = """
import os, signal, sys
from pathlib import Path
from dsco import ConcentratedSet
small = ConcentratedSet.load(sys.argv[1])
calls = 0
def dying(original):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    return call
for name in ("unlink", "rmdir", "rename", "replace"):
    setattr(os, name, dying(getattr(os, name)))
small.save(sys.argv[1])
"""


def is_whole(folder: Path) -> bool:
    try:
        return len(ConcentratedSet.load(folder)) == 20
    except (OSError, ValueError):
        return False


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 8])
def test_a_kill_while_a_set_is_replaced_destroys_nothing(calls, small, tmp_path):
    "Wherever the kill comes: the next save finds a set in its place, or room for one, and clears up."
    small.save(tmp_path / "set")
    killed = python(KILLED, tmp_path / "set", calls)
    assert killed.returncode == -signal.SIGKILL
    assert any(
        is_whole(path)
        for path in tmp_path.iterdir()
        if path.name == "set" or path.name.endswith(".old")
    )
    small.save(tmp_path / "set")
    assert len(ConcentratedSet.load(tmp_path / "set")) == 20 and [
        path.name for path in tmp_path.iterdir()
    ] == ["set"]


def test_two_processes_save_to_one_folder(small, tmp_path):
    small.save(tmp_path / "set")
    code = (
        "import sys; from dsco import ConcentratedSet; small = ConcentratedSet.load(sys.argv[1])\n"
        "for _ in range(60): small.save(sys.argv[2])"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "set"), str(tmp_path / "out")], cwd=ROOT
        )
        for _ in range(2)
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(ConcentratedSet.load(tmp_path / "out")) == 20 and sorted(
        path.name for path in tmp_path.iterdir()
    ) == ["out", "set"]


# What is not ours.


def test_a_prior_does_not_replace_what_is_not_its_own(prior, tmp_path):
    (tmp_path / "model/vae").mkdir(parents=True)
    mine = tmp_path / "model/vae/my_only_copy.bin"
    mine.write_text("x")
    with pytest.raises(FileExistsError, match="my_only_copy"):
        prior.save_pretrained(tmp_path / "model")
    prior.save_pretrained(tmp_path / "other")
    (tmp_path / "other/transformer/deep").mkdir()
    (tmp_path / "other/transformer/deep/config.json").write_text("x")
    with pytest.raises(FileExistsError, match="deep"):
        prior.save_pretrained(tmp_path / "other")
    assert mine.read_text() == "x" and (tmp_path / "other/transformer/deep/config.json").is_file()


def test_a_prior_in_this_folder_and_behind_a_link(prior, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    prior.save_pretrained(".")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    prior.save_pretrained(tmp_path / "link")
    prior.save_pretrained(tmp_path / "link")
    for name in ("here", "there"):
        assert Prior.from_pretrained(tmp_path / name).classes == prior.classes
    assert (tmp_path / "link").is_symlink()


def test_a_link_in_a_saved_set_is_not_lost(small, tmp_path):
    small.save(tmp_path / "set")
    (tmp_path / "set/mine").symlink_to(tmp_path)
    with pytest.raises(FileExistsError, match="mine"):
        small.save(tmp_path / "set")


@pytest.mark.parametrize("way", ["..", "absolute", "linked file", "linked folder"])
def test_a_set_reads_its_own_files_only(way, small, tmp_path):
    folder = small.save(tmp_path / "set")
    secret = tmp_path / "secret"
    secret.mkdir()
    Image.new("L", (8, 8), 77).save(secret / "00000.png")
    metadata = folder / "metadata.jsonl"
    if way == "linked file":
        (folder / "0_0/00000.png").unlink()
        (folder / "0_0/00000.png").symlink_to(secret / "00000.png")
    elif way == "linked folder":
        (folder / "1_1").rename(tmp_path / "away")
        (folder / "1_1").symlink_to(tmp_path / "away")
    else:
        name = "../secret/00000.png" if way == ".." else str(secret / "00000.png")
        metadata.write_text(metadata.read_text().replace("0_0/00000.png", name))
    with pytest.raises(ValueError, match="outside the folder"):
        ConcentratedSet.load(folder)


# A damaged cache.


def damage(file: Path, how: str) -> None:
    whole = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "zeros": bytes(len(whole)),
            "text": b"no state",
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "cut", "zeros", "text", "layout"])
def test_a_damaged_block_is_made_anew(how, prior, few, feature_maps, cache):
    make = lambda: concentrate(
        prior, ipc=1, data=few, feature_maps=feature_maps, file="auto", **FAST
    )
    first = make()
    [file] = cache.rglob("*.safetensors")
    save_file({"z": torch.ones(1)}, file) if how == "layout" else damage(file, how)
    with pytest.warns(UserWarning, match="damaged"):
        again = make()
    assert (
        torch.equal(first.images, again.images)
        and first.config["history"] == again.config["history"]
    )
    names = {path.name for path in file.parent.iterdir() if path.suffix != ".lock"}
    assert names == {"key", file.name, f"{file.name}.damaged"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        make()


def fit(few: ImageSet) -> Prior:
    return Prior.fit(few, steps=3, width=32, depth=1, progress=False)


def same_weights(a: Prior, b: Prior) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.network.parameters(), b.network.parameters()))


@pytest.mark.parametrize("how", ["cut", "no scheduler", "no weights", "no fold", "other classes"])
def test_a_damaged_prior_in_the_cache_is_fitted_anew(how, few, cache):
    first = fit(few)
    [about] = cache.rglob("prior.json")
    folder = about.parent
    text = json.loads(about.read_text())
    if how == "cut":
        damage(next(folder.rglob("*.safetensors")), "cut")
    elif how == "no weights":
        next(folder.rglob("*.safetensors")).unlink()
    elif how == "no scheduler":
        (folder / "scheduler/scheduler_config.json").unlink()
    else:
        about.write_text(
            json.dumps(
                {k: v for k, v in text.items() if k != "fold"}
                if how == "no fold"
                else text | {"classes": list("abcdefghij")}
            )
        )
    with pytest.warns(UserWarning, match="damaged"):
        assert same_weights(first, fit(few))
    assert same_weights(first, fit(few))


@pytest.mark.parametrize("how", ["empty", "cut", "layout"])
def test_a_damaged_half_fitted_prior_begins_anew(how, few, cache, monkeypatch):
    whole = fit(few)
    [about] = cache.rglob("prior.json")
    partial = about.parent.with_suffix(".partial")
    about.parent.rename(cache / "away")
    Fit = sys.modules["dsco.diffusion"].Fit
    advance = Fit.advance

    def interrupted(self, *arguments):
        if self.step == 2:
            raise KeyboardInterrupt
        return advance(self, *arguments)

    monkeypatch.setattr(Fit, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(few)
    monkeypatch.undo()
    os.environ["DSCO_CACHE"] = str(cache)
    file = partial / "training.pt"
    assert torch.load(file, weights_only=True)["progress"]["step"] == 2, "Ctrl-C keeps what is done"
    torch.save({"step": 1}, file) if how == "layout" else damage(file, how)
    with pytest.warns(UserWarning, match="damaged"):
        assert same_weights(whole, fit(few))


LONG = """
import sys, torch
torch.set_num_threads(1)
from dsco import Prior, load_data
from dsco.diffusion import Fit
advance = Fit.advance
def told(self):
    found = advance(self)
    print(self.step, flush=True)
    return found
Fit.advance = told
Prior.fit(load_data("digits").train, steps=100_000, width=32, depth=1, progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of other processes are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_done(number, cache):
    process = subprocess.Popen(
        [sys.executable, "-c", LONG], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert [process.stdout.readline() for _ in range(3)][-1]
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    [file] = cache.rglob("training.pt")
    assert torch.load(file, weights_only=True)["progress"]["step"] > 0
