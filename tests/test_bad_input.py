"Whatever is wrong with the input, the answer is one exception of a stated type, and one sentence with the argument, the value and a way out."

import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from dsco import Auto, ConcentratedSet, ImageSet, Prior, Recipe, concentrate, evaluate, load_data
from dsco.attack import Malicious, attack_signs, class_accuracies, neighbour_distance
from dsco.augment import Augmentation
from dsco.choices import Known, Noise, Outer, Pixels, Pool, Schedule, Window
from dsco.core import check_writable
from dsco.discrepancy import energy_distance, mmd
from dsco.distillation import distill
from dsco.doping import choose_share, predicted_share, real_counts
from dsco.features import pixel_features, random_features, trajectory_features
from dsco.floor import draw_mixture, generator_floor, intrinsic_dimension
from dsco.networks import build_network
from dsco.planning import Pilot, Plan, fit_error_curve, plan
from dsco.prior import prior_features
from dsco.records import make_rows, metric, record, save_figure
from dsco.schedules import evaluate_with_schedule, with_schedule
from dsco.selection import (
    herd,
    select,
    select_herding,
    select_kcenter,
    select_missing,
    select_random,
    select_residual,
)
from dsco.target import greedy_order, make_target
from dsco.theory import (
    Law,
    ascend_softmax,
    fit_squared,
    linear_excess_bound,
    moment_mmd,
    squared_gap,
)
from dsco.training import find_protocol
from dsco.unroll import InnerTraining, flatten_weights, load_weights, redraw


class Things:
    "What the cases below are made from."

    def __init__(self, digits, few, prior, feature_maps, folder: Path):
        self.digits, self.few, self.prior, self.maps, self.folder = (
            digits,
            few,
            prior,
            feature_maps,
            folder,
        )
        self.pixels, self.labels, self.classes = (
            few.images[:4],
            torch.tensor([0, 1, 1, 0]),
            ["cat", "dog"],
        )
        self.z, self.z_labels = prior.noise(torch.arange(3)), torch.arange(3)
        self.set = ConcentratedSet.from_selection(few, select_random(few, 2), method="random")
        self.network = build_network("convnet", few.shape, 10, width=8)
        self.scheduled = with_schedule(self.set, few, rate=0.1)

    def tree(self, *files: str, side: int = 8) -> Path:
        "A folder with these images, each of `side` pixels."
        for name in files:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (side, side)).save(self.folder / name)
        return self.folder

    def broken(self) -> Path:
        "A folder in which one image is not an image."
        self.tree("a/1.png", "a/2.png", "b/1.png")
        (self.folder / "b/2.png").write_bytes(b"no image")
        return self.folder

    def mixed(self) -> Path:
        "A folder with images of two sizes."
        self.tree("a/1.png", "a/2.png", "b/1.png")
        return self.tree("b/2.png", side=9)

    def without(self, label: int) -> ImageSet:
        "The few digits without those of one class."
        return self.few.subset(self.few.labels != label)

    def saved(self, **damage: str) -> Path:
        "A saved set with the text of some of its files replaced."
        self.set.save(self.folder / "set")
        for name, text in damage.items():
            (self.folder / "set" / name.replace("_", ".")).write_text(text)
        return self.folder / "set"

    def without_image(self) -> Path:
        self.saved()
        shutil.rmtree(self.folder / "set" / "3_3")
        return self.folder / "set"

    def not_a_set(self) -> Path:
        "A folder of somebody else's, which happens to have a config.json."
        (self.folder / "model").mkdir()
        (self.folder / "model" / "config.json").write_text("{}")
        return self.folder / "model"

    def damaged_prior(self) -> Path:
        "A saved prior whose weights were cut short."
        folder = self.prior.save_pretrained(self.folder / "prior")
        weights = next(folder.rglob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:100])
        return folder

    def one_class(self) -> ImageSet:
        "The few zeros, as a data set of their own."
        zeros = self.few.of_class(0)
        return ImageSet(self.few.images[zeros], self.few.labels[zeros], ["0"])

    def law(self, classes: int = 10) -> Law:
        "Four points of three features and one label."
        return Law(
            torch.randn(4, 3).double(),
            torch.zeros(4, dtype=torch.long),
            torch.full((4,), 0.25).double(),
            classes,
        )

    def broken_network(self) -> torch.nn.Module:
        "A network with a weight that is no number."
        network = build_network("convnet", self.few.shape, 10, width=8)
        next(network.parameters()).data.view(-1)[0] = torch.nan
        return network

    def rescheduled(self, **damage) -> ConcentratedSet:
        "The set with a schedule of which some entries are replaced."
        config = {
            **self.scheduled.config,
            "schedule": {**self.scheduled.config["schedule"], **damage},
        }
        return ConcentratedSet(
            self.set.images,
            self.set.labels,
            self.set.classes,
            origin=self.set.origin,
            config=config,
        )

    def distill(self, data: ImageSet | None = None, **options) -> ConcentratedSet:
        return distill(
            self.network,
            self.few if data is None else data,
            **{
                "ipc": 1,
                "start": Known(),
                "outer": Outer(steps=1),
                "device": "cpu",
                "progress": False,
                **options,
            },
        )

    def concentrate(self, **options) -> ConcentratedSet:
        return concentrate(
            self.prior,
            **{"ipc": 1, "data": self.few, "feature_maps": self.maps, "progress": False, **options},
        )


CASES = {
    # name: (what is done, the exception, words of the message: the argument and the value)
    "unknown dataset": (
        lambda t: load_data("mnits"),
        ValueError,
        ["name", "'mnits'", "fashion_mnist"],
    ),
    "missing root": (
        lambda t: load_data("mnist", root="/no/such/folder"),
        FileNotFoundError,
        ["root", "'/no/such/folder'"],
    ),
    "root without the files": (
        lambda t: load_data("mnist", root=t.folder),
        FileNotFoundError,
        ["mnist", "train-images"],
    ),
    "no name": (lambda t: load_data(None), TypeError, ["name is a NoneType", "'digits'"]),
    "size of a known dataset": (lambda t: load_data("digits", size=16), ValueError, ["size=16"]),
    "size too small": (lambda t: load_data(t.tree("a/1.png"), size=2), ValueError, ["size is 2"]),
    "folder without classes": (lambda t: load_data(t.folder), ValueError, ["no class folders"]),
    "empty class folder": (
        lambda t: (
            t.tree("train/a/1.png", "test/a/1.png"),
            (t.folder / "train/b").mkdir(),
            load_data(t.folder),
        ),
        ValueError,
        ["'b'", "no images"],
    ),
    "class missing in test": (
        lambda t: load_data(t.tree("train/a/1.png", "train/b/1.png", "test/a/1.png")),
        ValueError,
        ["'b'"],
    ),
    "unknown class in test": (
        lambda t: load_data(t.tree("train/a/1.png", "test/a/1.png", "test/c/1.png")),
        ValueError,
        ["c", "train"],
    ),
    "train without test": (
        lambda t: load_data(t.tree("train/a/1.png")),
        FileNotFoundError,
        ["test/"],
    ),
    "corrupt image": (lambda t: load_data(t.broken()), ValueError, ["2.png", "cannot be read"]),
    "images of two sizes": (
        lambda t: load_data(t.mixed()),
        ValueError,
        ["2 sizes", "(9, 9)", "size="],
    ),
    "corrupt Parquet": (
        lambda t: (
            [
                (t.folder / f"{split}-0.parquet").write_bytes(b"nothing")
                for split in ("train", "test")
            ],
            load_data(t.folder),
        ),
        ValueError,
        ["train-0.parquet", "Parquet", "again"],
    ),
    "Parquet without a test part": (
        lambda t: ((t.folder / "train-0.parquet").write_bytes(b"nothing"), load_data(t.folder)),
        FileNotFoundError,
        ["test-*.parquet"],
    ),
    "splits without classes": (
        lambda t: load_data(t.tree("train/1.png", "test/1.png")),
        ValueError,
        ["train", "no class folders"],
    ),
    "fraction of a step": (
        lambda t: t.prior.render(t.z, t.z_labels, steps=2.5),
        ValueError,
        ["steps is 2.5"],
    ),
    "fraction of a training step": (
        lambda t: Prior.fit(t.few, steps=2.5, file=None),
        ValueError,
        ["steps is 2.5"],
    ),
    "more labels hidden than there are": (
        lambda t: Prior.fit(t.few, steps=2, drop=2, file=None),
        ValueError,
        ["drop is 2"],
    ),
    "damaged prior": (
        lambda t: Prior.from_pretrained(t.damaged_prior()),
        ValueError,
        ["prior", "damaged", "again"],
    ),
    "too few images to start from": (
        lambda t: t.concentrate(recipe=Recipe(start="real"), ipc=11),
        ValueError,
        ["start", "9 images", "11"],
    ),
    "float images": (
        lambda t: ImageSet(t.pixels.float(), t.labels, t.classes),
        TypeError,
        ["images", "float32", "to_uint8"],
    ),
    "images of three axes": (
        lambda t: ImageSet(t.pixels[0], t.labels, t.classes),
        ValueError,
        ["images", "(1, 8, 8)"],
    ),
    "no images": (
        lambda t: ImageSet(t.pixels[:0], t.labels[:0], t.classes),
        ValueError,
        ["images", "empty"],
    ),
    "label too large": (
        lambda t: ImageSet(t.pixels, t.labels + 1, t.classes),
        ValueError,
        ["labels", "1 to 2", "2 classes"],
    ),
    "labels of the wrong type": (
        lambda t: ImageSet(t.pixels, t.labels.float(), t.classes),
        TypeError,
        ["labels", "float32"],
    ),
    "class name twice": (
        lambda t: ImageSet(t.pixels, t.labels, ["cat", "cat"]),
        ValueError,
        ["classes", "'cat'"],
    ),
    "position outside the set": (
        lambda t: t.few.subset([0, 500]),
        IndexError,
        ["index", "500", "120"],
    ),
    "share of a split": (lambda t: t.few.split(1.5), ValueError, ["share is 1.5"]),
    "unknown augmentation": (
        lambda t: Augmentation(["flip", "twirl"]),
        ValueError,
        ["names", "'twirl'"],
    ),
    "unknown network": (
        lambda t: build_network("resnet19", (1, 8, 8), 10),
        ValueError,
        ["name", "'resnet19'", "resnet18"],
    ),
    "network too deep": (
        lambda t: build_network("convnet", (1, 8, 8), 10, depth=5),
        ValueError,
        ["depth is 5"],
    ),
    "unknown protocol": (
        lambda t: find_protocol("fast"),
        ValueError,
        ["protocol", "'fast'", "quick"],
    ),
    "set of other classes": (
        lambda t: evaluate(ImageSet(t.pixels, t.labels, t.classes), t.digits.test),
        ValueError,
        ["classes", "cat"],
    ),
    "set of another shape": (
        lambda t: evaluate(
            ImageSet(t.few.images[:, :, :4], t.few.labels, t.few.classes), t.digits.test
        ),
        ValueError,
        ["small", "(1, 4, 8)"],
    ),
    "no seed": (lambda t: evaluate(t.few, t.digits.test, seeds=0), ValueError, ["seeds"]),
    "no step": (lambda t: evaluate(t.few, t.digits.test, steps=0), ValueError, ["steps is 0"]),
    "no random network": (
        lambda t: random_features((1, 8, 8), 10, statistics=t.few.statistics, count=0),
        ValueError,
        ["count is 0"],
    ),
    "steps that go back": (
        lambda t: trajectory_features(t.few, steps=(10, 5)),
        ValueError,
        ["steps", "[10, 5]"],
    ),
    "clouds of two dimensions": (
        lambda t: energy_distance(torch.zeros(3, 2), torch.zeros(3, 4)),
        ValueError,
        ["x has 2", "has 4"],
    ),
    "bandwidth zero": (
        lambda t: mmd(torch.zeros(3, 2), torch.zeros(3, 2), bandwidths=[0.0]),
        ValueError,
        ["bandwidths", "0.0"],
    ),
    "no budget": (lambda t: Prior.fit(t.few), ValueError, ["minutes", "steps"]),
    "two budgets": (
        lambda t: Prior.fit(t.few, minutes=1, steps=1),
        ValueError,
        ["minutes is 1", "steps is 1"],
    ),
    "negative budget": (lambda t: Prior.fit(t.few, steps=-5), ValueError, ["steps is -5"]),
    "unknown architecture": (
        lambda t: Prior.fit(t.few, steps=1, architecture="gan"),
        ValueError,
        ["architecture", "'gan'"],
    ),
    "patch that does not divide": (
        lambda t: Prior.fit(t.few, steps=1, patch=3),
        ValueError,
        ["patch is 3"],
    ),
    "images that are not square": (
        lambda t: Prior.fit(ImageSet(t.few.images[:, :, :4], t.few.labels, t.few.classes), steps=1),
        ValueError,
        ["images", "4×8"],
    ),
    "prior of a missing class": (
        lambda t: Prior.fit(t.without(3), steps=1),
        ValueError,
        ["images", "3"],
    ),
    "folder without a prior": (
        lambda t: Prior.from_pretrained(t.folder),
        FileNotFoundError,
        ["prior.json"],
    ),
    "noise of another shape": (
        lambda t: t.prior.render(t.z[:, :, :4], t.z_labels),
        ValueError,
        ["z has shape", "(3, 1, 4, 8)"],
    ),
    "too few labels": (
        lambda t: t.prior.render(t.z, t.z_labels[:2]),
        ValueError,
        ["labels", "(2,)", "3 noises"],
    ),
    "label the prior does not know": (
        lambda t: t.prior.render(t.z, t.z_labels + 9),
        ValueError,
        ["labels", "9 to 11", "10 classes"],
    ),
    "no sampler step": (
        lambda t: t.prior.render(t.z, t.z_labels, steps=0),
        ValueError,
        ["steps is 0"],
    ),
    "unknown sampler": (
        lambda t: t.prior.render(t.z, t.z_labels, sampler="euler"),
        ValueError,
        ["sampler", "'euler'"],
    ),
    "no sample": (lambda t: t.prior.sample(0), ValueError, ["per_class is 0"]),
    "target of a missing class": (
        lambda t: make_target(t.without(3), t.maps),
        ValueError,
        ["images", "3"],
    ),
    "target without features": (
        lambda t: make_target(t.few, []),
        ValueError,
        ["feature_maps is []"],
    ),
    "unknown objective": (
        lambda t: make_target(t.few, t.maps, objective="enrgy"),
        ValueError,
        ["objective", "'enrgy'"],
    ),
    "more rows than candidates": (
        lambda t: greedy_order(torch.zeros(2, 2), torch.zeros(2), 3),
        ValueError,
        ["count is 3", "2 candidates"],
    ),
    "more random images than there are": (
        lambda t: select_random(t.few, 13),
        ValueError,
        ["ipc is 13", "12"],
    ),
    "no image to select": (
        lambda t: select_herding(t.few, 0, feature_maps=t.maps),
        ValueError,
        ["ipc is 0"],
    ),
    "selection of an empty class": (
        lambda t: select_kcenter(t.without(3), 1, feature_maps=t.maps),
        ValueError,
        ["ipc is 1", "'3'"],
    ),
    "residual of too many": (
        lambda t: select_residual(t.few, [13] * 10, feature_maps=t.maps),
        ValueError,
        ["counts", "13", "'0'"],
    ),
    "residual of some classes": (
        lambda t: select_residual(t.few, [1, 1], feature_maps=t.maps),
        ValueError,
        ["counts", "2 numbers", "10 classes"],
    ),
    "residual without labels": (
        lambda t: select_residual(t.few, [1] * 10, feature_maps=t.maps, synthetic=t.pixels),
        ValueError,
        ["labels", "None", "4 synthetic"],
    ),
    "missing of too many": (
        lambda t: select_missing(t.few, [13] * 10, feature_maps=t.maps),
        ValueError,
        ["counts", "13", "'0'"],
    ),
    "missing without labels": (
        lambda t: select_missing(t.few, [1] * 10, feature_maps=t.maps, synthetic=t.pixels),
        ValueError,
        ["labels"],
    ),
    "residual without a kernel": (
        lambda t: select_residual(t.few, [1] * 10, feature_maps=t.maps, objective="moments"),
        ValueError,
        ["objective", "'moments'", "energy"],
    ),
    "no such rule": (
        lambda t: select(t.few, ipc=1, rule="best"),
        ValueError,
        ["rule is 'best'", "herding"],
    ),
    "hard without a network": (
        lambda t: select(t.few, ipc=1, rule="hard", feature_maps=[pixel_features()]),
        ValueError,
        ["feature_maps", "trajectory_features"],
    ),
    "more steps to differentiate than there are": (
        lambda t: Recipe(steps=3, through=4),
        ValueError,
        ["through is 4", "steps=3"],
    ),
    "no patches": (
        lambda t: build_network("vit", (1, 30, 30), 10),
        ValueError,
        ["patch is 4", "30×30"],
    ),
    "selection of too many": (lambda t: select(t.few, ipc=13), ValueError, ["ipc is 13", "12"]),
    "selection of no set": (
        lambda t: select(t.few.images, ipc=1),
        TypeError,
        ["images is a Tensor", "load_data"],
    ),
    "one map and no list": (
        lambda t: select(t.few, ipc=1, feature_maps=t.maps[0]),
        ValueError,
        ["feature_maps", "list"],
    ),
    "share above one": (lambda t: real_counts(10, 1.5, [100]), ValueError, ["doping is 1.5"]),
    "no share to try": (lambda t: choose_share(float, float, []), ValueError, ["shares", "empty"]),
    "features of two maps": (
        lambda t: predicted_share(torch.zeros(9, 2), torch.zeros(9, 3)),
        ValueError,
        ["real", "(9, 2)", "(9, 3)"],
    ),
    "no image a class": (lambda t: t.concentrate(ipc=0), ValueError, ["ipc is 0"]),
    "half an image a class": (lambda t: t.concentrate(ipc=1.5), ValueError, ["ipc is 1.5"]),
    "negative updates": (
        lambda t: t.concentrate(recipe=Recipe(updates=-1)),
        ValueError,
        ["updates is -1"],
    ),
    "reference of no steps": (
        lambda t: t.concentrate(data=None, recipe=Recipe(reference_steps=0)),
        ValueError,
        ["reference_steps is 0", "at least 1"],
    ),
    "everything held out": (
        lambda t: t.concentrate(recipe=Recipe(held_out=1.0)),
        ValueError,
        ["held_out is 1.0"],
    ),
    "objective of a search": (
        lambda t: t.concentrate(recipe=Recipe(objective="enrgy")),
        ValueError,
        ["objective", "'enrgy'"],
    ),
    "word for doping": (
        lambda t: t.concentrate(doping="some"),
        ValueError,
        ["doping", "'some'", "'auto'"],
    ),
    "doping above one": (lambda t: t.concentrate(doping=2.0), ValueError, ["doping is 2.0"]),
    "more real images than there are": (
        lambda t: t.concentrate(ipc=20, doping=0.9),
        ValueError,
        ["doping=0.9", "ipc=20", "18"],
    ),
    "real start without data": (
        lambda t: t.concentrate(data=None, recipe=Recipe(start="real")),
        ValueError,
        ["start", "no data"],
    ),
    "doping without data": (
        lambda t: t.concentrate(data=None, doping=0.5),
        ValueError,
        ["doping is 0.5", "data="],
    ),
    "recipe of another kind": (
        lambda t: t.concentrate(recipe={"updates": 3}),
        TypeError,
        ["recipe is a dict", "Recipe"],
    ),
    "share of a trial": (
        lambda t: t.concentrate(doping=Auto(shares=(0, 2))),
        ValueError,
        ["a value of shares is 2"],
    ),
    "trial without data": (
        lambda t: t.concentrate(data=None, doping="auto"),
        ValueError,
        ["doping", "data="],
    ),
    "blocks kept in a file": (
        lambda t: t.concentrate(file=t.tree("a/1.png") / "a/1.png"),
        ValueError,
        ["file is", "1.png", "name a folder"],
    ),
    "blocks kept in a folder of others": (
        lambda t: t.concentrate(file=t.tree("a/1.png")),
        ValueError,
        ["file is", "name another folder"],
    ),
    "prior kept in a folder of others": (
        lambda t: (t.tree("a/1.png"), Prior.fit(t.few, steps=1, file=t.folder)),
        FileExistsError,
        ["folder is", "saved prior"],
    ),
    "chunk of nothing": (lambda t: t.concentrate(chunk=0), ValueError, ["chunk is 0"]),
    "no feature map": (
        lambda t: t.concentrate(feature_maps=[]),
        ValueError,
        ["feature_maps is []", "at least one"],
    ),
    "data of other classes": (
        lambda t: t.concentrate(data=ImageSet(t.pixels, t.labels, t.classes)),
        ValueError,
        ["data", "cat", "prior"],
    ),
    "data of another size": (
        lambda t: t.concentrate(
            data=ImageSet(t.few.images[..., :4, :4], t.few.labels, t.few.classes)
        ),
        ValueError,
        ["data", "(1, 4, 4)", "(1, 8, 8)"],
    ),
    "data without a class": (
        lambda t: t.concentrate(data=t.without(3)),
        ValueError,
        ["data", "0 images"],
    ),
    "origin of other length": (
        lambda t: ConcentratedSet(t.pixels, t.labels, t.classes, origin=["synthetic"]),
        ValueError,
        ["origin", "1 entries", "4 images"],
    ),
    "soft labels of other shape": (
        lambda t: ConcentratedSet(t.pixels, t.labels, t.classes, soft_labels=torch.zeros(4, 3)),
        ValueError,
        ["soft_labels", "(4, 3)", "(4, 2)"],
    ),
    "soft labels of whole numbers": (
        lambda t: ConcentratedSet(
            t.pixels, t.labels, t.classes, soft_labels=torch.zeros(4, 2, dtype=torch.long)
        ),
        TypeError,
        ["soft_labels", "floats"],
    ),
    "classes that are no list": (
        lambda t: ImageSet(t.pixels, t.labels, ("cat", "dog")),
        TypeError,
        ["classes", "list of names"],
    ),
    "class folder with one image": (
        lambda t: load_data(t.tree("a/1.png", "b/1.png", "b/2.png")),
        ValueError,
        ["'a'", "1 image"],
    ),
    "image of floats": (
        lambda t: (
            Image.new("F", (8, 8)).save(t.tree("a/1.png", "b/1.png", "b/2.png") / "a/2.tif"),
            load_data(t.folder),
        ),
        ValueError,
        ["2.tif", "8 or 16 bits"],
    ),
    "one class alone": (
        lambda t: load_data(t.tree("train/a/1.png", "test/a/1.png")),
        ValueError,
        ["'a'", "one class"],
    ),
    "class folders of class folders": (
        lambda t: load_data(t.tree(*(f"{c}/{d}/1.png" for c in "ab" for d in "xy"))),
        ValueError,
        ["a has no images itself", "(x, y)"],
    ),
    "saved set as data": (
        lambda t: load_data(t.saved()),
        ValueError,
        ["saved set", "ConcentratedSet.load"],
    ),
    "huge size": (lambda t: load_data(t.folder, size=100_000), ValueError, ["size is 100000"]),
    "name of a set with spaces": (
        lambda t: load_data("hub:some one/few"),
        ValueError,
        ["name", "'hub:some one/few'", "user/name"],
    ),
    "training that diverges": (
        lambda t: Prior.fit(
            t.few,
            steps=50,
            lr=1e9,
            architecture="unet",
            width=8,
            depth=1,
            patch=1,
            file=None,
            progress=False,
        ),
        FloatingPointError,
        ["loss", "lower lr"],
    ),
    "data with both splits": (
        lambda t: t.concentrate(data=load_data("digits")),
        TypeError,
        ["data", ".train"],
    ),
    "test with both splits": (
        lambda t: evaluate(t.set, load_data("digits")),
        TypeError,
        ["test", ".test"],
    ),
    "inverting images of another size": (
        lambda t: t.prior.invert(torch.zeros(1, 1, 4, 4), torch.tensor([0])),
        ValueError,
        ["x has shape", "(1, 8, 8)"],
    ),
    "time of no noise level": (
        lambda t: prior_features(t.prior, time=1000),
        ValueError,
        ["time is 1000"],
    ),
    "more rows than features": (
        lambda t: herd(torch.zeros(3, 2), 4),
        ValueError,
        ["count is 4", "3"],
    ),
    "prefix too long": (lambda t: t.set.prefix(3), ValueError, ["ipc is 3", "2"]),
    "save over other things": (
        lambda t: t.set.save(t.tree("a/1.png")),
        FileExistsError,
        ["folder", "not a saved set"],
    ),
    "save beside a note": (
        lambda t: ((t.saved() / "notes.txt").write_text("mine"), t.set.save(t.folder / "set")),
        FileExistsError,
        ["folder", "notes.txt"],
    ),
    "save a prior beside a note": (
        lambda t: (
            (t.prior.save_pretrained(t.folder / "prior") / "notes.txt").write_text("mine"),
            t.prior.save_pretrained(t.folder / "prior"),
        ),
        FileExistsError,
        ["folder", "notes.txt"],
    ),
    "save below a file": (
        lambda t: check_writable(t.tree("a/1.png") / "a/1.png/set"),
        PermissionError,
        ["a file", "another folder"],
    ),
    "save over a model": (
        lambda t: t.set.save(t.not_a_set()),
        FileExistsError,
        ["folder", "model", "not a saved set"],
    ),
    "save over a file": (
        lambda t: t.set.save(t.tree("a/1.png") / "a/1.png"),
        FileExistsError,
        ["folder", "1.png"],
    ),
    "load what is no set": (
        lambda t: ConcentratedSet.load(t.folder),
        FileNotFoundError,
        ["folder", "config.json"],
    ),
    "load a broken config": (
        lambda t: ConcentratedSet.load(t.saved(config_json="{")),
        ValueError,
        ["config.json", "broken"],
    ),
    "load broken metadata": (
        lambda t: ConcentratedSet.load(t.saved(metadata_jsonl='{"label": 0}\n')),
        ValueError,
        ["metadata.jsonl", "broken"],
    ),
    "load with images missing": (
        lambda t: ConcentratedSet.load(t.without_image()),
        FileNotFoundError,
        ["3_3", "1 other", "metadata.jsonl"],
    ),
    "outer loss of other labels": (
        lambda t: t.distill(objective=torch.nn.MSELoss()),
        TypeError,
        ["objective", "labels int64"],
    ),
    "outer loss that is a number": (
        lambda t: t.distill(objective=lambda scores, labels: 3.0),
        ValueError,
        ["objective gives 3.0", "tensor"],
    ),
    "nothing to tell apart": (
        lambda t: t.distill(t.one_class()),
        ValueError,
        ["data has the one class '0'"],
    ),
    "attack on a list": (
        lambda t: Malicious([0], 1),
        ValueError,
        ["Malicious.source is [0]", "whole number"],
    ),
    "attack on no class": (
        lambda t: t.distill(objective=Malicious(0, 10)),
        TypeError,
        ["objective", "Malicious(source=0, target=10)", "0 to 9"],
    ),
    "device without values": (
        lambda t: t.distill(device="meta"),
        ValueError,
        ["device is 'meta'", "'cpu'"],
    ),
    "file that is no path": (lambda t: t.distill(file=3), TypeError, ["file is a int", "path"]),
    "window without a sequence": (
        lambda t: Window(span=2, length=1, transforms=None),
        ValueError,
        ["Window.transforms is None", "sequence"],
    ),
    "window with two optimisers": (
        lambda t: Window(span=2, length=1, optimiser=["adam"]),
        ValueError,
        ["Window.optimiser is ['adam']", "momentum"],
    ),
    "noise of whole numbers": (
        lambda t: t.distill(
            learn=Noise(t.prior, torch.zeros(10, *t.prior.noise_shape, dtype=torch.long))
        ),
        ValueError,
        ["Noise.z is torch.int64", "float32"],
    ),
    "noise that is not finite": (
        lambda t: t.distill(
            learn=Noise(t.prior, torch.full((10, *t.prior.noise_shape), torch.nan))
        ),
        ValueError,
        ["Noise.z is", "finite"],
    ),
    "networks by name": (
        lambda t: evaluate_with_schedule(t.scheduled, t.digits.test, ["lenet"]),
        TypeError,
        ["networks[0] is a str", "build_network"],
    ),
    "number of networks": (
        lambda t: evaluate_with_schedule(t.scheduled, t.digits.test, 5),
        TypeError,
        ["networks is a int", "[network]"],
    ),
    "schedule for a name": (
        lambda t: with_schedule("digits", t.few, rate=0.1),
        TypeError,
        ["small is a str", "ConcentratedSet"],
    ),
    "schedule of unequal classes": (
        lambda t: with_schedule(t.set.take(torch.arange(19)), t.few, rate=0.1),
        ValueError,
        ["small has [2, 2", "as many of each class"],
    ),
    "schedule of unequal steps": (
        lambda t: with_schedule(t.set, t.few, rate=0.1, steps=3),
        ValueError,
        ["steps (3)", "a multiple of 3"],
    ),
    "signs in both splits": (
        lambda t: attack_signs(t.network, t.scheduled, t.digits, t.few),
        TypeError,
        ["data is a Data", "data.train"],
    ),
    "outer rate of a word": (
        lambda t: Outer(lr="0.01"),
        ValueError,
        ["Outer.lr is '0.01'", "number"],
    ),
    "inner rate of nothing": (
        lambda t: Schedule(lr=1e-60),
        ValueError,
        ["Schedule.lr is 1e-60", "1e-12"],
    ),
    "limit that can only fall": (
        lambda t: Outer(clip=1),
        ValueError,
        ["Outer.clip is 1", "number"],
    ),
    "window of half a step": (
        lambda t: Window(span=4.5, length=2),
        ValueError,
        ["Window.span is 4.5", "whole number"],
    ),
    "window at no rate": (
        lambda t: Window(span=4, length=2, lr=0),
        ValueError,
        ["Window.lr is 0", "1e-12"],
    ),
    "window with an unknown transformation": (
        lambda t: Window(span=4, length=2, transforms=("flop",)),
        ValueError,
        ["Window.transforms", "'flop'", "flip"],
    ),
    "window from one start": (
        lambda t: t.distill(inner=Window(span=4, length=2)),
        ValueError,
        ["start is Known()", "Random()"],
    ),
    "schedule by its name": (
        lambda t: t.distill(inner="schedule"),
        TypeError,
        ["inner is a str", "Schedule or Window"],
    ),
    "more centres than images": (
        lambda t: t.distill(ipc=100, learn=Pixels("kmeans")),
        ValueError,
        ["ipc is 100", "lower ipc"],
    ),
    "images of nothing real": (
        lambda t: t.distill(t.without(3)),
        ValueError,
        ["data has no image of class '3'"],
    ),
    "yes for a number": (
        lambda t: t.distill(ipc=True),
        ValueError,
        ["ipc is True", "whole number"],
    ),
    "number for a device": (
        lambda t: t.distill(device=1.5),
        ValueError,
        ["device is 1.5", "'cpu'"],
    ),
    "start that is not finite": (
        lambda t: distill(t.broken_network(), t.few, ipc=1, progress=False),
        ValueError,
        ["network has values", "not finite"],
    ),
    "pool that is not finite": (
        lambda t: Pool([t.broken_network()], fixed=True),
        ValueError,
        ["Pool.networks[0] has values", "not finite"],
    ),
    "state of something else": (
        lambda t: (
            torch.save({"identity": 3}, t.folder / "state.pt"),
            t.distill(file=t.folder / "state.pt"),
        ),
        ValueError,
        ["file", "no saved state"],
    ),
    "schedule that is damaged": (
        lambda t: evaluate_with_schedule(
            t.rescheduled(rates=[0.1, 0.1]), t.digits.test, [t.network]
        ),
        ValueError,
        ["small has a damaged schedule", "rate"],
    ),
    "schedule without its mean": (
        lambda t: evaluate_with_schedule(t.rescheduled(mean=None), t.digits.test, [t.network]),
        ValueError,
        ["damaged schedule", "mean"],
    ),
    "schedule of no deviation": (
        lambda t: evaluate_with_schedule(t.rescheduled(std=[0.0]), t.digits.test, [t.network]),
        ValueError,
        ["damaged schedule", "above 0"],
    ),
    "schedule for other classes": (
        lambda t: with_schedule(
            t.set, ImageSet(t.few.images, t.few.labels, [f"{c}!" for c in range(10)]), rate=0.1
        ),
        ValueError,
        ["data has images", "must agree"],
    ),
    "schedule in half steps": (
        lambda t: with_schedule(t.set, t.few, rate=0.1, steps=1.5),
        ValueError,
        ["steps is 1.5", "whole number"],
    ),
    "schedule at no rate": (
        lambda t: with_schedule(t.set, t.few, rate=0),
        ValueError,
        ["rate is 0", "number"],
    ),
    "noise before more steps than there are": (
        lambda t: Noise(t.prior, steps=3, through=4),
        ValueError,
        ["through is 4", "steps=3"],
    ),
    "no network to take a turn": (
        lambda t: distill([], t.few, ipc=1),
        ValueError,
        ["network is []", "build_network"],
    ),
    "turns from the weights of one": (
        lambda t: distill([t.network, t.network], t.few, ipc=1, start=Known()),
        ValueError,
        ["network is a list of 2", "Random()"],
    ),
    "networks of two kinds": (
        lambda t: evaluate_with_schedule(
            t.scheduled, t.digits.test, [t.network, build_network("lenet", t.few.shape, 10)]
        ),
        ValueError,
        ["networks[1]", "LeNet"],
    ),
    "weights of a larger network": (
        lambda t: load_weights(t.network, torch.cat([flatten_weights(t.network)] * 2)),
        ValueError,
        ["theta has shape", "parameters"],
    ),
    "weights in double precision": (
        lambda t: load_weights(t.network, flatten_weights(t.network).double()),
        ValueError,
        ["torch.float64", "torch.float32"],
    ),
    "start from half a seed": (
        lambda t: redraw(t.network, 1.5),
        ValueError,
        ["seed is 1.5", "whole number"],
    ),
    "start of a name": (
        lambda t: redraw("lenet", 0),
        TypeError,
        ["network is a str", "build_network"],
    ),
    "inner training without a rate": (
        lambda t: InnerTraining([t.few.images.float()], [t.few.labels], torch.zeros(1), [0, 0]),
        ValueError,
        ["rates has 1", "2 steps"],
    ),
    "inner training under no rule": (
        lambda t: InnerTraining([t.few.images.float()], [t.few.labels], torch.zeros(1), [0], "sgd"),
        ValueError,
        ["rule is 'sgd'", "momentum"],
    ),
    "distance of other shapes": (
        lambda t: neighbour_distance(
            t.set, ImageSet(t.few.images.reshape(-1, 1, 4, 16), t.few.labels, t.few.classes)
        ),
        ValueError,
        ["(1, 8, 8)", "(1, 4, 16)"],
    ),
    "distance from both splits": (
        lambda t: neighbour_distance(t.set, t.digits),
        TypeError,
        ["data is a Data", "data.train"],
    ),
    "accuracy of an empty class": (
        lambda t: class_accuracies(t.network, t.without(3)),
        ValueError,
        ["images has no image of class '3'"],
    ),
    "accuracy by half the scores": (
        lambda t: class_accuracies(build_network("convnet", t.few.shape, 5, width=8), t.few),
        ValueError,
        ["network gives scores of shape (2, 5)", "10 classes"],
    ),
    "plan of both splits": (
        lambda t: plan(t.prior, t.digits, [10]),
        TypeError,
        ["data is a Data", "load_data(...).train"],
    ),
    "plan of one number": (
        lambda t: plan(t.prior, t.digits.train, 10),
        ValueError,
        ["budgets is 10", "list"],
    ),
    "plan of words": (
        lambda t: plan(t.prior, t.digits.train, ["10"]),
        ValueError,
        ["budgets is '10'"],
    ),
    "plan for half an image": (
        lambda t: plan(t.prior, t.digits.train, [2.5]),
        ValueError,
        ["budgets is 2.5", "whole"],
    ),
    "plan with one share": (
        lambda t: plan(t.prior, t.digits.train, [10], shares=0.5),
        ValueError,
        ["shares is 0.5", "list"],
    ),
    "plan from too small a pilot": (
        lambda t: Pilot([1], seeds=1),
        ValueError,
        ["seeds is 1", "6 networks"],
    ),
    "plan from too large a pilot": (
        lambda t: plan(t.prior, t.digits.train, [10], pilot=Pilot([1, 500])),
        ValueError,
        ["pilot goes up to 500"],
    ),
    "plan from few samples": (
        lambda t: Pilot(samples=3),
        ValueError,
        ["samples is 3", "at least 20"],
    ),
    "plan with an unknown protocol": (
        lambda t: Pilot(protocol="fast"),
        ValueError,
        ["protocol is 'fast'", "quick"],
    ),
    "plan without guidance": (
        lambda t: Pilot(guidance=float("nan")),
        ValueError,
        ["guidance is nan"],
    ),
    "plan without validation": (
        lambda t: Pilot(validation=0),
        ValueError,
        ["validation is 0", "above 0 and below 1"],
    ),
    "plan tested on nothing": (
        lambda t: Pilot(tested=-5),
        ValueError,
        ["tested is -5", "at least 50"],
    ),
    "plan of a few images": (
        lambda t: plan(t.prior, t.few, [10]),
        ValueError,
        ["data has a class that keeps", "at least 20"],
    ),
    "plan from sizes alone": (
        lambda t: plan(t.prior, t.digits.train, [10], pilot=[1, 2]),
        TypeError,
        ["pilot is a list", "Pilot(sizes="],
    ),
    "plan by no prior": (
        lambda t: plan("prior", t.digits.train, [10]),
        TypeError,
        ["prior is a str", "Prior.fit"],
    ),
    "budget without a forecast": (
        lambda t: Plan([], None, None, []).best(11),
        ValueError,
        ["ipc is 11", "plan is for"],
    ),
    "mixture of no image": (lambda t: draw_mixture(t.few, t.few, 0, 0.5), ValueError, ["ipc is 0"]),
    "mixture of other classes": (
        lambda t: draw_mixture(t.few, ImageSet(t.pixels, t.labels, t.classes), 1, 0.5),
        ValueError,
        ["generated has", "cat"],
    ),
    "mixture beyond all": (
        lambda t: draw_mixture(t.few, t.few, 1, 2),
        ValueError,
        ["share is 2", "from 0 to 1"],
    ),
    "floor of no number": (
        lambda t: generator_floor([torch.full((20, 2), torch.nan)], [torch.zeros(20, 2)]),
        ValueError,
        ["real[0] has 40", "not finite"],
    ),
    "floor of one point": (
        lambda t: generator_floor([torch.zeros(20, 2)], [torch.randn(20, 2)]),
        ValueError,
        ["real[0] has 20 times the same point"],
    ),
    "dimension of no number": (
        lambda t: intrinsic_dimension(torch.full((20, 2), torch.nan)),
        ValueError,
        ["x has 40", "not finite"],
    ),
    "curve through lists of two lengths": (
        lambda t: fit_error_curve([1.0] * 6, [1.0] * 6, [1.0] * 5, [50.0] * 6),
        ValueError,
        ["shapes", "one length"],
    ),
    "curve through more than everything": (
        lambda t: fit_error_curve([1.0] * 6, [1.0] * 6, [1.0] * 6, [150.0] * 6),
        ValueError,
        ["above 100", "percent"],
    ),
    "laws of other classes": (
        lambda t: moment_mmd(t.law(10), t.law(1)),
        ValueError,
        ["p has 3 features, 10 classes", "3 and 1"],
    ),
    "gap in no ball": (
        lambda t: squared_gap(t.law(), t.law(), float("inf")),
        ValueError,
        ["radius is inf", "above 0"],
    ),
    "ascent from nowhere": (
        lambda t: ascend_softmax(t.law(), t.law(), 1.0, starts=torch.zeros(2, 2)),
        ValueError,
        ["starts is (2, 2)", "(m, 3, 10)"],
    ),
    "fit with endless decay": (
        lambda t: fit_squared(t.law(), float("inf")),
        ValueError,
        ["decay is inf"],
    ),
    "moments that are negative": (
        lambda t: linear_excess_bound(-torch.eye(3), torch.zeros(3), 1),
        ValueError,
        ["H has shape (3, 3)", "negative eigenvalues"],
    ),
    "rows by halves": (
        lambda t: linear_excess_bound(torch.eye(3), torch.zeros(3), 1.5),
        ValueError,
        ["rows is 1.5"],
    ),
    "unknown column": (
        lambda t: record(dataset="digits", accurracy=90.0),
        TypeError,
        ["accurracy", "accuracy"],
    ),
    "accuracy that is no number": (
        lambda t: make_rows({"accuracy": "good"}),
        ValueError,
        ["accuracy", "'good'"],
    ),
    "columns of two lengths": (
        lambda t: record(seed=[0, 1], accuracy=[1.0, 2.0, 3.0]),
        ValueError,
        ["columns", "2", "3"],
    ),
    "metric that is a list": (lambda t: metric(speed=[1, 2]), TypeError, ["speed", "list"]),
    "figure with a path": (lambda t: save_figure(None, "a/b"), ValueError, ["name", "'a/b'"]),
}


@pytest.fixture
def things(digits, few, prior, feature_maps, tmp_path):
    return Things(digits, few, prior, feature_maps, tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error(case, things):
    work, kind, words = CASES[case]
    with pytest.raises(kind) as caught:
        work(things)
    assert caught.type is kind
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert_one_sentence(message)


def assert_one_sentence(message: str) -> None:
    "One line that ends like a sentence, with what is wrong and, after a comma, colon or semicolon, what holds or helps."
    assert "\n" not in message and message.endswith(".") and 20 < len(message) < 600, message
    outside = re.sub(r"\([^()]*\)|'[^']*'|\[[^\]]*\]", "", message)
    assert not re.search(r"\. +[A-Z]", outside), message
    assert re.search(r"[,:;]", outside), message


def test_nothing_is_begun_before_the_request_is_checked(things, monkeypatch):
    "No feature map is trained and no image rendered for a request that cannot be met."
    for name in ("render", "noise"):
        monkeypatch.setattr(
            Prior, name, lambda *arguments, **options: pytest.fail("work was begun")
        )
    for wrong in (
        {"ipc": 0},
        {"doping": "some"},
        {"feature_maps": []},
        {"chunk": 0},
        {"data": things.without(3)},
    ):
        with pytest.raises(ValueError):
            concentrate(things.prior, **{"ipc": 1, "data": things.few, **wrong})


def test_there_are_many_cases():
    assert len(CASES) >= 30
