"""Views: by hand, and each image's chance its own."""

import torch
from torch import Tensor

from deepinside.methods.synthesis.canvas import Generators
from deepinside.methods.synthesis.views import VIEWS, affine, crop, jitter, noise


def pictures(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 8, 12, generator=torch.Generator().manual_seed(3))


def test_jitter_rolls_by_at_most_so_many_pixels() -> None:
    x = pictures()
    shown = jitter(x, Generators([5, 6, 7]), pixels=2)
    found = {
        (i, dy, dx)
        for i in range(3)
        for dy in range(-2, 3)
        for dx in range(-2, 3)
        if torch.equal(shown[i], x[i].roll((dy, dx), dims=(1, 2)))
    }
    assert sorted(i for i, _, _ in found) == [0, 1, 2]


def test_jitter_stays_within_its_share_of_the_side() -> None:
    x = pictures()
    assert torch.equal(jitter(x, Generators([5, 6, 7]), pixels=8, share=0.12), x)  # of 8 pixels: less than one
    limited = jitter(x, Generators([5, 6, 7]), pixels=8, share=0.25)
    assert torch.equal(limited, jitter(x, Generators([5, 6, 7]), pixels=2))
    assert torch.equal(jitter(x, Generators([5, 6, 7]), pixels=2, share=0.5), limited)


def test_crop_is_a_window_and_its_spread_keeps_it_in_the_middle() -> None:
    x = pictures(1)
    (window,) = crop(x, Generators([1]), side=(6, 6), spread=0.0)
    assert torch.equal(window, x[0, :, 1:7, 3:9])
    corners = {crop(x, Generators([seed]), side=(7, 12), spread=None)[0, 0, 0, 0].item() for seed in range(30)}
    assert corners == {x[0, 0, 0, 0].item(), x[0, 0, 1, 0].item()}


def test_affine_without_amounts_changes_nothing_and_turns_about_the_middle() -> None:
    x = pictures()
    assert torch.allclose(affine(x, Generators([1, 2, 3]), degrees=0, zoom=0, shift=0), x, atol=1e-5)
    dot = torch.zeros(1, 3, 9, 9)
    dot[..., 4, 4] = 1
    assert affine(dot, Generators([3]), degrees=40, zoom=0, shift=0)[0, 0].argmax() == 4 * 9 + 4


def test_chance_belongs_to_the_picture_and_not_to_the_batch() -> None:
    x = pictures()
    settings = {
        "jitter": {"pixels": 2},
        "crop": {"side": (6, 7), "spread": None},
        "affine": {"degrees": 20, "zoom": 0.3, "shift": 0.1},
        "noise": {"sigma": 3.0},
    }
    assert settings.keys() == VIEWS.keys()
    for name, view in VIEWS.items():
        together = view(x, Generators([5, 6, 7]), **settings[name])
        alone = view(x[1:2], Generators([6]), **settings[name])
        assert torch.equal(together[1:2], alone), name


def test_noise_has_the_size_asked_for() -> None:
    x = torch.zeros(1, 3, 40, 60)
    assert abs(noise(x, Generators([0]), sigma=5.0).std().item() - 5) < 0.2
