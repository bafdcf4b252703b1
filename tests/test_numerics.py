"The formulas of the chapters against other people's code and against cases whose answer is known."

import math
from itertools import combinations

import numpy as np
import ot
import pytest
import scipy.optimize
import scipy.stats
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans

from dsco.discrepancy import (
    energy_distance,
    frechet_distance,
    gaussian_directions,
    mmd,
    moment_distance,
    random_fourier,
    root,
    sliced_wasserstein,
    squared_distances,
    weighted_moments,
)
from dsco.features import (
    Embedding,
    backbone_features,
    extract,
    feature_batches,
    random_features,
    small_network,
    trajectory_features,
)
from dsco.floor import Floor, draw_mixture, generator_floor, intrinsic_dimension, jackknife
from dsco.planning import ErrorCurve, Plan, fit_error_curve, forecast
from dsco.selection import k_center, select_random, select_residual
from dsco.target import MMD, Energy, Quantisation, make_target
from dsco.theory import (
    Law,
    ascend_softmax,
    ball_minimum,
    difference,
    fit_softmax,
    fit_squared,
    linear_excess_bound,
    make_law,
    moment_mmd,
    softmax_risk,
    squared_gap,
    squared_gradient_gap,
    squared_risk,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights(n: int, seed: int = 0) -> torch.Tensor:
    w = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return w / w.sum()


# Discrepancies


def test_distances_in_one_dimension_are_those_of_scipy():
    u, v, wu, wv = normal(50, 1), normal(70, 1, seed=1) + 0.3, weights(50), weights(70, 1)
    energy = scipy.stats.energy_distance(u.flatten(), v.flatten(), wu, wv) ** 2
    assert energy_distance(u, v, wx=wu, wy=wv).item() == pytest.approx(energy)
    work = scipy.stats.wasserstein_distance(u.flatten(), v.flatten(), wu, wv)
    assert sliced_wasserstein(u, v, p=1, projections=3, wx=wu, wy=wv).item() == pytest.approx(work)


def test_sliced_distance_is_that_of_pot():
    x, y, wx, wy = normal(30, 5), normal(40, 5, seed=1), weights(30), weights(40, 1)
    directions = gaussian_directions(5, 64, 0, x.device, x.dtype)
    theirs = ot.sliced_wasserstein_distance(
        x, y, wx, wy, p=2, projections=directions / directions.norm(dim=0)
    )
    assert sliced_wasserstein(x, y, projections=64, wx=wx, wy=wy).item() == pytest.approx(
        theirs.item()
    )


def test_gaussian_distances_are_those_of_pot():
    x, y = normal(60, 4), 2 * normal(50, 4, seed=1) + 1
    bures = ot.gaussian.bures_wasserstein_distance
    theirs = bures(*(z.mean(0) for z in (x, y)), *(z.T.cov() for z in (x, y))) ** 2
    assert (
        frechet_distance(x, y) == pytest.approx(theirs.item())
        and abs(frechet_distance(x[:3], x[:3])) < 1e-9
    )
    (mx, sx), (my, sy) = (weighted_moments(z, z.new_full((len(z),), 1 / len(z))) for z in (x, y))
    theirs = bures(mx, my, sx.square().diag(), sy.square().diag()) ** 2 / sy.square().sum()
    assert moment_distance(x, y).item() == pytest.approx(theirs.item())


def test_mmd_of_normal_laws_has_its_closed_form():
    d, h, s, t, shift = 4, 1.5, 1.0, 1.3, 0.8

    def kernel(a: float, b: float, gap: float) -> float:
        total = h * h + a * a + b * b
        return (h * h / total) ** (d / 2) * math.exp(-gap * gap / (2 * total))

    exact = kernel(s, s, 0) + kernel(t, t, 0) - 2 * kernel(s, t, shift)
    move = torch.tensor([shift, 0, 0, 0], dtype=torch.float64)
    found = [
        mmd(
            s * normal(200, d, seed=i),
            t * normal(200, d, seed=i + 500) + move,
            bandwidths=[h],
            unbiased=True,
        ).item()
        for i in range(60)
    ]
    assert abs(np.mean(found) - exact) < 3 * np.std(found) / 60**0.5


def test_unbiased_energy_distance_of_one_law_is_zero_on_average():
    found = [
        [
            energy_distance(
                normal(8, 3, seed=i), normal(8, 3, seed=i + 500), unbiased=unbiased
            ).item()
            for i in range(200)
        ]
        for unbiased in (True, False)
    ]
    margins = 3 * np.std(found, axis=1) / 200**0.5
    within = 2 * math.exp(
        math.lgamma(2) - math.lgamma(1.5)
    )  # E‖X − X′‖ of a normal law in three dimensions
    assert (
        abs(np.mean(found[0])) < margins[0] and abs(np.mean(found[1]) - 2 * within / 8) < margins[1]
    )


def test_a_wide_laplace_kernel_is_the_energy_distance():
    x, y = normal(20, 5), normal(30, 5, seed=1)
    assert 1e4 * mmd(x, y, kernel="laplace", bandwidths=[1e4]).item() == pytest.approx(
        energy_distance(x, y).item(), rel=1e-3
    )


def test_fourier_features_approach_the_kernel():
    x, y, bandwidths = normal(50, 6), normal(60, 6, seed=1) + 0.3, [2.0, 4.0]
    exact = mmd(x, y, bandwidths=bandwidths).item()

    def error(count: int) -> float:
        maps = [random_fourier(6, bandwidth=bandwidths, count=count, seed=s) for s in range(6)]
        return np.mean(
            [
                abs((psi(x).mean(0) - psi(y).mean(0)).square().sum().item() / exact - 1)
                for psi in maps
            ]
        )

    assert error(3000) < 0.1 and error(3000) < error(30) / 3
    assert torch.allclose(
        random_fourier(6, bandwidth=2.0, count=9)(x).norm(dim=1),
        torch.ones(50, dtype=torch.float64),
    )


@pytest.mark.parametrize(
    "distance",
    [energy_distance, mmd, lambda x, y: sliced_wasserstein(x, y, projections=5), moment_distance],
)
def test_gradients_are_those_of_differences(distance):
    y = normal(7, 3, seed=1)
    assert torch.autograd.gradcheck(lambda z: distance(z, y), normal(4, 3).requires_grad_())


def test_gradient_is_finite_where_points_coincide():
    y = normal(9, 3, seed=1)
    x = torch.cat([normal(2, 3), normal(2, 3), y[:2]]).requires_grad_()
    energy_distance(x, y).backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
    apart = (y[:3] + 100).requires_grad_()
    root(squared_distances(apart, y + 100)).sum().backward()
    assert apart.grad.isfinite().all()


def test_a_target_of_few_points_has_a_floor():
    "What 100 of 3,000 points cannot tell: 1/100 beside the 1/2000 of the set."
    floors = []
    for i in range(4):
        target = Energy(points=100).summarise([normal(3000, 8, seed=i)])
        floors.append(Energy().distance(normal(2000, 8, seed=i + 50), target).item())
    assert abs(np.mean(floors) - 1 / 2000 - 1 / 100) < 0.002


def test_quantisation_is_the_inertia_of_k_means():
    cloud = normal(200, 4)
    found = KMeans(5, n_init=1, random_state=0).fit(cloud.numpy())
    summary = Quantisation().summarise([cloud])
    ours = (
        Quantisation().distance(torch.from_numpy(found.cluster_centers_), summary)
        * summary.values["scale"]
        * len(cloud)
    )
    assert ours.item() == pytest.approx(found.inertia_)


def test_objectives_agree_with_the_distances_up_to_their_unit():
    x, y = normal(5, 3), normal(40, 3, seed=1)
    for objective, distance in ((Energy(), energy_distance), (MMD(), mmd)):
        summary = objective.summarise([y])
        assert objective.distance(x, summary).item() * summary.values[
            "scale"
        ].item() == pytest.approx(distance(x, y).item(), abs=1e-9)


# Features


def test_an_embedding_is_its_network_on_normalised_images(few):
    network = small_network("convnet", few.shape, 10, width=8, seed=0)
    embedding, x = Embedding(network, few.statistics, name="own"), few.float()[:4].requires_grad_()
    mean, std = (value.view(-1, 1, 1) for value in few.statistics)
    assert torch.equal(embedding(x), network.embed((x - mean) / std))
    assert torch.allclose(embedding.scores(embedding(x)), network((x - mean) / std), atol=1e-6)
    embedding(x).square().sum().backward()
    assert x.grad.flatten(1).norm(dim=1).min() > 0 and all(
        w.grad is None for w in embedding.network.parameters()
    )
    assert (
        embedding(x.detach().double()).dtype == torch.float64
        and embedding(x).dtype == torch.float32
    )


def test_feature_maps_depend_on_their_seed_and_place_alone(few):
    x, options = few.float()[:3], {"statistics": few.statistics, "width": 8}
    two, five = (random_features(few.shape, 10, count=count, **options) for count in (2, 5))
    assert all(
        torch.equal(a(x), b(x)) for a, b in zip(two, five, strict=False)
    ) and not torch.equal(two[0](x), two[1](x))
    long = trajectory_features(few, steps=(2, 5), width=8, progress=False)
    short = trajectory_features(few, steps=(0, 2), width=8, progress=False)
    assert torch.equal(long[0](x), short[1](x)) and not torch.equal(long[0](x), long[1](x))


def test_a_trained_feature_map_tells_classes_apart(digits):
    before, after = trajectory_features(
        digits.train, steps=(0, 120), width=16, lr=1e-2, progress=False
    )
    right = [
        (phi.scores(phi(digits.test.float())).argmax(1) == digits.test.labels).float().mean()
        for phi in (before, after)
    ]
    assert right[1] > 0.7 > 0.4 > right[0]


def test_batches_do_not_change_features(few):
    phi = random_features(few.shape, 10, statistics=few.statistics, count=1, width=8)[0]
    assert torch.allclose(extract(phi, few.float(), batch_size=7), extract(phi, few), atol=1e-5)
    assert [len(b) for b in feature_batches(phi, few, batch_size=50)] == [
        50,
        50,
        20,
    ] and not extract(phi, few).requires_grad


def test_a_backbone_of_grey_images_has_gradients(few):
    backbone, x = (
        backbone_features("resnet18", weights=None, size=32),
        few.float()[:2].requires_grad_(),
    )
    backbone(x).square().sum().backward()
    assert backbone(x).shape == (2, 512) and x.grad.abs().sum() > 0


# Selection


def test_random_choice_takes_every_image_equally_often(few):
    counts = torch.zeros(len(few))
    for seed in range(300):
        counts[select_random(few, 3, seed=seed)] += 1
    assert (
        counts.sum() == 300 * 30
        and scipy.stats.chisquare(counts[:12] * 900 / counts[:12].sum()).pvalue > 1e-4
    )


def test_k_center_is_within_twice_the_best_radius():
    for seed in range(10):
        cloud = normal(10, 2, seed=seed)

        def radius(rows) -> float:
            return float(torch.cdist(cloud, cloud[list(rows)]).min(1).values.max())  # noqa: B023

        best = min(map(radius, combinations(range(10), 3)))
        assert best <= radius(k_center(cloud, 3).tolist()) <= 2 * best + 1e-12


def test_residual_choice_takes_the_image_that_completes_a_set_best(few):
    from dsco.features import pixel_features

    phi = pixel_features()
    target = make_target(few, [phi])
    fixed = few.images[:1].repeat(3, 1, 1, 1)
    held = {"synthetic": fixed, "labels": torch.zeros(3, dtype=torch.long)}
    (chosen,) = select_residual(few, [1] + [0] * 9, feature_maps=[phi], **held).tolist()

    def after(i: int) -> float:
        return target.objective.distance(
            extract(phi, torch.cat([fixed, few.images[[i]]])), target.summaries[0][0]
        ).item()

    assert after(chosen) <= min(after(i) for i in few.of_class(0).tolist()) + 1e-6


# Matching


def law(n: int, seed: int, k: int = 3, classes: int = 3) -> Law:
    "Random features with a constant, and labels."
    y = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    return Law(
        torch.cat([normal(n, k, seed=seed), torch.ones(n, 1).double()], 1),
        y,
        weights(n, seed),
        classes,
    )


def test_minimum_on_a_ball_is_no_worse_than_what_a_search_finds():
    for seed in range(6):
        H, G, radius = normal(4, 4, seed=seed), normal(4, 2, seed=seed + 50), 1.5
        H = H + H.T
        W, value, shift = ball_minimum(H, G, radius)
        assert W.norm() <= radius * (1 + 1e-9) and (
            0.5 * (W * (H @ W)).sum() - (W * G).sum()
        ).item() == pytest.approx(value)
        assert shift >= 0 and torch.allclose(H @ W + shift * W, G, atol=1e-6)

        def objective(flat) -> float:
            V = torch.from_numpy(flat).view(4, 2)
            V = V * min(1.0, radius / float(V.norm()))  # noqa: B023
            return float(0.5 * (V * (H @ V)).sum() - (V * G).sum())  # noqa: B023

        starts = [np.random.default_rng(s).normal(size=8) for s in range(4)]
        found = min(scipy.optimize.minimize(objective, start).fun for start in starts)
        assert value <= found + 1e-9 and value >= found - 1e-3 * abs(found)


def test_excess_risk_obeys_its_bounds():
    p, decay = law(200, 0), 0.1
    best = squared_risk(fit_squared(p, decay), p, decay=decay)
    radius = decay**-0.5
    for seed in range(1, 6):
        q = law(8, seed)
        W, gap = fit_squared(q, decay), squared_gap(p, q, radius)
        excess = squared_risk(W, p, decay=decay) - best
        assert (
            W.norm() <= radius
            and 0 <= excess <= gap.oscillation + 1e-9 <= 2 * gap.discrepancy + 2e-9
        )
        assert gap.discrepancy <= (radius**4 + radius**2) ** 0.5 * moment_mmd(p, q) + 1e-9
        assert (
            gap.lowest - 1e-9
            <= squared_risk(W, p) - squared_risk(W, q) - 0.5 * float(p.w.sum() - q.w.sum())
            <= gap.highest + 1e-9
        )
        slope = (p.M - q.M) @ W - (p.C - q.C)
        assert slope.norm().item() <= squared_gradient_gap(p, q, radius) + 1e-9


def test_moment_mmd_is_that_of_its_kernel():
    change = difference(law(20, 0), law(9, 1))
    inner, same = change.z @ change.z.T, (change.y[:, None] == change.y).double()
    kernel = 0.25 * inner.square() + inner * same
    assert moment_mmd(law(20, 0), law(9, 1)) == pytest.approx(
        float(change.w @ kernel @ change.w) ** 0.5
    )


def test_squared_fit_is_least_squares_with_decay():
    p, decay = law(30, 0), 0.2
    rows = torch.cat([p.w.sqrt()[:, None] * p.z, decay**0.5 * torch.eye(4).double()])
    targets = torch.cat(
        [p.w.sqrt()[:, None] * F.one_hot(p.y, 3).double(), torch.zeros(4, 3).double()]
    )
    assert torch.allclose(fit_squared(p, decay), torch.linalg.lstsq(rows, targets).solution)


def test_softmax_fit_is_certified_and_its_risk_that_of_torch():
    p, decay = law(40, 0), 0.05
    W, gap = fit_softmax(p, decay)
    assert 0 <= gap < 1e-8
    theirs = (F.cross_entropy(p.z @ W, p.y, reduction="none") @ p.w).item()
    assert softmax_risk(W, p).item() == pytest.approx(theirs)
    for seed in range(5):
        other = W + 0.1 * normal(4, 3, seed=seed)
        assert softmax_risk(other, p, decay=decay) > softmax_risk(W, p, decay=decay) - gap


def test_ascent_finds_what_weights_in_the_ball_reach():
    p, q, radius = law(30, 0), law(5, 1), 2.0
    gap = ascend_softmax(p, q, radius, starts=normal(4, 4, 3))
    tries = normal(200, 4, 3, seed=3)
    values = softmax_risk(
        tries * (radius / tries.flatten(1).norm(dim=1))[:, None, None], difference(p, q)
    )
    assert gap.highest > values.max() and gap.lowest < values.min()
    assert ascend_softmax(p, p, radius, starts=normal(2, 4, 3)).discrepancy < 1e-12


def test_a_law_of_images_has_their_features_and_a_constant(few):
    p = make_law(lambda x: x.flatten(1)[:, :5], few)
    assert (
        p.z.shape == (120, 6) and (p.z[:, -1] == 1).all() and p.w.sum().item() == pytest.approx(1)
    )
    assert p.C[-1].tolist() == pytest.approx([0.1] * 10)


def test_linear_bound_has_its_closed_form():
    assert linear_excess_bound(torch.eye(8).double(), torch.zeros(8).double(), 3) == pytest.approx(
        2.5
    )
    H = torch.diag(torch.tensor([4.0, 2.0, 1.0])).double()
    assert [
        linear_excess_bound(H, torch.zeros(3).double(), r, spread=2) for r in range(5)
    ] == pytest.approx([14, 6, 2, 0, 0])


# The efficiency limit


def test_dimension_of_a_square_that_lies_askew():
    turn = torch.linalg.qr(normal(20, 2))[0].T
    square = (
        torch.rand(1500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ turn
    )
    assert intrinsic_dimension(square) == pytest.approx(2, rel=0.1)
    assert intrinsic_dimension(torch.cat([square, square])) == pytest.approx(
        intrinsic_dimension(square), rel=1e-6
    )


def test_jackknife_of_a_mean_is_the_usual_interval():
    values = normal(12).numpy()
    left_out = [np.delete(values, k).mean() for k in range(12)]
    low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (
        jackknife(left_out) == pytest.approx((high - low) / 2)
        and jackknife([1.0, math.inf]) == math.inf
    )


def test_floor_of_two_normal_laws():
    "Real: spread 1. Generated: spread s. The energy distance of normal laws about one mean has a closed form."
    s, d = 0.6, 2

    def apart(
        total: float,
    ) -> float:  # E‖X − Y‖ where X − Y has this variance in each of two dimensions
        return total**0.5 * math.sqrt(math.pi / 2)

    unit = apart(2)
    delta2, spread = (2 * apart(1 + s * s) - unit - apart(2 * s * s)) / unit, s
    floor = generator_floor(
        [normal(800, d, seed=i) for i in range(3)],
        [s * normal(800, d, seed=i + 9) for i in range(3)],
    )
    assert floor.delta2 == pytest.approx(delta2, abs=0.02) and floor.spread == pytest.approx(
        spread, abs=0.03
    )
    assert floor.folds.shape == (10, 2) and floor.margin(10, 0.0) < 0.06


def test_expected_discrepancy_of_mixtures_is_what_sets_have():
    s, ipc, share = 0.6, 4, 0.5
    real, made = normal(800, 2), s * normal(800, 2, seed=1)
    floor, target = generator_floor([real], [made]), Energy(points=800).summarise([real])
    g = torch.Generator().manual_seed(0)
    found = []
    for _ in range(300):
        rows = (
            torch.randint(800, (ipc // 2,), generator=g),
            torch.randint(800, (ipc // 2,), generator=g),
        )
        found.append(Energy().distance(torch.cat([real[rows[0]], made[rows[1]]]), target).item())
    assert (
        abs(np.mean(found) - floor.discrepancy(ipc, share)) < 3 * np.std(found) / 300**0.5 + 0.005
    )


def test_error_curve_finds_the_numbers_that_made_it():
    a, b, bias_weight, sample_weight = 0.4, 0.7, 1.6, 0.8
    terms = [
        (bias, real, samples)
        for bias in (0.0, 0.1, 0.3)
        for real in (0.0, 0.05, 0.4)
        for samples in (0.02, 0.2, 0.6)
    ]
    odds = [
        a + b * math.log(bias_weight * bias + real + sample_weight * samples)
        for bias, real, samples in terms
    ]
    right = [100 / (1 + math.exp(o)) for o in odds]
    curve = fit_error_curve(*zip(*terms, strict=True), right)
    assert curve.values[:2] == pytest.approx([a, b], abs=0.02) and curve.weights == pytest.approx(
        (bias_weight, sample_weight), rel=0.05
    )
    expected, low, high = curve.accuracy(*terms[5])
    assert low <= expected <= high and expected == pytest.approx(right[5], abs=0.5)


@pytest.fixture
def outlook() -> Plan:
    "A plan from made-up numbers: δ² = 0.1, spread 0.5."
    floor = Floor(0.1, 0.5, np.array([[0.1 + 0.002 * k, 0.5] for k in range(-5, 5)]))
    curve = ErrorCurve(np.array([0.0, 0.5, 0.0, 0.0]), 0.01 * np.eye(4), 0.1, 2.1)
    return Plan(
        [forecast(floor, curve, n, share) for n in (2, 20) for share in (0.0, 0.5, 1.0)],
        floor,
        curve,
        [],
    )


def test_a_plan_says_where_real_sets_overtake(outlook):
    assert outlook.crossing == pytest.approx(5) and outlook.pays_until == pytest.approx(2.5)
    low, high = outlook.crossing_interval
    assert 0 < low < 5 < high < math.inf
    assert outlook.best(2).share == 0 and outlook.best(20).share == 1
    assert outlook.cheapest(20, points=100).share == 0 and "best" in outlook.table()


def test_a_mixture_of_a_set_with_itself_is_a_random_set(few):
    mixture = draw_mixture(few, few, 4, 0.5, seed=1)
    assert mixture.counts.tolist() == [4] * 10 and torch.equal(
        mixture.statistics[0], few.statistics[0]
    )
