"What a distillation promises whatever its choices: exact gradients, and results that depend on the seed alone."

import random

import pytest
import torch
from torch import nn

from dsco.choices import Known, Outer, Pixels, Pool, Random, Schedule, Window
from dsco.data import ImageSet, load_data
from dsco.distillation import Distillation, distill
from dsco.long_work import run_steps
from dsco.networks import build_network
from dsco.unroll import (
    GRADIENTS,
    RULES,
    FlatNetwork,
    InnerTraining,
    first_state,
    flatten_weights,
    mean_loss,
)


def small_network(seed: int) -> nn.Module:
    "A network of two layers for images of 3 × 3 pixels and four classes, in double precision."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 4)).double()


def random_training(seed: int) -> tuple:
    "What the gradient functions take: random batches in a random order, some of them several times or never."
    draw, g = random.Random(seed), torch.Generator().manual_seed(seed)
    count, steps, soft = draw.randint(1, 4), draw.randint(1, 7), draw.random() < 0.5
    sizes = [draw.randint(1, 5) for _ in range(count)]
    x = [torch.randn(n, 1, 3, 3, generator=g).double() for n in sizes]
    y = [
        torch.randn(n, 4, generator=g).double().softmax(1)
        if soft
        else torch.randint(4, (n,), generator=g)
        for n in sizes
    ]
    rates, order, rule = (
        0.1 * torch.rand(steps, generator=g).double(),
        [draw.randrange(count) for _ in range(steps)],
        draw.choice(list(RULES)),
    )
    networks = [small_network(s) for s in range(draw.randint(1, 3))]
    net, theta = (
        FlatNetwork(networks[0]),
        torch.stack([flatten_weights(network) for network in networks]),
    )
    x_real, y_real = (
        torch.randn(6, 1, 3, 3, generator=g).double(),
        torch.randint(4, (6,), generator=g),
    )
    training = InnerTraining(x, y, rates, order, rule, first=draw.randint(0, 9))
    return (
        net,
        training,
        theta,
        first_state(rule, theta),
        lambda weights: mean_loss(net(weights, x_real), y_real),
    )


@pytest.mark.parametrize("seed", range(24))
def test_the_three_gradients_agree(seed):
    case = random_training(seed)
    loss, wanted = GRADIENTS["unroll"](*case)
    for way in ("checkpoint", "adjoint"):
        again, found = GRADIENTS[way](*case)
        assert torch.allclose(again, loss, rtol=1e-12)
        assert all(
            torch.allclose(a, b, rtol=1e-8, atol=1e-12) for a, b in zip(found, wanted, strict=True)
        )


@pytest.fixture(scope="module")
def few() -> ImageSet:
    "A few digits of each class."
    return load_data("digits").train.subset(torch.arange(60))


def choices(few: ImageSet) -> dict[str, dict]:
    "A distillation of each kind."
    pool = [build_network("convnet", few.shape, 10, seed=s, width=4) for s in range(3)]
    return {
        "known start": dict(ipc=2, inner=Schedule(steps=2, epochs=2), start=Known()),
        "random starts": dict(ipc=1, start=Random("xavier", count=2), soft_labels=True),
        "pool": dict(ipc=1, start=Pool(pool, count=2), learn=Pixels("real")),
        "window": dict(
            ipc=2,
            inner=Window(
                span=8, length=3, optimiser="adam", lr=0.003, batch_size=6, transforms=("crop",)
            ),
        ),
    }


@pytest.mark.parametrize("name", ["known start", "random starts", "pool", "window"])
def test_a_run_that_was_cut_off_gives_the_same_bits(name, few, tmp_path):
    network, file = build_network("convnet", few.shape, 10, width=4), tmp_path / "state.pt"
    options = {
        **choices(few)[name],
        "outer": Outer(steps=5, lr=0.1, batch_size=20, clip=1.1),
        "seed": 3,
    }
    once, twice = (distill(network, few, **options, device="cpu", progress=False) for _ in range(2))
    run_steps(Distillation(network, few, **options), 2, file=file, progress=False)
    resumed = distill(network, few, **options, file=file, device="cpu", progress=False)
    other = distill(network, few, **options | {"seed": 4}, device="cpu", progress=False)
    for small in (twice, resumed):
        assert (
            torch.equal(small.images, once.images) and small.config["loss"] == once.config["loss"]
        )
        assert once.soft_labels is None or torch.equal(small.soft_labels, once.soft_labels)
        assert small.config.get("schedule") == once.config.get("schedule")
    assert not torch.equal(other.images, once.images)
