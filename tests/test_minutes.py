"A job within minutes: what is handed over, what is said, and what is refused before any work."

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsco import concentrate_in
from dsco.data import ImageSet, load_data
from dsco.minutes import REAL, Clock, best_of, gain, is_weak
from dsco.prior import Prior

DIGITS = load_data("digits").train
FEW = DIGITS.subset(torch.cat([DIGITS.of_class(c)[:12] for c in range(10)]))


@pytest.fixture(scope="module")
def young() -> Prior:
    "A prior that has learnt nothing."
    return Prior.fit(FEW, steps=2, width=32, depth=1, file=None, progress=False)


answers = st.lists(st.booleans(), min_size=20, max_size=20)


@settings(max_examples=50, deadline=None)
@given(st.lists(answers, min_size=4, max_size=4))
def test_a_set_with_synthetic_images_must_be_clearly_better(drawn):
    right = dict(
        zip((*REAL, "random", "synthetic"), (torch.tensor([one, one[::-1]]) for one in drawn))
    )
    chosen = best_of(right)
    best = max(right[name].float().mean() for name in REAL)
    assert chosen != "random"
    if chosen == "synthetic":
        assert right[chosen].float().mean() > best
    else:
        assert right[chosen].float().mean() == best
        difference, error = gain(right["synthetic"], right[chosen])
        assert difference <= error


def test_what_one_phase_saves_another_may_spend():
    clock = Clock(1000, loud=False)
    assert 449 < clock.phase("prior") <= 450
    clock.started -= 200  # the prior took 200 seconds of its 450
    assert 800 * 0.15 / 0.55 - 1 < clock.phase("maps") <= 800 * 0.15 / 0.55
    assert 799 < clock.phase("check") <= 800  # the last phase may take what is left
    clock.started -= 2000
    assert [clock.phase(name) for name in ("prior", "maps", "search", "check")] == [0, 0, 0, 0]


def test_a_prior_is_weak_when_its_samples_or_new_images_are_not_read():
    assert is_weak(0.1, 0.9, 10) and is_weak(0.9, 0.12, 10)
    assert not is_weak(0.6, 0.9, 10)
    assert not is_weak(0.65, 0.7, 2), "of two classes, 70 % is no chance"


def test_a_weak_prior_ends_in_real_images(young):
    small = concentrate_in(0.05, FEW, ipc=2, prior=young, progress=False)
    assert small.real_share == 1 and len(small) == 20
    assert small.config["weak"] and small.config["chosen"] in REAL
    assert "random real images" in small.config["verdict"]
    assert "may have seen" in small.config["verdict"], "the prior was given"
    kept = small.config["judged_images"]
    assert kept == 20 and f"{kept} images kept apart" in small.config["verdict"]


def test_what_is_asked_for_is_handed_over(young, capsys):
    small = concentrate_in(0.05, FEW, ipc=2, prior=young, doping=0.5)
    assert small.real_share == 0.5 and small.config["chosen"] == "50% real"
    said = capsys.readouterr().err
    for phase in ("kept apart", "maps:", "search:", "check:"):
        assert phase in said


BAD = {
    "minutes nan": ((float("nan"), FEW), {"ipc": 1}, ValueError, "minutes is nan"),
    "no minutes": ((0, FEW), {"ipc": 1}, ValueError, "minutes is 0"),
    "no set": ((1, FEW.images), {"ipc": 1}, TypeError, "images is a Tensor"),
    "ipc": ((1, FEW), {"ipc": 0}, ValueError, "ipc is 0"),
    "too few": ((1, FEW), {"ipc": 11}, ValueError, "class '0' has 12 images"),
    "doping": ((1, FEW), {"ipc": 1, "doping": 2}, ValueError, "doping is 2"),
    "all real": ((1, FEW), {"ipc": 1, "doping": 1.0}, ValueError, "doping is 1.*use select"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_refused(case):
    words, options, kind, said = BAD[case]
    with pytest.raises(kind, match=said):
        concentrate_in(*words, **options, progress=False)


def test_a_prior_of_other_classes_is_refused(young):
    other = ImageSet(FEW.images, FEW.labels, [f"digit {c}" for c in range(10)])
    with pytest.raises(ValueError, match="the prior renders"):
        concentrate_in(1, other, ipc=1, prior=young, progress=False)


def test_options_of_a_prior_that_is_given_are_refused(young):
    with pytest.raises(ValueError, match="width is for a prior to fit"):
        concentrate_in(1, FEW, ipc=1, prior=young, width=3, progress=False)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="WORLD_SIZE is 2"):
        concentrate_in(1, FEW, ipc=1, progress=False)
