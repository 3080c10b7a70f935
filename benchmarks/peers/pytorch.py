"""PyTorch: `torch.nn.RNN`, `LSTM`, `GRU`, time-major; oneDNN on a CPU, cuDNN on a GPU.

PyTorch has two biases where jaxrnn has one; the second is zero, and its gradient is computed all
the same, because the layers have no way to leave it out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.jax_layers import named_results
from benchmarks.peers.peer import Peer, Prepared
from benchmarks.problems import Arrays, LayerProblem, Size


def torch_device(device: str) -> str:
    """PyTorch's name of the device; turns on TensorFloat-32 on GPUs, as JAX does by default."""
    import torch

    if device == "gpu":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    return {"cpu": "cpu", "gpu": "cuda"}[device]


def recurrent_layer(cell: str, input_size: int, hidden_size: int, num_layers: int = 1) -> Any:
    """The layer whose mathematics the cell's is."""
    from torch import nn

    kinds: dict[str, Callable[..., Any]] = {
        "elman": nn.RNN,
        "elman_relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
        "lstm": nn.LSTM,
        "gru": nn.GRU,
    }
    return kinds[cell](input_size, hidden_size, num_layers)


def layer_weights(params: Any) -> list[np.ndarray]:
    """weight_ih, weight_hh, bias_ih, bias_hh from jaxrnn's parameters; gate order is the same."""
    second_bias = np.zeros_like(params.b_h)
    if hasattr(params, "b_hn"):
        second_bias[-len(params.b_hn) :] = params.b_hn
    return [params.w_xh.T, params.w_hh.T, params.b_h, second_bias]


def prepare_layer(problem: LayerProblem, device: str) -> Prepared:
    """The two quantities of a `LayerProblem`."""
    import torch

    on = torch_device(device)
    params, carry, xs, cotangent = problem.arrays()

    def tensor(array: Any) -> Any:
        return torch.from_numpy(np.array(array)).to(on)

    layer = recurrent_layer(problem.cell, problem.size.input_size, problem.size.hidden_size).to(on)
    weights = list(layer.parameters())
    with torch.no_grad():
        for weight, value in zip(weights, layer_weights(params), strict=True):
            weight.copy_(tensor(value))
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
        w_xh, w_hh, b_h, second_bias, d_xs, *d_carry = gradients
        d_params = params._replace(w_xh=w_xh.T, w_hh=w_hh.T, b_h=b_h)
        if hasattr(params, "b_hn"):
            d_params = d_params._replace(b_hn=second_bias[-len(params.b_hn) :])
        return named_results(
            hs, d_params, type(carry)(*(part[0] for part in d_carry)), d_xs
        )

    facts = {"threads": torch.get_num_threads()}
    return Prepared({"forward": _drop(forward), "forward_backward": _drop(forward_backward)}, results, facts)


def _drop(call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        call()

    return run


PEER = Peer(
    name="torch",
    path="torch.nn.RNN, LSTM, GRU; time-major",
    distribution="torch",
    cells={"elman": "elman", "elman_relu": "elman_relu", "lstm": "lstm", "gru": "gru"},
    prepare={"layer": prepare_layer},
    devices=("cpu", "gpu"),
)
