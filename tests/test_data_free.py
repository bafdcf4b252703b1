"Data-free concentration reads a prior and nothing else."

import os
import subprocess
import sys

# Any attempt to open a file of images, and any call for a dataset, ends the process.
SCRIPT = """
import sys

IMAGES = ("digits", "idx3-ubyte", ".png", ".npz", ".parquet")


def watch(event, arguments):
    name = str(arguments[0]) if event == "open" else ""
    if name.endswith(IMAGES) or "digits.csv" in name:
        raise RuntimeError(f"it opened {name}")


sys.addaudithook(watch)
import dsco.data
from dsco import Prior, Recipe, concentrate
from dsco.features import default_features


def no_data(*names, **options):
    raise RuntimeError("it asked for data")


dsco.data.load_data = dsco.data.ImageSet.from_folder = no_data
if sys.argv[2] == "read":
    from sklearn.datasets import load_digits

    load_digits()
prior = Prior.from_pretrained(sys.argv[1])
maps = default_features(prior.sample(4, steps=2), networks=1, steps=(1, 2), width=8)
recipe = Recipe(reference=10, reference_steps=2, updates=1, steps=1)
small = concentrate(prior, ipc=1, recipe=recipe, feature_maps=maps, progress=False)
assert small.config["data"] == "the prior's own samples" and small.real_share == 0
"""


def run(saved_prior, tmp_path, what):
    "The script in a process with empty folders for data and cache."
    env = os.environ | {"DSCO_DATA": str(tmp_path), "DSCO_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SCRIPT, str(saved_prior), what]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_no_image_of_the_data_is_read(saved_prior, tmp_path):
    done = run(saved_prior, tmp_path, "nothing")
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_watch_would_notice(saved_prior, tmp_path):
    done = run(saved_prior, tmp_path, "read")
    assert done.returncode != 0 and "it opened" in done.stderr
