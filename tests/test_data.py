"A user's own dataset becomes an image set, byte by byte."

import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.transforms import ToTensor

from dsco import ConcentratedSet, ImageSet


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
    assert found.images[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


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
        ([(Image.new("I;16", (2, 2)), 0)], ValueError, ["dataset[0][0]", "8 bits"]),
        (SIZES, ValueError, ["2 sizes", "dataset[1][0] is (2, 3)", "transform"]),
    ],
)
def test_what_is_no_image_or_label_is_named(dataset, kind, words):
    with pytest.raises(kind) as caught:
        ImageSet.from_dataset(dataset)
    message = str(caught.value)
    assert all(word in message for word in words) and message.endswith("."), message
