"What several test files share: an own cache, the data, and one tiny prior."

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

# One thread: what is said to be bitwise equal is so in the same order of sums.
torch.set_num_threads(1)

# Set before any test module is imported, and inherited by every process that a test starts.
os.environ["DSCO_CACHE"] = tempfile.mkdtemp(prefix="dsco-tests-")
atexit.register(shutil.rmtree, os.environ["DSCO_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def digits():
    "The embedded digits: what the tests use unless they say otherwise."
    from dsco import load_data

    return load_data("digits")


@pytest.fixture(scope="session")
def few(digits):
    "Twelve digits of each class."
    train = digits.train
    return train.subset(torch.cat([train.of_class(c)[:12] for c in range(10)]))


@pytest.fixture(scope="session")
def prior(few):
    "A prior that has seen the digits for a moment: enough to be deterministic, which is all these tests ask of it."
    from dsco import Prior

    return Prior.fit(
        few, architecture="dit", steps=40, width=32, depth=1, lr=2e-3, seed=0, progress=False
    )


@pytest.fixture(scope="session")
def saved_prior(prior, tmp_path_factory) -> Path:
    "The same prior in a folder."
    return prior.save_pretrained(tmp_path_factory.mktemp("priors") / "tiny")


@pytest.fixture(scope="session")
def feature_maps(few):
    "Two cheap feature maps."
    from dsco.features import pixel_features, random_features

    return [
        pixel_features(),
        *random_features(few.shape, 10, statistics=few.statistics, count=1, width=8),
    ]
