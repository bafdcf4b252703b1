"Any number of processes, killed at any moment: the same bytes."

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from dsco import Auto, ConcentratedSet, Prior, Recipe, concentrate
from dsco.features import pixel_features
from dsco.machines import Foreign, Numbered, blocks, submit, this_process

ROOT = Path(__file__).parent.parent
KILLS = int(os.environ.get("DSCO_KILLS", "3"))  # of test_killed_at_any_moment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are forked")


@pytest.fixture(scope="module")
def tiny(few, tmp_path_factory):
    "A prior that knows nothing, in a folder."
    prior = Prior.fit(few, steps=3, width=32, depth=1, seed=0, progress=False)
    return prior.save_pretrained(tmp_path_factory.mktemp("tiny") / "prior")


@pytest.fixture
def make(tiny, few):
    "The call that all processes make: ten blocks of one class each."
    return partial(
        concentrate,
        Prior.from_pretrained(tiny, device="cpu"),
        ipc=2,
        data=few,
        recipe=Recipe(2, steps=2, pool=5),
        feature_maps=[pixel_features()],
        chunk=2,
        progress=False,
    )


def start(make, rank: int, world: int, file: Path, out: Path) -> multiprocessing.Process:
    "One of the processes, which saves what it gets."

    def work() -> None:
        Numbered(lambda: make(file=file).save(out / str(rank) / "set"))(rank, world)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def together(make, world: int, file: Path, out: Path) -> list[dict[str, bytes]]:
    "What each of so many processes saves."
    processes = [start(make, rank, world, file, out) for rank in range(world)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return [content(out / str(rank)) for rank in range(world)]


def content(folder: Path) -> dict[str, bytes]:
    "All files saved there, without the seconds it took and the digest that covers them."
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert "set/config.json" in files
    return {name: timeless(file) for name, file in files.items()}


def timeless(file: Path) -> bytes:
    if file.suffix not in (".json", ".md"):
        return file.read_bytes()
    timed = ("seconds", '"digest"')
    return "".join(line for line in file.open() if not any(w in line for w in timed)).encode()


def saved(small: ConcentratedSet, folder: Path) -> dict[str, bytes]:
    "What is in the folder of the set."
    small.save(folder / "set")
    return content(folder)


@pytest.fixture
def alone(make, tmp_path) -> dict[str, bytes]:
    "What one process saves that keeps nothing."
    return saved(make(), tmp_path / "alone")


def test_blocks_are_fixed_by_three_numbers():
    for classes, ipc, chunk in ((10, 1, 50), (10, 7, 50), (10, 60, 50), (1000, 50, 50), (7, 2, 5)):
        found = blocks(classes, ipc, chunk)
        assert [label for block in found for label in block] == list(range(classes))
        assert all(len(block) * ipc <= chunk or len(block) == 1 for block in found)
    with pytest.raises(ValueError, match="ipc is 0"):
        blocks(10, 0, 50)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_any_number_of_processes_save_the_same_bytes(world, make, alone, tmp_path):
    for found in together(make, world, tmp_path / "blocks", tmp_path / "out"):
        assert found == alone
    assert len(list((tmp_path / "blocks").glob("block_*.safetensors"))) == 10
    assert not list((tmp_path / "blocks").glob("*.part"))


def test_each_block_is_made_once(make, tmp_path):
    noted = tmp_path / "noted"

    def noting(x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            with noted.open("a") as file:
                file.write("update\n")
            time.sleep(0.05)
        return x.flatten(1)

    together(partial(make, feature_maps=[noting]), 3, tmp_path / "blocks", tmp_path / "out")
    assert noted.read_text().count("update") == 10 * 2


def test_one_process_of_several_makes_what_the_others_do_not(make, alone, tmp_path):
    process = start(make, 1, 3, tmp_path / "blocks", tmp_path / "out")
    process.join()
    assert content(tmp_path / "out/1") == alone


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_at_any_moment(kill, make, alone, tmp_path):
    "Two processes are killed, and two others go on; at most the blocks in hand are made again."
    slow = partial(make, feature_maps=[Slow()], save_every=0)
    processes = [start(slow, rank, 2, tmp_path / "blocks", tmp_path / "out") for rank in range(2)]
    time.sleep(random.Random(kill).uniform(0.2, 2.5))
    for process in processes:
        process.kill()
        process.join()
    done = {file: file.stat().st_mtime_ns for file in tmp_path.glob("blocks/*.safetensors")}
    assert all(content(path.parent) == alone for path in tmp_path.glob("out/?/set"))
    for found in together(slow, 2, tmp_path / "blocks", tmp_path / "out"):
        assert found == alone
    assert all(file.stat().st_mtime_ns == when for file, when in done.items())
    left = {path.suffix for path in (tmp_path / "blocks").iterdir()}
    assert left <= {"", ".safetensors", ".lock"}


class Slow:
    "Pixels, with time to be killed in."

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.03 * x.requires_grad)
        return x.flatten(1)


def test_a_missing_block_is_made_again(make, alone, tmp_path):
    make(file=tmp_path / "blocks")
    (tmp_path / "blocks/block_00003.safetensors").unlink()
    assert saved(make(file=tmp_path / "blocks"), tmp_path / "out") == alone


@pytest.mark.parametrize("how", ["cut", "pixel", "text", "empty"])
def test_a_damaged_block_is_named_and_made_again(how, make, alone, tmp_path):
    make(file=tmp_path / "blocks")
    file = tmp_path / "blocks/block_00003.safetensors"
    whole = file.read_bytes()
    cut = {"cut": whole[:-9], "pixel": whole[:-1] + bytes([whole[-1] ^ 1]), "text": b"no block"}
    file.write_bytes(cut.get(how, b""))
    with pytest.warns(UserWarning, match="block_00003.safetensors is damaged"):
        again = make(file=tmp_path / "blocks")
    assert saved(again, tmp_path / "out") == alone


def test_a_block_of_another_set_is_named(make, tmp_path):
    make(file=tmp_path / "blocks")
    make(file=tmp_path / "other", seed=1)
    name = "block_00003.safetensors"
    shutil.copy(tmp_path / "other" / name, tmp_path / "blocks" / name)
    with pytest.raises(Foreign, match=f"{name} belongs to another set"):
        make(file=tmp_path / "blocks")


def test_a_folder_of_another_set_is_refused(make, tmp_path):
    make(file=tmp_path / "blocks")
    for other in ({"seed": 1}, {"ipc": 1}, {"doping": 0.5}, {"chunk": 4}, {"feature_maps": None}):
        with pytest.raises(ValueError, match="does not keep this set"):
            make(file=tmp_path / "blocks", **other)


@pytest.mark.parametrize("options", [{}, {"data": None}, {"doping": Auto(shares=(0, 0.5))}])
def test_shared_work_is_done_once(options, make, tmp_path, monkeypatch):
    "Feature maps are trained, samples drawn and shares tried by one process; the others read them."
    module, noted = sys.modules["dsco.concentration"], tmp_path / "noted"
    noted.touch()
    train = module.default_features

    def trained(images, **given):
        if "steps" not in given:  # else it asks for the layout only
            with noted.open("a") as file:
                file.write("trained\n")
        return train(images, **{"steps": (2, 3), **given, "width": 8})

    def evaluated(small, validation, **given):
        with noted.open("a") as file:
            file.write("evaluated\n")
        return type("Result", (), {"accuracies": [50 + 10 * small.real_share] * 2})

    monkeypatch.setattr(module, "default_features", trained)
    monkeypatch.setattr(module, "evaluate", evaluated)
    recipe = Recipe(1, steps=2, pool=5, reference=10, reference_steps=2)
    make = partial(make, recipe=recipe, feature_maps=None, **options)
    alone = saved(make(), tmp_path / "alone")
    once, _ = noted.read_text(), noted.write_text("")
    for found in together(make, 3, tmp_path / "blocks", tmp_path / "out"):
        assert found == alone
    assert sorted(noted.read_text().split()) == sorted(once.split())


@pytest.mark.parametrize(
    "rank, world", [("2", "2"), ("-1", "2"), ("one", "2"), ("1", None), (None, "none")]
)
def test_numbers_that_do_not_fit(rank, world, make, monkeypatch):
    for name, value in (("RANK", rank), ("WORLD_SIZE", world)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="RANK is .* and WORLD_SIZE is .*: set both"):
        make()


def test_several_processes_meet_in_the_cache(make, alone, tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    small = Numbered(make)(0, 2)
    assert this_process() == (0, 1) and saved(small, tmp_path / "out") == alone
    assert len(list((tmp_path / "cache").rglob("block_*.safetensors"))) == 10


def test_two_that_train_the_same_prior_train_it_once(few, tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    fit = sys.modules["dsco.diffusion"].Fit
    advance = fit.advance

    def noted(self):
        with (tmp_path / "noted").open("a") as file:
            file.write("step\n")
        return advance(self)

    monkeypatch.setattr(fit, "advance", noted)
    work = partial(Prior.fit, few, steps=20, width=32, depth=1, device="cpu", progress=False)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "noted").read_text().count("step") == 20


SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
from dsco import Prior, Recipe, concentrate, load_data
from dsco.features import pixel_features
from dsco.machines import this_process

train = load_data("digits").train
few = train.subset(torch.cat([train.of_class(c)[:12] for c in range(10)]))
small = concentrate(Prior.from_pretrained(sys.argv[1], device="cpu"), ipc=2, data=few, recipe=Recipe(2, steps=2, pool=5),
                    feature_maps=[pixel_features()], chunk=2, file=sys.argv[2], progress=False)
if this_process()[0] == 0:
    small.save(sys.argv[3] + "/set")
"""


def test_torchrun(tiny, alone, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    places = [str(tiny), str(tmp_path / "blocks"), str(tmp_path / "out")]
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *run, str(tmp_path / "script.py"), *places],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    assert content(tmp_path / "out") == alone


def test_jobs_of_a_cluster(make, alone, tmp_path, monkeypatch):
    "Here they are processes of this machine."
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    [prior], blocks, out = make.args, tmp_path / "blocks", tmp_path / "out"
    options = {name: value for name, value in make.keywords.items() if name != "feature_maps"}

    def work() -> int:
        import torch

        from dsco import concentrate
        from dsco.features import pixel_features
        from dsco.machines import this_process

        torch.set_num_threads(1)
        small = concentrate(prior, feature_maps=[pixel_features()], file=blocks, **options)
        rank, world = this_process()
        small.save(out / str(rank) / "set")
        return 10 * world + rank

    first = submit(work, 2, folder=tmp_path / "jobs", cluster="local", timeout_min=5)
    assert first == 20
    assert content(out / "0") == content(out / "1") == alone
    with pytest.raises(ValueError, match="jobs is 0"):
        submit(work, 0)
