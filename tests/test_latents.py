"A prior on the latents of its own autoencoder."

import pytest
import torch

from dsco import Prior
from dsco.data import to_float
from dsco.latents import Latents

SMALL = dict(width=32, depth=1, steps=3, progress=False, latents=Latents(fold=2, width=8, steps=3))


@pytest.fixture(scope="module")
def latent_prior(few):
    return Prior.fit(few, file=None, **SMALL)


def test_shapes(latent_prior, few):
    "8 × 8 pixels, folded once and halved once: 2 × 2 latents of four channels, one token."
    assert latent_prior.noise_shape == (4, 2, 2) and latent_prior.rendered_shape == few.shape
    assert latent_prior.network.config.patch_size == 2
    x = to_float(few.images[:5])
    assert latent_prior.decode(latent_prior.encode(x)).shape == x.shape


def test_latents_have_mean_0_and_deviation_1(few):
    "So that the noise of the diffusion model means something."
    options = {**SMALL, "latents": Latents(fold=1, width=8, steps=30)}
    u = Prior.fit(few, file=None, **options).encode(to_float(few.images))
    assert abs(u.mean()) < 0.05 and abs(u.std() - 1) < 0.05


def test_saved_loaded_and_found_again(latent_prior, few, tmp_path):
    labels = torch.arange(10)
    z = latent_prior.noise(labels)
    saved = Prior.from_pretrained(latent_prior.save_pretrained(tmp_path / "prior"))
    first = Prior.fit(few, file=tmp_path / "kept", **SMALL)
    again = Prior.fit(few, file=tmp_path / "kept", **SMALL)
    x = latent_prior.render(z, labels, steps=2)
    for other in (saved, first, again):
        assert torch.equal(other.render(z, labels, steps=2), x)
    assert not (tmp_path / "prior/model_index.json").exists()  # no other library would unfold


def test_a_gradient_goes_through_the_decoder(latent_prior):
    labels = torch.tensor([3, 4])
    z = latent_prior.noise(labels).requires_grad_()
    latent_prior.render(z, labels, steps=2).square().sum().backward()
    assert z.grad is not None and (z.grad.flatten(1).norm(dim=1) > 0).all()


def test_interrupted_in_either_training_it_goes_on_to_the_same_prior(few, tmp_path, monkeypatch):
    from dsco.diffusion import Fit

    straight = Prior.fit(few, file=None, **SMALL)
    advance, left = Fit.advance, [2]

    def stop(self):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return advance(self)

    monkeypatch.setattr(Fit, "advance", stop)
    for steps in (2, 3):  # in the autoencoder, then in the network
        left[0] = steps
        with pytest.raises(KeyboardInterrupt):
            Prior.fit(few, file=tmp_path / "kept", **SMALL)
    monkeypatch.setattr(Fit, "advance", advance)
    assert Prior.fit(few, file=tmp_path / "kept", **SMALL).digest() == straight.digest()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"latents": {"fold": 8}}, "fold=8"),
        ({"latents": Latents(), "architecture": "unet"}, "need a DiT"),
        ({"latents": {"width": 12}}, "width is 12"),
    ],
)
def test_refused(few, options, words):
    with pytest.raises(ValueError, match=words):
        Prior.fit(few, steps=1, **options)
