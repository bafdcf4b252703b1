"Concentrated sets: on disk, in blocks, interrupted, and cut short."

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from dsco import Auto, ConcentratedSet, Prior, Recipe, concentrate, load_data
from dsco.prior import prior_features
from dsco.records import read_set
from dsco.saved import dataset_card, preview
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
    ] == list(map(str, doped.origin))
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


@pytest.mark.parametrize("thing, part", [("set", "dsco.saved.preview"), ("prior", "json.dumps")])
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


# A saved set travels: other libraries, older versions, the hub.

NAMES = ["train", "a | b: 'c'\n\"d\"", "cat"]


def tiny(origin: list | None = None, classes: list[str] = NAMES, soft: bool = False, **config):
    "Two images of each class, grey, 8×8."
    g = torch.Generator().manual_seed(0)
    n = 2 * len(classes)
    images = torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=g)
    labels = torch.arange(len(classes)).repeat_interleave(2)
    logits = torch.rand(n, len(classes), generator=g).softmax(1) if soft else None
    return ConcentratedSet(
        images, labels, classes, origin=origin, soft_labels=logits, config=config
    )


def same_in_all(a: ConcentratedSet, b: ConcentratedSet) -> bool:
    "Equal in pixels, labels, classes, origin, soft labels and config."
    none = a.soft_labels is None or b.soft_labels is None
    soft = a.soft_labels is b.soft_labels if none else torch.equal(a.soft_labels, b.soft_labels)
    return same_set(a, b) and soft and a.config == b.config


@pytest.mark.parametrize("origin", [None, [5, 0, 1, 2, 9, 3], ["synthetic", 7, 1, 2, 9, 3]])
def test_other_libraries_read_the_same_set(origin, tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    small = tiny(origin)
    folder = str(small.save(tmp_path / "set"))
    named = datasets.load_dataset(folder, cache_dir=str(tmp_path / "a"))
    plain = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir=str(tmp_path / "b"))
    assert named["train"].features["label"].names == NAMES
    for data in (named, plain):
        assert list(data) == ["train"]
        columns = data["train"]
        assert columns.column_names == ["image", "label", "class", "origin"]
        assert columns["label"] == small.labels.tolist()
        assert columns["class"] == [NAMES[c] for c in small.labels]
        assert columns["origin"] == list(map(str, small.origin))
        for picture, pixels in zip(columns["image"], small.images):
            assert np.array_equal(np.asarray(picture), pixels[0].numpy())
    assert ImageFolder(folder).targets == small.labels.tolist()
    assert same_in_all(ConcentratedSet.load(folder), small)


def older(small: ConcentratedSet, folder: Path) -> Path:
    "A folder as the first format has it."
    small.save(folder)
    about = json.loads((folder / "config.json").read_text())
    old = {"format": 1, "classes": about["classes"], "shape": about["shape"], **about["config"]}
    (folder / "config.json").write_text(json.dumps(old))
    rows = map(json.loads, (folder / "metadata.jsonl").read_text().splitlines())
    lines = [json.dumps({**row, "origin": o}) + "\n" for row, o in zip(rows, small.origin)]
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def test_a_set_of_an_older_version_loads(tmp_path):
    small = tiny(["synthetic", 7, 1, "synthetic", 9, 3], soft=True, method="x", digest="mine")
    assert same_in_all(ConcentratedSet.load(older(small, tmp_path / "set")), small)


def test_the_sets_that_the_runs_kept_load():
    "They are the arrays of `records`, not folders; what a set may be must not shrink."
    kept = sorted(ROOT.glob("papermill_runs/*/sets/*/*.npz"))
    if not kept:
        pytest.skip("no run has kept a set")
    for small in map(read_set, kept):
        assert len(small) == len(small.origin)


BOM = b"\xef\xbb\xbf"
TAMPERED = {
    "last line lost": (lambda t: t.lines(lambda rows: rows[:-1]), "lists 5 images"),
    "no line": (lambda t: t.lines(lambda rows: []), "lists 0 images"),
    "soft labels lost": (lambda t: (t.folder / t.SOFT).unlink(), "soft_labels.safetensors"),
    "soft labels broken": (
        lambda t: (t.folder / t.SOFT).write_bytes(b"x"),
        "soft_labels.safetensors",
    ),
    "another image": (lambda t: t.swap(), "an image"),
    "another size": (lambda t: t.picture("L", (9, 8)), "0_classtrain/00000.png is not 8×8"),
    "in colour": (lambda t: t.picture("RGB", (8, 8)), "in grey"),
    "far too large": (lambda t: t.picture("1", (3000, 3000)), "is not 8×8"),
    "no image": (lambda t: (t.folder / t.FIRST).write_bytes(b"x"), "00000.png"),
    "a file twice": (lambda t: t.row(file_name="0_classtrain/00001.png"), "twice"),
    "label and class apart": (lambda t: t.row(label=1), "line 1 of metadata.jsonl"),
    "label true": (lambda t: t.row(label=False), "line 1 of metadata.jsonl"),
    "label null": (lambda t: t.row(label=None), "line 1 of metadata.jsonl"),
    "label of nothing": (lambda t: t.row(label=99), "line 1 of metadata.jsonl"),
    "line of another kind": (lambda t: t.lines(lambda rows: [3, *rows[1:]]), "line 1"),
    "origin a dict": (lambda t: t.row(origin={}), "origin"),
    "origin null": (lambda t: t.row(origin=None), "origin"),
    "origin another": (lambda t: t.row(origin="8"), "an origin"),
    "newer format": (lambda t: t.about(format=3), "format 3.*install"),
    "no format": (lambda t: t.about(format=None), "config.json"),
    "classes a word": (lambda t: t.about(classes="abc"), "config.json has 'abc'"),
    "classes a dict": (lambda t: t.about(classes={"a": 1}), "config.json has"),
    "classes in another order": (lambda t: t.about(classes=NAMES[::-1]), "line 1"),
    "shape of three channels": (lambda t: t.about(shape=[3, 8, 8]), "in colour"),
    "shape of two": (lambda t: t.about(shape=[2, 8, 8]), "config.json has"),
    "shape null": (lambda t: t.about(shape=None), "config.json has"),
    "shape a dict": (lambda t: t.about(shape={}), "config.json has"),
    "digest null": (lambda t: t.about(digest=None), "not the one that was saved"),
    "config edited": (lambda t: t.about(config={"method": "y"}), "config is not the one"),
    "config a list": (lambda t: t.about(config=[]), "config is a list"),
    "foreign JSON": (lambda t: (t.folder / "config.json").write_text("[1]"), "config.json"),
    "no JSON": (lambda t: (t.folder / "metadata.jsonl").write_text("{"), "metadata.jsonl is no"),
    "not UTF-8": (lambda t: (t.folder / "config.json").write_bytes(b"\xff"), "config.json is no"),
    "nested": (lambda t: (t.folder / "config.json").write_text("[" * 100000), "config.json is no"),
    "nested line": (
        lambda t: (t.folder / "metadata.jsonl").write_text('{"a":' * 100000),
        "metadata.jsonl is no",
    ),
}


class Tampered:
    "A saved set with soft labels, and what one can do to it."

    SOFT, FIRST = "soft_labels.safetensors", "0_classtrain/00000.png"

    def __init__(self, folder: Path):
        self.small = tiny(["synthetic", 7, 1, "synthetic", 9, 3], soft=True, method="x")
        self.folder = self.small.save(folder)

    def lines(self, change) -> None:
        "Another list of the rows."
        file = self.folder / "metadata.jsonl"
        rows = change([json.loads(line) for line in file.read_text().splitlines()])
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def row(self, **values) -> None:
        "Other values in the first row."
        self.lines(lambda rows: [{**rows[0], **values}, *rows[1:]])

    def about(self, **values) -> None:
        "Other values in config.json."
        file = self.folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    def picture(self, mode: str, size: tuple[int, int]) -> None:
        "Another first image."
        Image.new(mode, size).save(self.folder / self.FIRST)

    def swap(self) -> None:
        "One image in place of another."
        shutil.copy(self.folder / "2_cat/00000.png", self.folder / self.FIRST)


def is_sentence(error: BaseException) -> bool:
    "Whether an error is of our own making: one of two kinds, one line with an end."
    kinds, said = (ValueError, FileNotFoundError), str(error)
    return type(error) in kinds and "\n" not in said and said.endswith(".") and ": " in said


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_set_is_refused_in_a_sentence(case, tmp_path):
    tampered = Tampered(tmp_path / "set")
    tamper, words = TAMPERED[case]
    tamper(tampered)
    with pytest.raises(ValueError, match=words) as caught:
        ConcentratedSet.load(tampered.folder)
    assert is_sentence(caught.value) and str(tampered.folder) in str(caught.value)


def test_an_older_set_is_looked_at_as_well(tmp_path):
    folder = older(tiny(), tmp_path / "set")
    rows = (folder / "metadata.jsonl").read_text()
    for new, words in (
        (rows.replace('"label": 0', '"label": 1', 1), "line 1"),
        (rows.replace('"synthetic"', '"5"', 1), "origin"),
        (rows.replace("00001", "00000", 1), "twice"),
    ):
        (folder / "metadata.jsonl").write_text(new)
        with pytest.raises(ValueError, match=words):
            ConcentratedSet.load(folder)


def test_the_mark_of_an_editor_does_no_harm(tmp_path):
    tampered = Tampered(tmp_path / "set")
    for name in ("config.json", "metadata.jsonl"):
        file = tampered.folder / name
        file.write_bytes(BOM + file.read_bytes().replace(b"\n", b"\r\n"))
    assert same_in_all(ConcentratedSet.load(tampered.folder), tampered.small)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def edited(value, data):
    "A JSON value with something in it replaced."
    if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 4)) == 0:
        return data.draw(JSON)
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = data.draw(st.sampled_from(keys))
    copy = value.copy()
    copy[key] = edited(value[key], data)
    return copy


def tamper(file: Path, data) -> None:
    "Do something to a file of a saved set."
    how = data.draw(st.sampled_from(["cut", "flip", "delete", "rename", "extra", "edit"]))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    if how == "cut":
        file.write_bytes(content[:place])
    elif how == "flip":
        other = content[place] ^ data.draw(st.integers(1, 255))
        file.write_bytes(content[:place] + bytes([other]) + content[place + 1 :])
    elif how == "delete":
        file.unlink()
    elif how == "rename":
        file.rename(file.with_name(f"{data.draw(st.integers(0, 9)):05d}{file.suffix}"))
    elif how == "extra":
        (file.parent / f"more{file.suffix}").write_bytes(content)
    elif file.suffix in (".json", ".jsonl"):
        values = edited([json.loads(line) for line in parts(file)], data)
        values = values if isinstance(values, list) else [values]
        file.write_text("\n".join(map(json.dumps, values)))


def parts(file: Path) -> list[str]:
    "The JSON texts in a file."
    text = file.read_text()
    return [text] if file.suffix == ".json" else text.splitlines()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_happens_to_a_set_it_loads_as_it_was_or_not_at_all(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tampered") / "set"
    small = Tampered(folder).small
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    important = [file for file in files if file.suffix in (".json", ".jsonl")]
    tamper(data.draw(st.sampled_from([*files, *important, *important])), data)
    try:
        loaded = ConcentratedSet.load(folder)
    except Exception as error:
        assert is_sentence(error), repr(error)
    else:
        assert same_in_all(loaded, small)
    shutil.rmtree(folder.parent)


def test_a_config_has_keys_of_its_own(tmp_path):
    "No word of a run is taken for one of the format."
    config = {"classes": ["x"], "shape": 3, "format": "mine", "digest": 1, "images": None}
    small = tiny()
    small.config = config
    assert ConcentratedSet.load(small.save(tmp_path / "set")).config == config


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, torch.ones(1), Path("x"), {1, 2}, np.float32(1), "\udce9"]
)
def test_what_json_cannot_hold_is_refused_before_anything_is_written(value, tmp_path):
    small = tiny(method="x")
    small.save(tmp_path / "set")
    small.config["odd"] = [value]
    with pytest.raises(ValueError, match="config has .* under 'odd'"):
        small.save(tmp_path / "set")
    with pytest.raises(ValueError, match="config has"):
        small.save(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert ConcentratedSet.load(tmp_path / "set").config == {"method": "x"}


def test_origin_is_synthetic_or_a_position(tmp_path):
    for origin in (np.arange(6), torch.arange(6), list(np.arange(6)), range(6)):
        small = tiny(origin)
        assert small.origin == list(range(6)) and {type(o) for o in small.origin} == {int}
        assert ConcentratedSet.load(small.save(tmp_path / "set")).origin == small.origin
    for bad in (1.0, None, -5, "x", True, "5", np.float64(1), torch.tensor(1.5)):
        with pytest.raises(ValueError, match="origin has"):
            tiny(["synthetic"] * 5 + [bad])
    with pytest.raises(TypeError, match="config is a list"):
        ConcentratedSet(torch.zeros(1, 1, 8, 8).byte(), torch.tensor([0]), ["a"], config=[1])


def test_a_set_is_saved_in_this_folder_but_not_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = tiny()
    for one in (small.save, ConcentratedSet.load):
        with pytest.raises(ValueError, match="folder is ''"):
            one("")
        with pytest.raises(TypeError, match="folder is a NoneType"):
            one(None)
    assert not list(tmp_path.iterdir())
    small.save(".")
    assert same_in_all(ConcentratedSet.load("."), small) and (tmp_path / "config.json").is_file()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    "The hub's functions, with a folder here in place of the hub."
    import huggingface_hub

    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "hub"

    def create_repo(name, *, repo_type, private, exist_ok):
        assert (repo_type, exist_ok) == ("dataset", True)
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name / "private").write_text(str(private))
        return f"hub:{name}"

    def upload_folder(*, repo_id, repo_type, folder_path, delete_patterns):
        assert repo_type == "dataset"
        old = [path for each in delete_patterns for path in (home / repo_id).glob(each)]
        for path in old:
            path.unlink()
        shutil.copytree(folder_path, home / repo_id, dirs_exist_ok=True)

    def snapshot_download(name, *, repo_type, local_dir, allow_patterns):
        assert repo_type == "dataset"
        if not (home / name).is_dir():
            raise ConnectionError("no such\nrepository")
        for path in [path for each in allow_patterns for path in (home / name).glob(each)]:
            copy = Path(local_dir) / path.relative_to(home / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)

    for function in (create_repo, upload_folder, snapshot_download):
        monkeypatch.setattr(huggingface_hub, function.__name__, function)
    return home


def test_a_set_goes_to_the_hub_and_comes_back(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = tiny(["synthetic", 7, 1, "synthetic", 9, 3], soft=True, method="x")
    assert small.push_to_hub("user/three.kinds", private=True) == "hub:user/three.kinds"
    assert (hub / "user/three.kinds/private").read_text() == "True"
    assert 'load_dataset("user/three.kinds")' in (hub / "user/three.kinds/README.md").read_text()
    assert same_in_all(ConcentratedSet.load("user/three.kinds"), small)
    less = small.prefix(1)
    less.soft_labels = None
    less.push_to_hub("user/three.kinds")
    assert len(list((hub / "user/three.kinds").rglob("*/*.png"))) == 3
    assert same_in_all(ConcentratedSet.load("user/three.kinds"), less)
    tiny(classes=["a"]).save("user/three.kinds")
    assert ConcentratedSet.load("user/three.kinds").classes == ["a"]  # a folder comes first


def test_what_the_hub_does_not_give_or_take_is_said_in_a_sentence(hub, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="'user/other'.*no such") as caught:
        ConcentratedSet.load("user/other")
    assert is_sentence(caught.value)
    for name in ("other", "user/", "/user/other", "../other", 3, "a/b/c"):
        with pytest.raises(ValueError, match="name is"):
            tiny().push_to_hub(name)

    def offline(*_, **__):
        raise OSError("no\nnet")

    monkeypatch.setattr(huggingface_hub, "upload_folder", offline)
    with pytest.raises(ConnectionError, match=r"'user/set', but .*no\)"):
        tiny().push_to_hub("user/set")


def test_the_card_names_what_there_is_and_keeps_its_table():
    config = {"rule": "a | b\nc", "trial_seeds": 3, "reference": 500, "loss": None}
    small = tiny(classes=[f"kind {c}" for c in range(25)], **config)
    card = dataset_card(small.take([*range(50), 0]), "my set")
    assert "kind 19 and 5 more" in card and "kind 20," not in card
    assert "51 images of 25 classes" in card and "2 to 3 a class" in card
    table = [line for line in card.splitlines() if line.startswith("|")]
    assert table == ["| setting | value |", "|---|---|", r"| rule | a \| b c |"]
    tried = {"doping_scores": {"0": [1]}, "data": "the prior's own samples", **config}
    card = dataset_card(tiny(**tried), "x")
    assert "| trial_seeds | 3 |" in card and "| reference | 500 |" in card
    assert all(way in card for way in ("ConcentratedSet.load", "load_dataset", "ImageFolder("))


@pytest.mark.parametrize("side, classes, ipc", [(512, 2, 10), (64, 25, 1), (1, 20, 10), (8, 1, 1)])
def test_a_preview_is_a_small_picture(side, classes, ipc):
    n = classes * ipc
    images = torch.full((n, 1, side, side), 9, dtype=torch.uint8)
    labels = torch.arange(classes).repeat_interleave(ipc)
    picture = preview(ConcentratedSet(images, labels, [f"c{c}" for c in range(classes)]))
    assert 8 <= min(picture.size) and max(picture.size) <= 1000
    assert np.unique(picture).tolist() == [9, 255]


def test_sets_are_cut_like_sequences():
    small = tiny(["synthetic", 7, 1, "synthetic", 9, 3], soft=True)
    small.transform = str
    wanted = small.take(torch.tensor([1, 2]))
    mask = [False, True, True, False, False, False]
    for index in (
        slice(1, 3),
        [1, 2],
        (1, 2),
        range(1, 3),
        np.array([1, 2]),
        np.array(mask),
        mask,
        [-5, -4],
    ):
        for part in (small[index], small.take(index)):
            assert same_in_all(part, wanted) and part.origin == [7, 1] and part.transform is str
    assert small[::-1].origin == small.origin[::-1]
    small.transform = None
    for index in (1, -5, np.int64(1), torch.tensor(1)):
        assert small[index] == small[1]
    for bad in (6, -7, [0, 6], "a", 1.5, [0.5], None, mask[:3], [[0]]):
        with pytest.raises(IndexError, match="index is .*the set has 6 images"):
            small[bad]
        with pytest.raises(IndexError, match="the set has 6 images"):
            small.take(bad)
    assert len(list(small)) == 6


def test_a_selection_may_be_a_list(few):
    for index in ([30, 1], np.array([30, 1]), torch.tensor([30, 1]), [30, 1 - len(few)]):
        assert ConcentratedSet.from_selection(few, index, method="x").origin == [1, 30]
    with pytest.raises(IndexError, match="120 images"):
        ConcentratedSet.from_selection(few, [120], method="x")
