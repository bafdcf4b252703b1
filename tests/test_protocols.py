"How a network is trained: epochs by IPC, transforms in sequence, CutMix, teachers; and what did not change."

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dsco import training
from dsco.augment import DSA, TRANSFORMS, Augmentation, cutmix
from dsco.core import stable_seed
from dsco.networks import build_network
from dsco.teachers import Teacher
from dsco.training import (
    PROTOCOLS,
    Protocol,
    augmentation_for,
    batch_loss,
    batch_order,
    draw_batch,
    evaluate,
    make_optimizer,
    normalise,
    rate,
    train,
    train_together,
)

HARD, SOFT = PROTOCOLS["imagenet_hard"], PROTOCOLS["imagenet_soft"]
SMALL = dict(network="convnet", options=(("width", 4),), batch_size=8)


def network(seed: int = 0) -> nn.Module:
    return build_network("convnet", (1, 8, 8), 10, seed=seed, width=4)


def weights_of(*networks: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for one in networks for p in one.parameters()])


@pytest.fixture(scope="module")
def xy(few):
    return normalise(few.images, few.statistics), few.labels


class Spy(nn.Module):
    "A teacher of fixed scores that remembers what it saw."

    def __init__(self):
        super().__init__()
        self.seen = []

    def __deepcopy__(self, memo):
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        return x.flatten(1)[:, :10]


@pytest.mark.parametrize("name", ["convnet3", "convnet3_plain", "cpu", "quick"])
def test_older_protocols_train_as_ever(xy, name):
    "One drawn family, SGD, stairs, cross-entropy: written out, with the same bits."
    x, y = xy
    protocol = replace(PROTOCOLS[name], batch_size=50)
    plain, steps = network(), 10
    sgd = torch.optim.SGD(
        plain.parameters(), lr=protocol.lr, momentum=0.9, weight_decay=protocol.weight_decay
    )
    for step in range(steps):
        index = batch_order(len(x), 50, step, 3)
        g, batch = torch.Generator().manual_seed(stable_seed(3, "augment", step)), x[index]
        if protocol.transforms:
            assert protocol.transforms == DSA
            batch = TRANSFORMS[DSA[int(torch.randint(6, (), generator=g))]](batch, g)
        falls = sum(step >= share * steps for share in protocol.milestones)
        sgd.param_groups[0]["lr"] = protocol.lr * protocol.decay**falls
        sgd.zero_grad()
        F.cross_entropy(plain(batch), y[index]).backward()
        sgd.step()
    made = train(
        network(),
        x,
        y,
        protocol=protocol,
        steps=steps,
        seed=3,
        augment=Augmentation(protocol.transforms),
    )
    assert torch.equal(weights_of(made), weights_of(plain))


def test_the_names_of_older_augmentations_stand():
    assert Augmentation().names == DSA == tuple(TRANSFORMS)[:6] == Protocol("new").transforms


@pytest.mark.parametrize(
    "ipc, epochs", [(1, 2000), (10, 2000), (11, 1500), (50, 1500), (51, 1000), (200, 1000), (201, 500), (500, 500), (501, 300)]
)  # fmt: skip
def test_fewer_images_a_class_are_seen_more_often(ipc, epochs):
    assert HARD.steps(20 * ipc, classes=20) == epochs * HARD.batches(20 * ipc)


def test_epochs_by_ipc_need_the_number_of_classes():
    with pytest.raises(ValueError, match="classes is None.*imagenet_hard.*pass"):
        HARD.steps(100)
    assert PROTOCOLS["convnet3"].steps(100) == PROTOCOLS["convnet3"].steps(100, 10) == 1000


@pytest.mark.parametrize(
    "changed, words",
    [
        (dict(optimizer="adam"), "optimizer is 'adam'.*adamw"),
        (dict(schedule=None), "schedule is None.*cosine"),
        (dict(temperature=-1), "temperature is -1"),
    ],
)
def test_a_protocol_refuses(changed, words):
    with pytest.raises(ValueError, match=words):
        replace(HARD, **changed)


def test_half_a_cosine_and_adamw():
    assert [rate(SOFT, step, 4) / SOFT.lr for step in range(5)] == pytest.approx(
        [1, 0.8535534, 0.5, 0.1464466, 0]
    )
    made = make_optimizer(network().parameters(), SOFT)
    assert isinstance(made, torch.optim.AdamW) and made.defaults["weight_decay"] == 0.01


@given(seed=st.integers(0, 1000), n=st.integers(1, 9), h=st.integers(1, 9), w=st.integers(1, 9))
def test_cutmix_counts_pixels(seed, n, h, w):
    "Image i is of colour i: what is not of it is one rectangle of another, as large as is said."
    x = torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 3, h, w)
    mixed, other, share = cutmix(x, torch.Generator().manual_seed(seed))
    assert sorted(other.tolist()) == list(range(n)) and share.dtype == torch.float32
    for i in range(n):
        foreign = (mixed[i] == other[i]).all(0)
        assert ((mixed[i] == i).all(0) | foreign).all()
        if other[i] != i:
            assert foreign.float().mean().item() == pytest.approx(share[i].item())
            rows, columns = foreign.any(1).sum(), foreign.any(0).sum()
            assert rows * columns == foreign.sum()  # a rectangle


def test_cutmix_draws_anew_for_each_image():
    _, other, share = cutmix(torch.zeros(2000, 1, 16, 16), torch.Generator().manual_seed(0))
    assert len(share.unique()) > 50 and (other != torch.arange(2000)).float().mean() > 0.99
    assert 0.3 < share.mean() < 0.45 and share.min() == 0 and share.max() > 0.95


def test_the_label_of_a_mixed_image_is_its_share_of_the_area(xy):
    x, y = xy
    batch, own, other, share = draw_batch(x, y, HARD, 0, 0, augmentation_for(HARD, True))
    scores = network()(batch)
    soft = torch.zeros(len(batch), 10)
    for i in range(len(batch)):
        soft[i, own[i]] += 1 - share[i]
        soft[i, other[i]] += share[i]
    assert torch.allclose(
        batch_loss(HARD, scores, own, other, share), F.cross_entropy(scores, soft)
    )
    one_hot = F.one_hot(y, 10).float()
    again = draw_batch(x, one_hot, HARD, 0, 0, augmentation_for(HARD, True))
    assert torch.allclose(batch_loss(HARD, scores, *again[1:]), F.cross_entropy(scores, soft))


@pytest.mark.parametrize("protocol", [HARD, replace(SOFT, temperature=None)], ids=["hard", "soft"])
def test_the_same_seed_gives_the_same_batch(xy, protocol):
    augment = augmentation_for(protocol, True)
    torch.manual_seed(0)
    first = draw_batch(*xy, protocol, 2, 5, augment)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert all(map(torch.equal, first, draw_batch(*xy, protocol, 2, 5, augment)))
    for step, seed in ((3, 5), (2, 6)):
        assert not torch.equal(first[0], draw_batch(*xy, protocol, step, seed, augment)[0])
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())  # nothing was drawn from the global one


def test_transforms_follow_one_another(xy):
    x, _ = xy
    names = HARD.transforms
    g, steps = torch.Generator().manual_seed(4), x
    for name in names:
        steps = TRANSFORMS[name](steps, g)
    made = augmentation_for(HARD, True)(x, torch.Generator().manual_seed(4))
    assert torch.equal(made, steps)
    assert augmentation_for(HARD, False).names == tuple(n for n in names if n != "flip")


def test_a_crop_leaves_half_of_the_area_or_more():
    ramps = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 16)] * 2, indexing="ij"))
    made = TRANSFORMS["resized_crop"](
        ramps.expand(500, 2, 16, 16), torch.Generator().manual_seed(0)
    )
    height, width = (
        (made[:, 0, -1, 0] - made[:, 0, 0, 0]) / 2,
        (made[:, 1, 0, -1] - made[:, 1, 0, 0]) / 2,
    )
    area = height * width
    assert 0.45 < area.min() < 0.52 and 0.95 < area.max() < 1.001 and len(area.unique()) > 400
    assert made.abs().max() < 1.001 and (width / height).max() < 4 / 3 + 1e-3


def test_the_factors_of_a_jitter():
    "Without spread only the brightness is left, and black stays black."
    flat = torch.tensor([-2.0, 1.0]).repeat(500).view(1000, 1, 1, 1).expand(1000, 3, 4, 4)
    black, bright = (
        TRANSFORMS["color_jitter"](flat, torch.Generator().manual_seed(0))
        .view(500, 2, -1)
        .unbind(1)
    )
    assert torch.allclose(black, torch.full_like(black, -2), atol=1e-5)
    factor = (bright + 2) / 3
    assert 0.6 <= factor.min() < 0.62 and 1.38 < factor.max() <= 1.4 + 1e-5


@pytest.mark.parametrize("protocol", [HARD, SOFT], ids=["hard", "soft"])
def test_together_is_one_by_one(xy, protocol):
    x, y = xy[0].double(), xy[1]
    protocol = replace(protocol, **SMALL)
    teachers = [] if protocol.temperature is None else [network(9).double()]
    common = dict(
        protocol=protocol, steps=5, augment=augmentation_for(protocol, True), teachers=teachers
    )
    one, other = ([network(s).double() for s in range(2)] for _ in range(2))
    train_together(one, x, y, seeds=[0, 1], **common)
    for seed, each in enumerate(other):
        train(each, x, y, seed=seed, **common)
    assert torch.allclose(weights_of(*one), weights_of(*other), atol=1e-5)


def test_the_teacher_sees_the_very_batch(xy):
    x, y = xy
    teacher, student, seen = Spy(), network(), []
    student.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    protocol = replace(SOFT, **SMALL)
    augment = augmentation_for(protocol, True)
    train(student, x, y, protocol=protocol, steps=3, augment=augment, teachers=[teacher])
    assert len(seen) == 3 and all(map(torch.equal, seen, teacher.seen))
    batch, said = draw_batch(x, y, protocol, 0, 0, augment, [teacher])
    assert torch.allclose(said, (batch.flatten(1)[:, :10] / 20).softmax(1))


def test_labels_do_not_matter_where_a_teacher_speaks(few, digits):
    protocol = replace(SOFT, **SMALL)
    wrong = type(few)(few.images, (few.labels + 1) % 10, few.classes)
    common = dict(protocol=protocol, teacher=network(3), seeds=2, steps=3, progress=False)
    one, other = (evaluate(each, digits.test, **common) for each in (few, wrong))
    assert one.accuracies == other.accuracies and one.labels == "soft"


def test_several_teachers_are_averaged(xy):
    x, y = xy
    teachers = [network(1), network(2)]
    batch, said = draw_batch(x, y, SOFT, 0, 0, Augmentation(()), teachers)
    mean = sum((one(batch).detach() / 20).softmax(1) for one in teachers) / 2
    assert torch.allclose(said, mean, atol=1e-6)


@pytest.mark.parametrize(
    "options, error, words",
    [
        (dict(protocol="imagenet_soft"), ValueError, "imagenet_soft.*teacher says.*pass teacher="),
        (
            dict(protocol="quick", teacher=network()),
            ValueError,
            "teacher is given.*quick.*leave it",
        ),
        (dict(protocol="imagenet_soft", teacher=[]), ValueError, r"teacher is \[\]"),
        (dict(protocol="imagenet_soft", teacher=["x"]), TypeError, "teacher is a str"),
        (dict(protocol="imagenet_soft", teacher=3), TypeError, "teacher is a int"),
        (
            dict(protocol="imagenet_soft", teacher=nn.Conv2d(3, 10, 3)),
            ValueError,
            r"cannot read images of shape \(1, 8, 8\).*pass one",
        ),
        (
            dict(protocol="imagenet_soft", teacher=nn.Flatten()),
            ValueError,
            r"\(2, 64\).*10 classes",
        ),
    ],
)
def test_evaluate_refuses_a_teacher(few, digits, monkeypatch, options, error, words):
    monkeypatch.setattr(training, "train_seeds", lambda *a, **k: pytest.fail("work began"))
    with pytest.raises(error, match=words):
        evaluate(few, digits.test, progress=False, **options)


def test_a_teacher_cannot_have_a_protocol_that_needs_one(xy):
    with pytest.raises(ValueError, match="imagenet_soft.*teacher"):
        Teacher(protocol="imagenet_soft")
    with pytest.raises(ValueError, match="imagenet_soft.*teacher"):
        train(network(), *xy, protocol=SOFT, steps=1)


def test_the_caller_keeps_its_teacher(few, digits):
    teacher = network(3)
    before = weights_of(teacher)
    protocol = replace(SOFT, **SMALL)
    evaluate(few, digits.test, protocol=protocol, teacher=teacher, seeds=1, steps=2, progress=False)
    assert torch.equal(weights_of(teacher), before)
    assert all(p.requires_grad and p.grad is None for p in teacher.parameters())


def test_test_images_are_normalised_batch_by_batch(few, digits, monkeypatch):
    sizes = []

    def noted(images, statistics):
        sizes.append(len(images))
        return normalise(images, statistics)

    monkeypatch.setattr(training, "normalise", noted)
    test = digits.test.subset(torch.arange(len(digits.test)).repeat(2))
    found = evaluate(few, test, protocol="quick", seeds=1, steps=2, progress=False)
    assert max(sizes) <= 500 and sum(sizes) == len(few) + len(test) > 600
    assert torch.equal(found.right[0, : len(digits.test)], found.right[0, len(digits.test) :])
