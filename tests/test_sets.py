"Concentrated sets: on disk, in blocks, interrupted, and cut short."

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from dsco import Auto, ConcentratedSet, Prior, Recipe, concentrate, load_data
from dsco.prior import prior_features
from dsco.selection import select_random

ROOT = Path(__file__).parent.parent
QUIET = {"progress": False}


def short(updates: int) -> Recipe:
    "A recipe that takes seconds."
    return Recipe(updates, steps=2)


@pytest.fixture(scope="module")
def whole(prior, few, feature_maps):
    "The set that one worker makes in one go."
    return concentrate(
        prior, ipc=2, data=few, feature_maps=feature_maps, recipe=short(4), chunk=500, **QUIET
    )


@pytest.fixture(scope="module")
def doped(prior, few, feature_maps):
    "A set in which one image of each three is real."
    return concentrate(
        prior, ipc=3, data=few, feature_maps=feature_maps, recipe=short(0), doping=1 / 3, **QUIET
    )


def same_set(a: ConcentratedSet, b: ConcentratedSet) -> bool:
    return (
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and a.origin == b.origin
        and a.classes == b.classes
    )


def test_round_trip(doped, tmp_path):
    doped.save(tmp_path / "set")
    loaded = ConcentratedSet.load(tmp_path / "set")
    assert same_set(doped, loaded) and loaded.soft_labels is None
    assert loaded.config == doped.config
    assert {type(o) for o in loaded.origin} == {str, int} and loaded.real_share == pytest.approx(
        1 / 3
    )


def test_round_trip_of_soft_labels(doped, tmp_path):
    soft = torch.rand(len(doped), 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    ConcentratedSet(doped.images, doped.labels, doped.classes, soft_labels=soft).save(
        tmp_path / "set"
    )
    assert torch.equal(ConcentratedSet.load(tmp_path / "set").soft_labels, soft)


def test_round_trip_in_colour(tmp_path):
    "With `DSCO_DATA` set, photographs; without it, the digits in three tints."
    root = os.environ.get("DSCO_DATA")
    if root and Path(root, "cifar10").is_dir():
        images = load_data("cifar10").test
    else:
        print("DSCO_DATA has no cifar10: the digits stand in for it.")
        test = load_data("digits").test
        images = type(test)(
            torch.cat([test.images, test.images // 2, 255 - test.images], 1),
            test.labels,
            test.classes,
        )
    small = ConcentratedSet.from_selection(images, select_random(images, 3), method="random")
    small.save(tmp_path / "set")
    assert same_set(small, ConcentratedSet.load(tmp_path / "set"))
    picture, _ = small[0]
    assert picture.mode == "RGB" and np.array_equal(
        np.asarray(picture), small.images[0].permute(1, 2, 0).numpy()
    )


def test_saving_replaces_a_set_and_leaves_no_trace(doped, tmp_path):
    doped.save(tmp_path / "set")
    doped.prefix(1).save(tmp_path / "set")
    assert len(ConcentratedSet.load(tmp_path / "set")) == 10 and [
        p.name for p in tmp_path.iterdir()
    ] == ["set"]
    card = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    assert (
        card.startswith("---\n")
        and "10 images of 10 classes" in card
        and (tmp_path / "set" / "preview.png").is_file()
    )


@pytest.mark.parametrize(
    "names",
    [
        [f"{chr(ord('z') - c)}" for c in range(10)],
        [str(10 - c) for c in range(10)],
        [f"class/{c} ü" for c in range(10)],
    ],
    ids=["reversed", "numbers", "symbols"],
)
def test_image_folder_reads_the_right_labels(doped, tmp_path, names):
    "Also where the names sorted as text are in another order than the labels."
    ConcentratedSet(doped.images, doped.labels, names).save(tmp_path / "set")
    seen = ImageFolder(tmp_path / "set")
    assert seen.targets == doped.labels.tolist()
    assert all(
        np.array_equal(np.asarray(picture)[..., 0], pixels[0].numpy())
        for (picture, _), pixels in zip(seen, doped.images)
    )


def test_image_folder_with_more_than_ten_classes(tmp_path):
    images = torch.randint(
        0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    labels = torch.arange(12).repeat_interleave(2)
    ConcentratedSet(images, labels, [f"c{c}" for c in range(12)]).save(tmp_path / "set")
    assert ImageFolder(tmp_path / "set").targets == labels.tolist()


def test_a_set_trains_like_any_torchvision_dataset(doped):
    from torchvision.transforms import ToTensor

    small = ConcentratedSet(doped.images, doped.labels, doped.classes, transform=ToTensor())
    x, y = next(iter(torch.utils.data.DataLoader(small, batch_size=len(small))))
    assert torch.equal((x * 255).round().to(torch.uint8), small.images) and torch.equal(
        y, small.labels
    )


def test_real_images_come_first_and_count_in_the_loss(prior, few, feature_maps):
    "The search for the others sees them: with other real images it finds other synthetic ones."
    from dsco.selection import select_missing

    options = {"ipc": 3, "data": few, "feature_maps": feature_maps, **QUIET}
    small = concentrate(prior, recipe=short(2), doping=1 / 3, **options)
    index = select_missing(few, [1] * 10, feature_maps=feature_maps)
    assert [origin for origin in small.origin if origin != "synthetic"] == index.tolist()
    plain = concentrate(prior, recipe=short(2), **{**options, "ipc": 2})
    made = small.images[[origin == "synthetic" for origin in small.origin]]
    assert made.shape == plain.images.shape and not torch.equal(made, plain.images)


def test_blocks_make_the_whole(whole, prior, few, feature_maps):
    "Each class alone, or three together: on a CPU the same images up to rounding, here none."
    for chunk in (2, 7):
        options = {"ipc": 2, "recipe": short(4), "chunk": chunk, **QUIET}
        small = concentrate(prior, data=few, feature_maps=feature_maps, **options)
        assert torch.equal(small.labels, whole.labels) and small.origin == whole.origin
        assert (small.images.int() - whole.images.int()).abs().max() <= 1
        assert small.config["loss"] == pytest.approx(whole.config["loss"], abs=1e-5)
        history = torch.tensor([small.config["history"], whole.config["history"]])
        assert torch.allclose(*history, atol=1e-4)


def test_blocks_of_a_doped_set(doped, prior, few, feature_maps):
    options = {"ipc": 3, "recipe": short(0), "doping": 1 / 3, "chunk": 5, **QUIET}
    small = concentrate(prior, data=few, feature_maps=feature_maps, **options)
    assert same_set(small, doped)


def test_blocks_of_samples_alone(prior, feature_maps):
    "Without data each block draws its own samples to work towards, the same as all blocks together."
    recipe = Recipe(2, steps=2, reference=250, reference_steps=2)
    make = lambda chunk: concentrate(
        prior, ipc=1, recipe=recipe, feature_maps=feature_maps, chunk=chunk, **QUIET
    )
    one, ten = make(50), make(1)
    assert (one.images.int() - ten.images.int()).abs().max() <= 1
    assert one.config["loss"] == pytest.approx(ten.config["loss"], abs=1e-4)


def test_the_same_call_gives_the_same_set(whole, prior, few, feature_maps):
    again = concentrate(
        prior, ipc=2, data=few, feature_maps=feature_maps, recipe=short(4), chunk=500, **QUIET
    )
    other = concentrate(
        prior,
        ipc=2,
        data=few,
        feature_maps=feature_maps,
        recipe=short(4),
        chunk=500,
        seed=1,
        **QUIET,
    )
    assert (
        same_set(again, whole)
        and again.config["history"] == whole.config["history"]
        and not same_set(other, whole)
    )


def test_prefixes(whole, doped, few):
    for small in (whole, doped):
        for k in range(1, small.ipc + 1):
            prefix = small.prefix(k)
            assert torch.bincount(prefix.labels).tolist() == [k] * 10
            for c in range(10):
                assert torch.equal(
                    prefix.images[prefix.labels == c], small.images[small.labels == c][:k]
                )
    assert doped.prefix(1).real_share == 1 and doped.prefix(3).origin == doped.origin
    assert all(
        torch.equal(few.images[o], image)
        for o, image in zip(doped.origin, doped.images)
        if o != "synthetic"
    )


def test_auto_doping_never_sees_the_validation_images(prior, few, monkeypatch):
    "Default feature maps of the trial are trained on its training part; candidates hold all classes."
    module = sys.modules["dsco.concentration"]
    trained_on, validated = [], []
    original = module.default_features
    monkeypatch.setattr(
        module,
        "default_features",
        lambda images, **options: (
            trained_on.append(images),
            original(images, steps=(2,), width=8, **options),
        )[1],
    )

    def judge(small, validation, **options):
        validated.append((small, validation))
        return type("Result", (), {"accuracies": [50 + 10 * small.real_share] * 2})

    monkeypatch.setattr(module, "evaluate", judge)
    small = concentrate(
        prior, ipc=2, data=few, recipe=short(0), doping=Auto(shares=(0, 0.5)), **QUIET
    )
    pixels = lambda images: {bytes(image.numpy().tobytes()) for image in images.images}
    assert small.config["doping"] == 0.5 and small.config["doping_scores"] == {
        "0.0": [50, 50],
        "0.5": [55, 55],
    }
    assert len(trained_on) == 2 and len(trained_on[0]) == 120 and len(trained_on[1]) == 100
    for candidate, validation in validated:
        assert (
            len(candidate) == 20
            and not pixels(validation) & pixels(trained_on[1])
            and not pixels(validation) & pixels(candidate)
        )


RUN = """
import sys, time
import torch
torch.set_num_threads(1)
from dsco import Prior, Recipe, concentrate, load_data
from dsco.features import pixel_features, random_features


class Slow:
    "A feature map that takes its time, so that there is something to kill."
    def __init__(self, phi):
        self.phi = phi

    def __call__(self, x):
        time.sleep(0.3 * x.requires_grad)
        return self.phi(x)


train = load_data("digits").train
few = train.subset(torch.cat([train.of_class(c)[:12] for c in range(10)]))
maps = [pixel_features(), Slow(random_features(few.shape, 10, statistics=few.statistics, count=1, width=8)[0])]
small = concentrate(Prior.from_pretrained(sys.argv[1], device="cpu"), ipc=2, data=few, feature_maps=maps, recipe=Recipe(updates=12, steps=2),
                    file="auto", save_every=0, progress=False)
small.save(sys.argv[2])
"""


def test_a_killed_search_goes_on_to_the_same_set(
    saved_prior, prior, few, feature_maps, tmp_path, monkeypatch
):
    "A process is killed in the middle of its search; this one takes the search over."
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    updates = lambda: [
        torch.load(file, weights_only=True)["update"]
        for file in (tmp_path / "cache").rglob("*.part")
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(saved_prior), str(tmp_path / "set")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    while not (reached := updates()) or reached[0] < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "set").exists()
    [left] = updates()
    assert 3 <= left < 13
    make = lambda **options: concentrate(
        prior, ipc=2, data=few, feature_maps=feature_maps, recipe=short(12), **QUIET, **options
    )
    calls = []
    module = sys.modules["dsco.nopt"]
    original = module.noise_gradient
    monkeypatch.setattr(
        module,
        "noise_gradient",
        lambda *arguments, **options: (calls.append(1), original(*arguments, **options))[1],
    )
    resumed = make(file="auto")
    assert len(calls) == 12 - left  # after the last update it only looks
    whole = make()
    assert same_set(resumed, whole)
    for key in ("history", "updates_done", "loss"):
        assert resumed.config[key] == whole.config[key]


def test_metadata_is_one_json_object_a_line(doped, tmp_path):
    doped.save(tmp_path / "set")
    rows = [
        json.loads(line)
        for line in (tmp_path / "set" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [row["label"] for row in rows] == doped.labels.tolist() and [
        row["origin"] for row in rows
    ] == doped.origin
    assert all(
        (tmp_path / "set" / row["file_name"]).is_file()
        and row["class"] == doped.classes[row["label"]]
        for row in rows
    )


def test_a_set_of_late_classes_can_be_saved_and_its_card_shows_it(tmp_path):
    labels = torch.arange(20, 25)
    small = ConcentratedSet(
        torch.zeros(5, 1, 8, 8, dtype=torch.uint8), labels, [f"class {c}" for c in range(25)]
    )
    assert torch.equal(ConcentratedSet.load(small.save(tmp_path / "set")).labels, labels)
    assert (tmp_path / "set/preview.png").is_file()


def test_hidden_files_are_no_images(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "a/.ipynb_checkpoints/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    (tmp_path / "a/._1.png").write_bytes(b"no image")
    data = load_data(tmp_path)
    assert len(data.train) + len(data.test) == 4
    assert torch.equal(data.train.statistics[0], data.test.statistics[0])


def test_a_prefix_says_its_own_size():
    small = ConcentratedSet(
        torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
        torch.tensor([0, 0, 1, 1]),
        ["a", "b"],
        config={"ipc": 2},
        transform=str,
    )
    first = small.prefix(1)
    assert first.config["ipc"] == 1 and small.config["ipc"] == 2 and first.transform is str


def picture_tree(folder: Path, *names: str) -> Path:
    "A folder with a small grey picture under each name."
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(folder / name)
    return folder


def test_a_class_may_be_called_train(tmp_path):
    "`train` is a split where it holds class folders, and a class where it holds images beside other classes."
    assert load_data(
        picture_tree(tmp_path / "vehicles", "car/1.png", "car/2.png", "train/1.png", "train/2.png")
    ).train.classes == ["car", "train"]
    assert load_data(
        picture_tree(
            tmp_path / "splits",
            *(f"{part}/{c}/1.png" for part in ("train", "test") for c in ("bus", "car")),
        )
    ).train.classes == ["bus", "car"]


def test_a_stray_parquet_file_does_not_hide_the_images(tmp_path):
    "Some table among the pictures is not a dataset in Parquet shards."
    parts = ("train/bus", "train/car", "test/bus", "test/car")
    folder = picture_tree(tmp_path, *(f"{part}/1.png" for part in parts))
    (folder / "notes.parquet").write_bytes(b"no table")
    assert load_data(folder).train.classes == ["bus", "car"]


@pytest.mark.parametrize("thing, part", [("set", "dsco.sets.preview"), ("prior", "json.dumps")])
def test_a_save_that_fails_leaves_what_was_there(thing, part, doped, prior, tmp_path, monkeypatch):
    "Whatever stops a save half-way: the old folder stays whole, and no temporary one remains."
    save = (
        (lambda: doped.save(tmp_path / "out"))
        if thing == "set"
        else (lambda: prior.save_pretrained(tmp_path / "out"))
    )
    save()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    module, name = part.rsplit(".", 1)
    monkeypatch.setattr(
        sys.modules[module],
        name,
        lambda *arguments, **options: (_ for _ in ()).throw(OSError("no space left")),
    )
    with pytest.raises(OSError):
        save()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_prior_in_half_precision_makes_a_set(saved_prior, few, feature_maps):
    "bfloat16 weights, as large priors have them: images and noise stay in single precision."
    half = Prior.from_pretrained(saved_prior).to(torch.bfloat16)
    small = concentrate(
        half, ipc=2, data=few, feature_maps=feature_maps, recipe=Recipe(2), progress=False
    )
    assert half.dtype == torch.bfloat16 and len(small) == 20
    history = [row[0] for row in small.config["history"]]
    assert all(map(math.isfinite, history))
    z, labels = half.noise(torch.arange(3)), torch.arange(3)
    assert (
        half.render(z, labels).dtype
        == half.invert(half.render(z, labels), labels, steps=3).dtype
        == torch.float32
    )
    assert prior_features(half)(half.render(z, labels)).dtype == torch.float32
