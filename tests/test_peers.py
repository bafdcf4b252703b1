"What a user would pick instead: each peer makes a whole set, spends what it says and does what it promises."

import pytest
import torch

from dsco import peers
from dsco.data import to_float
from dsco.features import label_losses, trajectory_features, well_read
from dsco.target import make_target
from dsco.teachers import Teacher, relabel

IPC = 3


@pytest.fixture(scope="module")
def maps(few):
    found = trajectory_features(few, steps=(1, 20), width=8, progress=False)
    found[-1].judge = True  # it was trained too little to be one by its own merit
    return found


MADE = {
    "prior": lambda p, d, m: peers.raw_samples(p, IPC, steps=2),
    "pool": lambda p, d, m: peers.pool_choice(p, make_target(d, m), IPC, calls=8, steps=2),
    "mgd3": lambda p, d, m: peers.mode_guided(p, d, IPC, steps=4),
    "d4m": lambda p, d, m: peers.prototypes(p, d, IPC, steps=4, strength=0.5),
    "d3hr": lambda p, d, m: peers.inverted_law(p, d, IPC, images=6, tries=3, steps=2),
    "igd": lambda p, d, m: peers.influence_guided(p, d, IPC, m, steps=4),
    "minimax": lambda p, d, m: peers.minimax(p, d, IPC, updates=2, batch_size=20, steps=2),
    "cao2": lambda p, d, m: peers.consistent_choice(p, IPC, m, factor=2, updates=2, steps=2),
    "deepgen": lambda p, d, m: peers.deep_generative(p, d, IPC, updates=2, steps=2, width=8),
    "dm": lambda p, d, m: peers.match_pixels(d, IPC, updates=2, width=8),
    "dc": lambda p, d, m: peers.match_pixels(d, IPC, what="gradients", updates=2, width=8, lr=0.1),
    "dsa": lambda p, d, m: peers.match_pixels(
        d, IPC, what="gradients", updates=2, width=8, inner=2, transforms=("crop",)
    ),
}
# Network calls of the prior for each stored image, by hand.
CALLS = {
    "prior": 2,
    "pool": 8,
    "mgd3": 4,
    "d4m": 2,
    "d3hr": 2 + 2 * 6 / 3,
    "igd": 4,
    "minimax": 2 + 3 * 2 * 20 / 30,
    "cao2": 2 * 2 + 3 * 2,
    "deepgen": 3 * 2 * 2 + 2,
}


@pytest.mark.parametrize("name", MADE)
def test_a_peer_makes_the_same_whole_set_twice(name, prior, few, maps):
    first, second = (MADE[name](prior, few, maps) for _ in range(2))
    assert first.labels.tolist() == sorted(list(range(10)) * IPC)
    assert first.config["method"] == name and first.config["nfe_per_image"] == CALLS.get(name, 0)
    assert torch.equal(first.images, second.images)


def test_a_pull_of_strength_one_ends_at_its_modes(prior, few):
    made = peers.mode_guided(prior, few, 2, strength=1.0, until=1.0, steps=4)
    modes = torch.cat([peers.modes(peers.latents_of(prior, few, c), 2) for c in range(10)])
    assert torch.allclose(to_float(made.images), prior.decode(modes).clamp(-1, 1), atol=0.01)


def test_the_law_of_many_tries_is_nearer_than_that_of_one():
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) * 3 + 1
    one, many = (peers.nearest_set(z, 10, tries, seed=0).mean(0) for tries in (1, 300))
    assert (many - z.mean(0)).norm() < (one - z.mean(0)).norm()


def test_pixels_come_nearer_to_what_they_match(few):
    phi = peers.fresh_network(few, 7, width=8, seed=0)
    gaps = []
    for updates in (1, 60):
        small = peers.match_pixels(few, 2, updates=updates, width=8, lr=10.0)
        x = to_float(small.images)
        real = [to_float(few.images[few.of_class(c)]) for c in range(10)]
        gaps.append(float(peers.mean_gap(phi, real, x, 10)))
    assert gaps[1] < gaps[0]


def test_judges_read_labels(few, maps):
    features = [phi(few.float()) for phi in maps]
    scores = maps[1].scores(features[1])
    expected = torch.nn.functional.cross_entropy(scores, few.labels, reduction="none")
    assert [phi.judge for phi in maps] == [False, True]
    assert torch.equal(label_losses(features, few.labels, maps), expected)
    right = (scores.argmax(1) == few.labels).nonzero().flatten()
    assert torch.equal(well_read(features, few.labels, maps, least=1), right)
    assert len(well_read(features, (few.labels + 1) % 10, maps, least=50)) == 50
    assert not label_losses(features[:1], few.labels, maps[:1]).any()


def test_the_label_term_is_added_to_the_loss_of_its_class(few, maps):
    from dsco.target import class_losses

    features = [phi(few.float()) for phi in maps]
    plain, more = (
        class_losses(features, few.labels, make_target(few, maps, label_weight=w), [12])
        for w in (0.0, 0.5)
    )
    by_class = label_losses(features, few.labels, maps)
    means = torch.stack([by_class[few.labels == c].mean() for c in range(10)])
    assert torch.allclose(more - plain, 0.5 * means, atol=1e-5)


def test_the_last_steps_go_on_from_what_is_held_part_way(prior):
    labels = torch.arange(4)
    z = prior.noise(labels)
    whole = prior.render(z, labels, steps=3)
    for k in (3, 2, 1):
        held = prior.part_way(z, labels, steps=3, through=k)
        assert torch.equal(prior.render(held, labels, steps=3, through=k), whole)
    assert torch.equal(prior.part_way(z, labels, steps=3), z)
    for k in (0, 4):
        with pytest.raises(ValueError, match="through"):
            prior.render(z, labels, steps=3, through=k)


def test_relabel_keeps_the_images_and_softens_with_the_temperature(few):
    small = peers.match_pixels(few, 1, updates=1, width=8)
    teacher = Teacher(networks=1, protocol="quick", steps=30)
    sharp, soft = (
        relabel(small, few, teacher=teacher, temperature=t, progress=False).soft_labels
        for t in (1.0, 8.0)
    )
    assert sharp.shape == (10, 10) and torch.allclose(sharp.sum(1), torch.ones(10), atol=1e-5)
    assert (soft.max(1).values < sharp.max(1).values).all()
    assert torch.equal(soft.argmax(1), sharp.argmax(1))
