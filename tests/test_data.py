"A user's own images become an image set, byte by byte, from whatever holds them."

import gzip
import io
import json
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.transforms import ToTensor

from dsco import ConcentratedSet, ImageSet, load_data, loading, readers
from dsco.data import channel_statistics


class Own(Dataset):
    "What people write: an image and a label by number."

    def __init__(self, pairs, **attributes):
        self.pairs = pairs
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def colours(*values: int) -> list[Image.Image]:
    return [Image.new("RGB", (3, 2), (v, 0, 255 - v)) for v in values]


def test_bytes_and_floats_and_pictures_are_the_same(few):
    small = ConcentratedSet(few.images, few.labels, few.classes)
    pictures = ImageSet.from_dataset(small)
    floats = ImageSet.from_dataset(Own([(ToTensor()(image), label) for image, label in small]))
    tensors = ImageSet.from_dataset(TensorDataset(few.images, few.labels), few.classes)
    for found in (pictures, floats, tensors):
        assert torch.equal(found.images, few.images) and torch.equal(found.labels, few.labels)
        assert found.classes == few.classes


def test_names_are_given_or_the_datasets_own_or_numbers():
    pairs = list(zip(colours(10, 20), (1, 0), strict=True))
    assert ImageSet.from_dataset(Own(pairs)).classes == ["0", "1"]
    assert ImageSet.from_dataset(Own(pairs, classes=["cat", "dog"])).classes == ["cat", "dog"]
    assert ImageSet.from_dataset(Own(pairs, classes=["a", "b"]), "xyz").classes == ["x", "y", "z"]


def test_grey_beside_colour_becomes_colour():
    mixed = [(Image.new("L", (3, 2), 7), 0), (Image.new("RGBA", (3, 2), (1, 2, 3, 4)), 0)]
    found = ImageSet.from_dataset(mixed)
    assert found.shape == (3, 2, 3)
    assert found.images[:, :, 0, 0].tolist() == [[7, 7, 7], [251, 251, 251]]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(Image.new("L", (2, 2)), 0)])


SIZES = [(Image.new("L", (2, side)), 0) for side in (2, 3)]
GREY = Image.new("L", (2, 2))


@pytest.mark.parametrize(
    ("dataset", "kind", "words"),
    [
        (Stream(), TypeError, ["dataset is a Stream", "map-style"]),
        ([], TypeError, ["dataset is a list", "at least 1"]),
        ([GREY], TypeError, ["dataset[0] is a Image", "pair"]),
        ([(GREY, 0, 1)], TypeError, ["dataset[0] is a tuple", "pair"]),
        ([("cat.png", 0)], TypeError, ["dataset[0][0] is a str", "transform"]),
        ([(GREY, 0), (GREY, 0.5)], ValueError, ["dataset[1][1] is 0.5", "whole number"]),
        ([(GREY, -1)], ValueError, ["dataset[0][1] is -1"]),
        ([(torch.zeros(2, 2), 0)], ValueError, ["dataset[0][0]", "(2, 2)", "(C, H, W)"]),
        ([(torch.zeros(1, 2, 2).long(), 0)], ValueError, ["dataset[0][0]", "torch.int64"]),
        ([(torch.full((1, 2, 2), 1.5), 0)], ValueError, ["floats from 1.5 to 1.5", "Normalize"]),
        ([(torch.full((1, 2, 2), torch.nan), 0)], ValueError, ["floats from nan", "[0, 1]"]),
        ([(Image.new("F", (2, 2)), 0)], ValueError, ["dataset[0][0]", "8 or 16 bits"]),
        ([(Image.new("I", (2, 2), 7), 0)], ValueError, ["dataset[0][0]", "7 to 7", "16 bits"]),
        (SIZES, ValueError, ["2 sizes", "dataset[1][0] is (2, 3)", "transform"]),
    ],
)
def test_what_is_no_image_or_label_is_named(dataset, kind, words):
    with pytest.raises(kind) as caught:
        ImageSet.from_dataset(dataset)
    message = str(caught.value)
    assert all(word in message for word in words) and message.endswith("."), message


# One picture, wherever it comes from: a folder, a table, a dataset.


def encode(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    picture.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def turned() -> bytes:
    "16×24 to look at, red above blue, stored lying with a tag that says so."
    lying = Image.new("RGB", (24, 16), "blue")
    lying.paste("red", (0, 0, 12, 16))
    exif = Image.Exif()
    exif[274] = 6
    return encode(lying, "PNG", exif=exif)


def upright() -> bytes:
    picture = Image.new("RGB", (16, 24), "blue")
    picture.paste("red", (0, 0, 16, 12))
    return encode(picture)


def clear(mode: str) -> bytes:
    "Black in the middle, all around it transparent."
    ground = (0, 255, 0, 0) if mode != "LA" else (60, 0)
    picture = Image.new("LA" if mode == "LA" else "RGBA", (8, 8), ground)
    picture.paste((0, 255) if mode == "LA" else (0, 0, 0, 255), (2, 2, 6, 6))
    if mode != "P":
        return encode(picture)
    few = Image.new("P", (8, 8), 0)
    few.putpalette([0, 255, 0, 0, 0, 0])
    few.paste(1, (2, 2, 6, 6))
    return encode(few, transparency=0)


def on_white() -> bytes:
    picture = Image.new("L", (8, 8), 255)
    picture.paste(0, (2, 2, 6, 6))
    return encode(picture)


def colour(data: bytes) -> bytes:
    return encode(Image.open(io.BytesIO(data)).convert("RGB"))


DEEP = encode(Image.fromarray((np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)))
SHALLOW = encode(Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)))
TIFF = encode(Image.fromarray((np.arange(256, dtype=np.int32) * 257).reshape(16, 16)), "TIFF")
PICTURES = {
    "turned by a tag": (turned(), upright()),
    "transparent colours": (clear("RGBA"), colour(on_white())),
    "transparent palette": (clear("P"), colour(on_white())),
    "transparent grey": (clear("LA"), on_white()),
    "16 bits": (DEEP, SHALLOW),
    "16 bits in 32": (TIFF, SHALLOW),
    "black and white": (
        encode(Image.open(io.BytesIO(on_white())).convert("1")),
        on_white(),
    ),
    "palette": (
        encode(Image.open(io.BytesIO(upright())).convert("P")),
        upright(),
    ),
    "four inks": (
        encode(Image.new("CMYK", (8, 8)), "TIFF"),
        encode(Image.new("RGB", (8, 8), "white")),
    ),
}


def in_folder(folder: Path, pictures: list[bytes]) -> ImageSet:
    "Every class, in both splits, holds all the pictures."
    for i, data in enumerate(pictures):
        for name in ("train/a", "train/b", "test/a", "test/b"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{i}.tif").write_bytes(data)
    return load_data(folder).train


def in_table(folder: Path, pictures: list[bytes]) -> ImageSet:
    rows = {
        "image": [{"bytes": data, "path": None} for data in pictures * 2],
        "label": [0] * len(pictures) + [1] * len(pictures),
    }
    write_shards(folder, pa.table(rows))
    return load_data(folder).train


def in_dataset(folder: Path, pictures: list[bytes]) -> ImageSet:
    opened = [Image.open(io.BytesIO(data)) for data in pictures]
    return ImageSet.from_dataset([(picture, c) for c in range(2) for picture in opened])


def write_shards(folder: Path, train, test=None, names=("train-0.parquet", "test-0.parquet")):
    for name, table in zip(names, (train, train if test is None else test), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)


@pytest.mark.parametrize("place", [in_folder, in_table, in_dataset])
@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_shows_what_a_viewer_shows(case, place, tmp_path):
    found, wanted = (
        place(tmp_path / str(i), [data]).images for i, data in enumerate(PICTURES[case])
    )
    assert found.shape == wanted.shape and torch.equal(found, wanted)


@pytest.mark.parametrize("place", [in_folder, in_table])
def test_a_photograph_lying_in_the_file_is_cut_upright(place, tmp_path):
    place(tmp_path, [turned(), upright()])
    lying, standing = load_data(tmp_path, size=8).train.images[:2]
    assert torch.equal(lying, standing) and lying[0, 0, 0] == 255


@pytest.mark.parametrize("place", [in_folder, in_table])
def test_a_bomb_is_named(place, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    bomb = encode(Image.new("L", (50, 50)))
    with pytest.raises(ValueError, match="(0.tif|parquet.0.).*DecompressionBomb"):
        place(tmp_path, [bomb])


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("kept", [False, True])
def test_one_colour_image_makes_both_splits_colour(part, kept, tmp_path, monkeypatch):
    if kept:
        monkeypatch.setenv("DSCO_MEMORY", "1e-7")
    in_folder(tmp_path, [SHALLOW, SHALLOW])
    Image.new("RGB", (16, 16), "red").save(tmp_path / part / "b/1.tif")
    data = load_data(tmp_path)
    assert data.train.shape == data.test.shape == (3, 16, 16)
    grey = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, 16, 16)
    assert torch.equal(data.train.images[0], grey) and torch.equal(data.test.images[0], grey)
    red = (data.train if part == "train" else data.test).images[3, :, 0, 0]
    assert red.tolist() == [255, 0, 0]


# Folders.


def tree(folder: Path, *names: str) -> Path:
    "A folder with a small picture under each name, all different."
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(folder / name)
    return folder


def both(classes, split=("train", "test"), file="1.png") -> list[str]:
    return [f"{part}/{c}/{file}" for part in split for c in classes]


def test_classes_are_in_the_order_of_their_numbers_and_say_so(tmp_path):
    data = load_data(tree(tmp_path, *both([str(c) for c in range(1, 13)])))
    assert data.classes == [str(c) for c in range(1, 13)]
    assert "12 classes: 1, 2, 3, …" in repr(data) and "12 classes: 1, 2, 3" in repr(data.train)


@pytest.mark.parametrize(
    "split", [("Train", "TEST"), ("training", "testing"), ("train", "Validation"), ("train", "val")]
)
def test_splits_are_called_in_many_ways(split, tmp_path):
    data = load_data(tree(tmp_path, *both("ab", split)))
    assert data.classes == ["a", "b"] and data.test.images[:, 0, 0, 0].tolist() == [2, 3]


def test_test_is_taken_before_validation(tmp_path):
    data = load_data(tree(tmp_path, *both("ab", ("train", "val", "test"))))
    assert data.test.images[:, 0, 0, 0].tolist() == [4, 5]


@pytest.mark.parametrize("wrapper", ["mydata", "a/b"])
def test_a_lone_folder_around_everything_is_entered(wrapper, tmp_path):
    tree(tmp_path, *(f"{wrapper}/{name}" for name in both("ab")), "__MACOSX/x/1.png")
    assert load_data(tmp_path).classes == ["a", "b"] and load_data(tmp_path).name == tmp_path.name


def test_what_systems_leave_behind_is_no_class_and_no_image(tmp_path, recwarn):
    names = ["__MACOSX/a/._1.png", ".git/x/1.png", "train/.ipynb_checkpoints/1.png"]
    tree(tmp_path, *both("ab"), *names)
    for name in (".DS_Store", "train/a/Thumbs.db", "train/a/.hidden.png", "test/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    assert load_data(tmp_path).train.counts.tolist() == [1, 1]
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


def test_files_that_are_no_images_are_counted_in_one_line(tmp_path):
    tree(tmp_path, *both("ab"))
    for name in ("train/a/notes.txt", "train/b/2.heic", "test/a/noending", "train/loose.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.warns(UserWarning, match="no images.*: 4 of the files.*example") as caught:
        assert load_data(tmp_path).train.counts.tolist() == [1, 1]
    assert len(caught) == 1


def test_every_format_that_pil_opens_is_read(tmp_path):
    for kind, suffix in (("GIF", "gif"), ("JPEG", "jfif"), ("WEBP", "webp"), ("TIFF", "TIFF")):
        (tmp_path / kind).mkdir()
        for i in range(2):
            Image.new("RGB", (8, 8), "white").save(tmp_path / kind / f"{i}.{suffix}", kind)
    assert load_data(tmp_path).train.counts.tolist() == [1, 1, 1, 1]


def test_a_program_in_place_of_an_image_is_not_run(tmp_path):
    tree(tmp_path, *both("ab"))
    (tmp_path / "train/a/2.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    with pytest.raises(ValueError, match="2.png cannot be read as an image"):
        load_data(tmp_path)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    "And not silently fewer images."
    tree(tmp_path, *both("ab"), "train/a/more/1.png")
    listed = Path.iterdir

    def iterdir(self):
        if self.name == "more":
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(PermissionError, match="more cannot be read .Permission denied"):
        load_data(tmp_path)


def test_a_strip_is_not_blown_up(tmp_path):
    tree(tmp_path, *both("ab"))
    Image.new("L", (20_000, 1)).save(tmp_path / "train/a/2.png")
    with pytest.raises(ValueError, match="2.png has 20000×1 pixels"):
        load_data(tmp_path, size=64)


# Tables.


def rows(label, *, name="label", image=None, kind=None) -> pa.Table:
    "Four pictures with these labels."
    image = image or [{"bytes": SHALLOW, "path": None}] * len(label)
    return pa.table({"img": pa.array(image, kind), name: label})


def described(names: list[str], column: str = "label") -> dict:
    about = {"info": {"features": {column: {"names": names, "_type": "ClassLabel"}}}}
    return {"huggingface": json.dumps(about)}


FOUR = [0, 1, 1, 0]
SWAPPED = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
DIALECTS = {
    # what is written, the classes, the labels
    "target": (rows(FOUR, name="target"), ["0", "1"], FOUR),
    "class": (rows(FOUR, name="class"), ["0", "1"], FOUR),
    "labels": (rows(FOUR, name="labels"), ["0", "1"], FOUR),
    "the only numbers": (rows(FOUR, name="species"), ["0", "1"], FOUR),
    "text": (rows(["dog", "cat", "cat", "dog"]), ["cat", "dog"], [1, 0, 0, 1]),
    "a dictionary": (
        rows(pa.array(["b", "a", "a", "b"]).dictionary_encode()),
        ["a", "b"],
        [1, 0, 0, 1],
    ),
    "from one": (rows([2, 10, 10, 2]), ["2", "10"], FOUR),
    "the path first": (
        rows(FOUR, image=[{"path": "x", "bytes": SHALLOW}] * 4, kind=SWAPPED),
        ["0", "1"],
        FOUR,
    ),
    "plain bytes": (rows(FOUR, image=[SHALLOW] * 4), ["0", "1"], FOUR),
    "class names": (
        rows(FOUR).replace_schema_metadata(described(["cat", "dog"])),
        ["cat", "dog"],
        FOUR,
    ),
    "the only class list": (
        rows(FOUR, name="kind")
        .append_column("id", [[7, 8, 9, 10]])
        .replace_schema_metadata(described(["cat", "dog"], "kind")),
        ["cat", "dog"],
        FOUR,
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tables_are_read_in_every_dialect(dialect, tmp_path):
    table, classes, labels = DIALECTS[dialect]
    write_shards(tmp_path, table)
    data = load_data(tmp_path)
    assert data.classes == classes and data.train.labels.tolist() == labels
    assert data.train.images[0].flatten().tolist() == list(range(256))


@pytest.mark.parametrize(
    "names",
    [
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
        ("Train.parquet", "Test.parquet"),
    ],
)
def test_shards_are_found_where_the_hub_puts_them(names, tmp_path):
    write_shards(tmp_path, rows(FOUR), rows([1, 0]), names)
    assert load_data(tmp_path).test.labels.tolist() == [1, 0]


def test_shards_of_two_datasets_are_not_mixed(tmp_path):
    for place in ("one", "two"):
        write_shards(tmp_path / place, rows(FOUR), names=("train/0.parquet", "test/0.parquet"))
    with pytest.raises(ValueError, match="one and .*two: pass one"):
        load_data(tmp_path)


def test_a_class_may_be_missing_in_the_test_table(tmp_path):
    write_shards(tmp_path, rows([0, 1, 2, 0]), rows([0, 1]))
    data = load_data(tmp_path)
    assert data.test.classes == ["0", "1", "2"] and data.test.counts.tolist() == [1, 1, 0]


UNFIT = {
    # what is written for train and for test, words of the message
    "no class": ([rows([0, 1, -1, 0])], ["train-0.parquet[2]", "-1", "label"]),
    "missing label": ([rows([0, 1, None, 0])], ["train-0.parquet[2]", "None", "label"]),
    "label of floats": ([rows([0.0, 1.0])], ["train-0.parquet", "label: double"]),
    "label of lists": ([rows([[0], [1]])], ["train-0.parquet", "label: list"]),
    "path alone": (
        [rows([0, 1], image=[{"bytes": None, "path": "/etc/passwd"}] * 2)],
        ["train-0.parquet[0]", "img", "/etc/passwd", "no bytes"],
    ),
    "no rows": ([rows(FOUR), rows(FOUR).slice(0, 0)], ["test-0.parquet", "no rows"]),
    "metadata that is no JSON": (
        [rows(FOUR).replace_schema_metadata({"huggingface": "{"})],
        ["train-0.parquet", "metadata"],
    ),
    "metadata that is a list": (
        [rows(FOUR).replace_schema_metadata({"huggingface": "[]"})],
        ["train-0.parquet", "metadata"],
    ),
    "another class in test": ([rows(FOUR), rows([0, 3])], ["test-0.parquet", "label 3", "0, 1"]),
    "label beyond the names": (
        [rows([0, 1, 2, 0]).replace_schema_metadata(described(["cat", "dog"]))],
        ["train-0.parquet", "2", "cat, dog"],
    ),
    "one class alone": ([rows([0, 0])], ["train-0.parquet", "one class"]),
    "no image": ([pa.table({"label": [0, 1], "x": [0.5, 1]})], ["train-0.parquet", "images"]),
    "two columns of numbers": (
        [rows(FOUR, name="a").append_column("b", [FOUR])],
        ["train-0.parquet", "a: int64, b: int64"],
    ),
    "damaged image": (
        [rows([0, 1], image=[{"bytes": SHALLOW, "path": None}, {"bytes": b"x", "path": None}])],
        ["train-0.parquet[1]", "cannot be read"],
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_in_a_table_is_named(case, tmp_path):
    tables, words = UNFIT[case]
    write_shards(tmp_path, *tables)
    with pytest.raises(ValueError) as caught:
        load_data(tmp_path)
    message = str(caught.value)
    assert all(word in message for word in words) and message.endswith("."), message


# The Hub.


class Fetched:
    "Stands for the network: what was asked for, and the answer."

    def __init__(self, monkeypatch, answer):
        self.asked, self.answer = [], answer
        monkeypatch.setattr("datasets.load_dataset", self.load)
        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **options: None)

    def load(self, name, config, *, cache_dir):
        self.asked.append((name, config))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def hub_split(labels: list[int], names=("cat", "dog")):
    datasets = pytest.importorskip("datasets")
    features = {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=list(names))}
    pictures = [Image.new("L", (8, 8), i) for i in range(len(labels))]
    return datasets.Dataset.from_dict(
        {"picture": pictures, "kind": labels}, features=datasets.Features(features)
    )


@pytest.mark.parametrize("name", ["some/animals", "hub:some/animals", "hub:animals:small"])
def test_a_set_on_the_hub_is_read(name, monkeypatch):
    parts = {
        "train": hub_split([0, 1]),
        "test": hub_split([-1, -1, -1]),
        "validation": hub_split([1, 0, 0]),
    }
    hub = Fetched(monkeypatch, parts)
    data = load_data(name)
    assert data.classes == ["cat", "dog"] and data.test.labels.tolist() == [1, 0, 0]
    assert (
        data.train.images[:, 0, 0, 0].tolist() == [0, 1] and data.name == "animals" or ":" in name
    )
    wanted = name.removeprefix("hub:").split(":")
    assert hub.asked == [(wanted[0], (wanted + [None])[1])]


def test_one_split_on_the_hub_is_divided(monkeypatch):
    labels = [0, 1] * 10
    Fetched(monkeypatch, {"train": hub_split(labels)})
    data = load_data("some/animals")
    assert data.train.counts.tolist() == [8, 8] and data.test.counts.tolist() == [2, 2]
    for part in (data.train, data.test):  # the value of a pixel says which image it was
        places = part.images[:, 0, 0, 0].tolist()
        assert part.labels.tolist() == [labels[i] for i in places] and places == sorted(places)


def test_pictures_of_the_hub_may_be_files(monkeypatch, tmp_path):
    "But not those that a table names that somebody gave us."
    datasets = pytest.importorskip("datasets")
    files = [str(tree(tmp_path, f"{i}.png") / f"{i}.png") for i in range(2)]
    features = {"image": datasets.Image(), "label": datasets.Value("string")}
    split = datasets.Dataset.from_dict(
        {"image": files, "label": ["a", "b"]}, features=datasets.Features(features)
    )
    Fetched(monkeypatch, {"train": split, "test": split})
    assert load_data("some/animals").classes == ["a", "b"]


def test_a_set_that_cannot_be_had_is_one_sentence(monkeypatch, tmp_path):
    hub = Fetched(monkeypatch, ConnectionError("no route\nto host"))
    with pytest.raises(FileNotFoundError, match="'some/animals'.*no route.*connection.$"):
        load_data("some/animals")
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="'photos/dgos'.*neither a folder"):
        load_data("photos/dgos")
    assert len(hub.asked) == 1


# Mirror images.


def test_whether_images_may_be_mirrored_is_kept(few, tmp_path):
    assert few.mirror is False and few.subset([0]).mirror is False
    clothes = ImageSet(few.images, few.labels, [f"c{i}" for i in range(10)])
    assert clothes.mirror is True and all(part.mirror for part in clothes.split(0.5))
    twelve = load_data(tree(tmp_path, *both([str(c) for c in range(1, 13)])), mirror=False)
    assert twelve.train.mirror is False and twelve.test.mirror is False
    assert all(part.mirror is False for part in few.split(0.5))
    pairs = [(few.images[0], 0), (few.images[1], 1)]
    assert ImageSet.from_dataset(pairs, ["a", "b"], mirror=False).mirror is False
    with pytest.raises(TypeError, match="mirror"):
        ImageSet(few.images, few.labels, few.classes, mirror="no")


def test_training_asks_the_set_whether_it_may_mirror(few, monkeypatch):
    from dsco import evaluate

    seen = []
    monkeypatch.setattr(
        "dsco.training.augmentation_for", lambda protocol, mirror: seen.append(mirror) or 1 / 0
    )
    for mirror in (None, True, False):
        test = ImageSet(few.images, few.labels, few.classes, mirror=mirror)
        with pytest.raises(ZeroDivisionError):
            evaluate(few, test, protocol="quick", seeds=2, steps=1, progress=False)
    assert seen == [False, True, False]


# Larger than memory.


def test_pixels_beyond_the_limit_are_kept_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    folder = tree(tmp_path / "data", *both("ab", file="1.png"), *both("ab", file="2.png"))
    plain = load_data(folder)
    assert not (tmp_path / "cache/images").exists()
    monkeypatch.setenv("DSCO_MEMORY", "1e-7")
    for _ in range(2):
        kept = load_data(folder)
        for name in ("train", "test"):
            a, b = getattr(plain, name), getattr(kept, name)
            assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
            assert all(torch.equal(x, y) for x, y in zip(a.statistics, b.statistics, strict=True))
        kept.train.images.zero_()  # what is written to the tensor does not reach the file
    assert [p.name for p in (tmp_path / "cache/images").rglob("*.npy")] == ["1.npy"]


def test_images_kept_in_a_file_are_decoded_once_and_changed_ones_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DSCO_MEMORY", "1e-7")
    names = [f"{part}/{c}/{i}.png" for part in ("train", "test") for c in "ab" for i in range(200)]
    folder, read = tree(tmp_path / "data", *names), []
    decode = readers.read_image
    monkeypatch.setattr(readers, "read_image", lambda *args: read.append(args[0]) or decode(*args))
    load_data(folder)
    assert len(read) == len(names)
    read.clear()
    load_data(folder)
    assert 0 < len(read) < len(names)  # enough to know the size
    Image.new("L", (8, 8), 99).save(folder / "train/a/0.png")
    os.utime(folder / "train/a/0.png", (1, 1))
    assert load_data(folder).train.images[0, 0, 0, 0] == 99


def test_half_a_file_of_pixels_is_not_taken_for_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DSCO_MEMORY", "1e-7")
    folder = tree(tmp_path / "data", *both("ab"))
    wanted = load_data(folder).train.images.clone()
    (kept,) = (tmp_path / "cache/images").rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="damaged"):
        assert torch.equal(load_data(folder).train.images, wanted)
    broken = tree(tmp_path / "broken", *both("ab"))
    (broken / "test/b/1.png").write_bytes(b"x")
    before = sorted((tmp_path / "cache/images").iterdir())
    with pytest.raises(ValueError, match="1.png cannot be read"):
        load_data(broken)
    assert sorted((tmp_path / "cache/images").iterdir()) == before


def test_a_limit_that_is_no_number_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_MEMORY", "much")
    with pytest.raises(ValueError, match="DSCO_MEMORY is 'much'.*gigabytes"):
        load_data(tree(tmp_path, *both("ab")))


def test_a_full_disk_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setenv("DSCO_MEMORY", "1e-7")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(ValueError, match="the pixels take 0.0 GB.*DSCO_CACHE"):
        load_data(tree(tmp_path, *both("ab")))


def test_statistics_are_counted_in_blocks_to_the_same_bits():
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 3, 300, 300), dtype=torch.uint8, generator=g)
    histogram = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)])
    share = histogram.double() / histogram.double().sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    mean = share @ value
    std = (share * (value - mean[:, None]) ** 2).sum(1).sqrt()
    blocks = []
    found = channel_statistics(images, lambda: blocks.append(1))
    assert len(blocks) > 1
    assert torch.equal(found[0], mean.float()) and torch.equal(found[1], std.float())


# Damage of every kind: sentences, and nothing else.

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "JPEG2000")
SAMPLE = Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
FILES = {kind: encode(SAMPLE, kind) for kind in KINDS if kind in readers.image_formats().values()}
TABLE = io.BytesIO()
pq.write_table(
    rows(FOUR).replace_schema_metadata(described(["cat", "dog"])), TABLE, compression="NONE"
)


@st.composite
def damaged(draw, data: bytes) -> bytes:
    "Cut, with flipped bytes, with zeros in it, with something before it."
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(found) - 1, 0)))
        kind = draw(st.sampled_from(["cut", "flip", "zeros", "insert"]))
        if kind == "cut":
            del found[place:]
        elif kind == "insert":
            found[place:place] = draw(st.binary(max_size=8))
        elif kind == "zeros":
            found[place : place + 16] = bytes(len(found[place : place + 16]))
        elif found:
            found[place] ^= draw(st.integers(1, 255))
    return bytes(found)


def only_sentences(folder: Path) -> None:
    "Either it loads, or one sentence comes out."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load_data(folder)
        except (ValueError, FileNotFoundError) as error:
            message = str(error)
            assert "\n" not in message and message.endswith("."), message


FUZZ = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(st.data())
def test_damaged_images_give_sentences(tmp_path, data):
    kind, suffix = data.draw(st.sampled_from(sorted(FILES))), data.draw(st.sampled_from("abc"))
    suffix = {"a": "png", "b": "jpg", "c": "tga"}[suffix]
    for c in "ab":
        (tmp_path / c).mkdir(exist_ok=True)
        for i in range(2):
            (tmp_path / c / f"{i}.png").write_bytes(SHALLOW)
    for old in tmp_path.glob("a/x.*"):
        old.unlink()
    (tmp_path / "a" / f"x.{suffix}").write_bytes(data.draw(damaged(FILES[kind])))
    only_sentences(tmp_path)


@FUZZ
@given(damaged(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(9))))
def test_damaged_archives_give_sentences(tmp_path, data):
    (tmp_path / "x.gz").write_bytes(data)
    try:
        assert len(loading.read_idx(tmp_path / "x.gz")) == 9
    except ValueError as error:
        assert str(tmp_path / "x.gz") in str(error) and str(error).endswith(".")


@FUZZ
@given(damaged(TABLE.getvalue()))
def test_damaged_tables_give_sentences(tmp_path, data):
    for name in ("train", "test"):
        (tmp_path / f"{name}-0.parquet").write_bytes(data)
    only_sentences(tmp_path)
