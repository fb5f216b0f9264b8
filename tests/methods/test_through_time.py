"""Saliency through time: against algebra, and on a network that has to find the step that decides."""

import pytest
import torch
from torch import Tensor, nn

from deepinside.methods.through_time import through_time

# A symbol five times as high as the noise: much higher, and the gates saturate, so that the gradient is smallest at the
# very step that decides (2.0 over 0.15: 3 to 33 % of the peaks are there).
STEPS, SYMBOL, NOISE = 12, 1.0, 0.2


class Linear(nn.Module):
    """h_t = A h_t-1 + B x_t, scores C h_T: dS_c/dx_t = C_c A^(T-1-t) B."""

    def __init__(self, a: Tensor, b: Tensor, c: Tensor) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(weights) for weights in (a, b, c))

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), len(self.a))
        for step in x.unbind(dim=1):
            state = state @ self.a.T + step @ self.b.T
        return state @ self.c.T


def test_a_linear_cell_by_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(*shape, generator=generator).double() for shape in ((3, 3), (3, 2), (4, 3)))
    cell = Linear(a, b, c).eval()
    inputs = torch.randn(2, 5, 2, generator=generator).double()
    found = through_time(cell, inputs, classes=torch.tensor([3, 1]))
    for row, label in enumerate((3, 1)):
        expected = [(c[label] @ torch.linalg.matrix_power(a, 4 - t) @ b).norm() for t in range(5)]
        assert torch.allclose(found[row], torch.stack(expected))


def test_the_norm_of_one_step_by_hand() -> None:
    cell = Linear(torch.zeros(1, 1), torch.tensor([[3.0, -4.0]]), torch.tensor([[2.0], [1.0]])).eval()
    found = through_time(cell, torch.rand(1, 3, 2), classes=torch.tensor([0]))
    assert found.tolist() == [[0, 0, 10]]  # it forgets all but the last step: 2 * |(3, -4)|


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.cells = kind(2, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def sequences(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, and at one time the symbol 0 or 1, which is the class: feature 0 or 1 is raised."""
    inputs = NOISE * torch.randn(count, STEPS, 2, generator=generator)
    times = torch.randint(0, STEPS, (count,), generator=generator)
    labels = torch.randint(0, 2, (count,), generator=generator)
    inputs[torch.arange(count), times, labels] += SYMBOL
    return inputs, labels, times


@pytest.fixture(scope="module")
def learnt() -> tuple[Recurrent, torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Recurrent()
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(200):
        inputs, labels, _ = sequences(512, generator)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimiser.step()
    optimiser.zero_grad()
    return network.eval(), generator


def test_it_finds_the_step_that_decides(learnt: tuple[Recurrent, torch.Generator]) -> None:
    network, generator = learnt
    inputs, labels, times = sequences(500, generator)
    scores = network(inputs)
    assert (scores.argmax(dim=1) == labels).float().mean() > 0.97
    found = through_time(network, inputs, classes=labels)
    assert found.shape == (500, STEPS)
    hits = (found.argmax(dim=1) == times).float().mean()
    assert hits >= 0.9, f"{hits:.1%}"  # over eight seeds 89 to 95 %
    assert all(weights.grad is None for weights in network.parameters())
    with torch.random.fork_rng():
        torch.manual_seed(9)
        untrained = through_time(Recurrent().eval(), inputs, classes=labels)
    assert (untrained.argmax(dim=1) == times).float().mean() < 0.3  # a network that learnt nothing does not


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_any_recurrent_layer_equals_finite_differences(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(1)
    network = Recurrent(kind).double().eval()
    inputs, labels = torch.randn(2, 4, 2).double(), torch.tensor([1, 0])
    found = through_time(network, inputs, classes=labels)
    for row, label in enumerate(labels.tolist()):
        for t in range(4):
            slopes = []
            for feature in range(2):
                moved = inputs[row].repeat(2, 1, 1)
                moved[0, t, feature] += 1e-6
                moved[1, t, feature] -= 1e-6
                up, down = network(moved)[:, label]
                slopes.append((up - down) / 2e-6)
            assert torch.allclose(found[row, t], torch.stack(slopes).norm(), rtol=1e-5)


def test_cudnn_is_off_inside_and_as_it_was_afterwards() -> None:
    inside = []

    class Asking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inside.append(torch.backends.cudnn.enabled)
            if len(inside) == 2:
                raise RuntimeError("no scores")
            return x.sum(dim=1)

    for before in (True, False):
        with torch.backends.cudnn.flags(enabled=before):
            inside.clear()
            through_time(Asking().eval(), torch.rand(1, 3, 2), classes=torch.tensor([0]))
            with pytest.raises(RuntimeError, match="no scores"):
                through_time(Asking().eval(), torch.rand(1, 3, 2), classes=torch.tensor([0]))
            assert torch.backends.cudnn.enabled is before
        assert inside == [False, False]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_in_evaluation_mode(learnt: tuple[Recurrent, torch.Generator]) -> None:
    network, generator = learnt
    inputs, labels, _ = sequences(8, generator)
    expected = through_time(network, inputs, classes=labels)
    network.cuda()
    x = inputs.cuda().requires_grad_()
    with pytest.raises(RuntimeError, match="cudnn RNN backward"):
        network(x).sum().backward()
    found = through_time(network, inputs.cuda(), classes=labels)
    network.cpu()
    assert torch.allclose(found.cpu(), expected, rtol=1e-3)


def test_it_works_inside_no_grad_and_changes_nothing(learnt: tuple[Recurrent, torch.Generator]) -> None:
    network, generator = learnt
    inputs, labels, _ = sequences(3, generator)
    before = inputs.clone()
    expected = through_time(network, inputs, classes=labels)
    with torch.no_grad():
        assert torch.equal(through_time(network, inputs, classes=labels), expected)
    assert torch.equal(inputs, before)
    assert not inputs.requires_grad
    assert not expected.requires_grad


@pytest.mark.parametrize(
    ("inputs", "classes", "said"),
    [
        (torch.rand(3, 4), torch.zeros(3, dtype=torch.long), r"\(n, t, f\), got \(3, 4\)"),
        (torch.zeros(3, 5, 2, dtype=torch.long), torch.zeros(3, dtype=torch.long), "embeddings"),
        (torch.rand(3, 5, 2), torch.zeros(2, dtype=torch.long), r"3 classes, one per sequence, got \(2,\)"),
        (torch.rand(3, 5, 2), torch.tensor([0, 2, 1]), r"0\.\.1, got \[0, 1, 2\]"),
    ],
)
def test_what_is_wrong_is_said(inputs: Tensor, classes: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        through_time(Recurrent().eval(), inputs, classes=classes)


def test_training_mode_and_bare_layers_are_refused() -> None:
    inputs, classes = torch.rand(3, 5, 2), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match=r"call module\.eval\(\)"):
        through_time(Recurrent(), inputs, classes=classes)
    with pytest.raises(ValueError, match=r"\(3, k\), got tuple"):
        through_time(nn.LSTM(2, 2, batch_first=True).eval(), inputs, classes=classes)
    bare = nn.LSTM(2, 2, batch_first=True).eval()
    assert through_time(lambda x: bare(x)[0][:, -1], inputs, classes=classes).shape == (3, 5)
