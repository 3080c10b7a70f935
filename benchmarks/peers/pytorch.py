"""PyTorch: `torch.nn.RNN`, `LSTM`, `GRU`, time-major; oneDNN on a CPU, cuDNN on a GPU.

PyTorch has two biases where jaxrnn has one; the second is zero, and its gradient is computed all
the same, because the layers have no way to leave it out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import named_results
from benchmarks.peers.jax_training import named_training_results
from benchmarks.peers.peer import Library, Peer, Prepared
from benchmarks.problems import (
    COMPARED_CHARACTERS,
    COMPARED_STEPS,
    Arrays,
    LayerProblem,
    ModelArrays,
    SampleProblem,
    TrainProblem,
    layer_structures,
)


def torch_device(device: str) -> str:
    """PyTorch's name of the device; turns on TensorFloat-32 on GPUs, as JAX does by default."""
    import torch

    if device == "gpu":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    return {"cpu": "cpu", "gpu": "cuda"}[device]


def require(device: str) -> None:
    """Raises LookupError where PyTorch does not find that device."""
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise LookupError(f"PyTorch finds no {device} here; is it built for the CPU only?")


@contextmanager
def highest_precision() -> Iterator[None]:
    """A block without TensorFloat-32."""
    import torch

    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def recurrent_layer(problem: LayerProblem | TrainProblem, num_layers: int = 1) -> Any:
    """The layer or layers whose mathematics the cell's is."""
    from torch import nn

    _, _, input_size, hidden_size = problem.size
    _, carry = layer_structures(problem.cell, problem.size)
    kinds: dict[str, Callable[..., Any]] = {
        "elman": nn.RNN,
        "elman_relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
        "lstm": nn.LSTM,
        "lstm_projected": lambda *sizes: nn.LSTM(*sizes, proj_size=carry.h.shape[-1]),
        "gru": nn.GRU,
    }
    return kinds[problem.cell](input_size, hidden_size, num_layers)


def layer_gradient(like: Any, gradients: Sequence[np.ndarray]) -> Any:
    """The gradient of jaxrnn's parameters from PyTorch's: that of its first bias is that of one."""
    d_w_xh, d_w_hh, d_b_h, d_second_bias, *d_projection = gradients
    d_params = like._replace(w_xh=d_w_xh.T, w_hh=d_w_hh.T, b_h=d_b_h)
    if hasattr(like, "b_hn"):
        d_params = d_params._replace(b_hn=d_second_bias[-len(like.b_hn) :])
    return d_params._replace(w_hr=d_projection[0].T) if d_projection else d_params


def prepare_layer(problem: LayerProblem, device: str) -> Prepared:
    """The two quantities of a `LayerProblem`."""
    import torch

    from jaxrnn import CELLS, exchange

    on = torch_device(device)
    params, carry, xs, cotangent = problem.arrays()

    def tensor(array: Any) -> Any:
        return torch.from_numpy(np.array(array)).to(on)

    layer = recurrent_layer(problem).to(on)
    weights = list(layer.parameters())
    named = exchange.to_torch(CELLS[problem.cell], params)
    layer.load_state_dict({name: tensor(value) for name, value in named.items()})
    inputs = tensor(xs).requires_grad_()
    initial = [tensor(part[None]).requires_grad_() for part in carry]
    state = tuple(initial) if len(initial) == 2 else initial[0]
    cotangent_tensor = tensor(cotangent)

    def wait() -> None:
        if on == "cuda":
            torch.cuda.synchronize()

    def forward() -> Any:
        with torch.inference_mode():
            hs, _ = layer(inputs, state)
        wait()
        return hs

    def forward_backward() -> Any:
        hs, _ = layer(inputs, state)
        loss = (hs * cotangent_tensor).sum()
        gradients = torch.autograd.grad(loss, [*weights, inputs, *initial])
        wait()
        return gradients

    def results() -> Arrays:
        hs = forward().cpu().numpy()
        gradients = [part.cpu().numpy() for part in forward_backward()]
        d_params = layer_gradient(params, gradients[: len(weights)])
        d_xs, *d_carry = gradients[len(weights) :]
        return named_results(hs, d_params, type(carry)(*(part[0] for part in d_carry)), d_xs)

    facts = {"threads": torch.get_num_threads()}
    return Prepared(
        {"forward": _drop(forward), "forward_backward": _drop(forward_backward)}, results, facts
    )


def _drop(call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        call()

    return run


def prepare_training(problem: TrainProblem, device: str) -> Prepared:
    """The quantity of a `TrainProblem`: `nn` layers, `clip_grad_value_`, an optimizer.

    The second bias of each layer is held at zero where the cell has one bias, so that its sum
    with the first learns at the rate of one. min-char-rnn's Adagrad has its 1e-8 inside the root,
    which `torch.optim.Adagrad` cannot, so that recipe's update is written out.
    """
    import torch
    from torch.nn import functional

    on = torch_device(device)
    model = problem.arrays()
    _, time, vocabulary, _ = problem.size
    windows = [
        tuple(torch.from_numpy(part.astype(np.int64)).to(on) for part in window)
        for window in model.windows(time)
    ]

    class Run:
        """Parameters, optimizer and carry from the start of the text."""

        def __init__(self) -> None:
            self.network = character_model(problem, model).to(on)
            hold_second_biases(self.network.recurrent, model.layers[0])
            self.trained = [p for p in self.network.parameters() if p.requires_grad]
            self.memory = [torch.zeros_like(p) for p in self.trained]
            self.optimizer = torch.optim.RMSprop(
                self.trained, lr=2e-3, alpha=0.95, eps=1e-8, foreach=True
            )
            parts = [
                torch.from_numpy(np.stack(part)).to(on) for part in zip(*model.carries, strict=True)
            ]
            self.carry = tuple(parts) if len(parts) == 2 else parts[0]

        def step(self, tokens: Any, targets: Any) -> Any:
            self.optimizer.zero_grad(set_to_none=True)
            logits, carry = self.network(tokens, self.carry)
            loss = functional.cross_entropy(logits.reshape(-1, vocabulary), targets.reshape(-1))
            if problem.recipe == "min-char-rnn":
                loss = loss * time
            loss.backward()
            torch.nn.utils.clip_grad_value_(self.trained, 5.0)
            if problem.recipe == "min-char-rnn":
                self.adagrad()
            else:
                self.optimizer.step()
            self.carry = (
                tuple(part.detach() for part in carry)
                if isinstance(carry, tuple)
                else carry.detach()
            )
            return loss.detach()

        def adagrad(self) -> None:
            with torch.no_grad():
                for parameter, memory in zip(self.trained, self.memory, strict=True):
                    memory.addcmul_(parameter.grad, parameter.grad)
                    parameter.addcdiv_(parameter.grad, (memory + 1e-8).sqrt_(), value=-0.1)

    running, next_window = Run(), cycle(windows)

    def train_step() -> None:
        float(running.step(*next(next_window)))

    def results() -> Arrays:
        fresh = Run()
        losses = [float(fresh.step(*window)) for window in windows[:COMPARED_STEPS]]
        return named_training_results(losses, *stored_model(fresh.network))

    return Prepared({"train_step": train_step}, results, {"threads": torch.get_num_threads()})


def character_model(problem: TrainProblem, model: ModelArrays) -> Any:
    """One-hot characters, recurrent layers, a linear readout; the problem's weights."""
    import torch
    from torch.nn import functional

    from jaxrnn import CELLS, Stack, exchange

    vocabulary = problem.size.input_size

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = recurrent_layer(problem, problem.layers)
            self.readout = torch.nn.Linear(len(model.w_hy), vocabulary)

        def forward(self, tokens: Any, carry: Any) -> tuple[Any, Any]:
            hs, carry = self.recurrent(functional.one_hot(tokens, vocabulary).float(), carry)
            return self.readout(hs), carry

    net = Stack((CELLS[problem.cell],) * len(model.layers))
    state = exchange.to_torch(net, tuple(model.layers), prefix="recurrent")
    state |= {"readout.weight": model.w_hy.T, "readout.bias": model.b_y}
    network = Model()
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return network


def prepare_sampling(problem: SampleProblem, device: str) -> Prepared:
    """The layers called on one time step after the other, `torch.multinomial` on the softmax."""
    import torch

    on = torch_device(device)
    network = character_model(problem, problem.arrays()).to(on).eval()
    batch, length, _, _ = problem.size

    def texts(length: int, choose: Callable[[Any], Any]) -> np.ndarray:
        tokens, carry = torch.zeros((1, batch), dtype=torch.int64, device=on), None
        drawn = []
        with torch.inference_mode():
            for _ in range(length):
                logits, carry = network(tokens, carry)
                tokens = choose(logits[0])[None]
                drawn.append(tokens)
            text: np.ndarray = torch.cat(drawn).cpu().numpy()
        return text

    def run() -> None:
        texts(length, lambda logits: torch.multinomial(torch.softmax(logits, -1), 1)[:, 0])

    def results() -> Arrays:
        likeliest = texts(COMPARED_CHARACTERS, lambda logits: logits.argmax(-1))
        return {"likeliest characters": likeliest[:, 0]}

    return Prepared({"sample": run}, results, {"threads": torch.get_num_threads()})


def hold_second_biases(recurrent: Any, params: Any) -> None:
    """Keeps bias_hh where it is, except a GRU's part inside the reset."""
    whole = not hasattr(params, "b_hn")
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_hh"):
            if whole:
                parameter.requires_grad_(False)
            else:
                kept = len(parameter) - len(params.b_hn)
                parameter.register_hook(
                    lambda gradient, kept=kept: _with_zeros_before(gradient, kept)
                )


def _with_zeros_before(gradient: Any, kept: int) -> Any:
    gradient = gradient.clone()
    gradient[:kept] = 0
    return gradient


def stored_model(network: Any) -> tuple[Any, Any, Any]:
    """Layers, w_hy, b_y in jaxrnn's layout."""
    from jaxrnn import exchange

    _, layers = exchange.from_torch(network.recurrent)
    w_hy, b_y = (parameter.detach().cpu().numpy() for parameter in network.readout.parameters())
    return [layers] if network.recurrent.num_layers == 1 else layers, w_hy.T, b_y


PEER = Peer(
    name="torch",
    path="torch.nn.RNN, LSTM, GRU; time-major",
    distribution="torch",
    cells={cell: cell for cell in ("elman", "elman_relu", "lstm", "lstm_projected", "gru")},
    prepare={"layer": prepare_layer, "train": prepare_training, "sample": prepare_sampling},
    devices=("cpu", "gpu"),
    library=Library(require, highest_precision),
    # JAX only says which shapes there are, and needs no accelerator for that.
    environment={"JAX_PLATFORMS": "cpu"},
)
