"""How gradients shrink or grow on their way back through time.

Bengio, Simard and Frasconi (1994) and Pascanu, Mikolov and Bengio (2013): the gradient of a loss
at s with respect to the state at t is multiplied by one Jacobian a step,

    ∂L_s/∂h_t = ∂L_s/∂h_s · J_s · … · J_{t+1},    J_k = ∂h_k/∂h_{k−1}.

For an Elman cell J_k = diag(1 − h_k²) w_hhᵀ, so ‖J_k‖ ≤ σ_max(w_hh): a largest singular value below
1 suffices for the gradient to vanish, one above 1 is only necessary for it to explode.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrnn.cells import Cell
from jaxrnn.cells.cell import dimensions
from jaxrnn.errors import sentence
from jaxrnn.networks.ways import check_backward
from jaxrnn.recurrence.jacobians import Whole, run_moment
from jaxrnn.recurrence.sequences import Fixed, Timed

Array = jax.Array
Matrix = NDArray[np.float64]


BINS_A_POWER = 4
SIZES: Matrix = np.linspace(-14, 4, 18 * BINS_A_POWER + 1)
"""Powers of ten between which sizes are counted: from what float32 loses to what explodes."""


class GradientFlow(NamedTuple):
    """How large ∂L_s/∂h_t is, by the pair and by the distance.

    Attributes:
        norms: [S, T], ‖∂L_s/∂h_t‖₂; 0 for t > s.
        by_distance: [T], the mean of the norms with s − t = d.
        factor_a_step: the factor by which the mean norm changes with each step back, from a
            straight line through its logarithm.
        reach: the distance from which on the mean norm stays below 1 % of its largest; T if it
            never does.
    """

    norms: Matrix
    by_distance: Matrix
    factor_a_step: float
    reach: int


class Histograms(NamedTuple):
    """Histograms of sizes, with common edges.

    Attributes:
        edges: [bins + 1], powers of ten.
        counts: [..., bins], the numbers of entries whose size is between two edges.
    """

    edges: Matrix
    counts: NDArray[np.int64]


class FlowOverTraining(NamedTuple):
    """One model's gradients at several moments of its training, on one text.

    Attributes:
        moments: E names of the moments in order, e.g. "before training", "100 updates".
        histograms: of the sizes of the entries of ∂L/∂h_t for the loss at the last step: counts
            [E, T, bins].
        flows: E GradientFlows, of every pair of steps.
        words: what was found, e.g. a Verdict's words.
    """

    moments: tuple[str, ...]
    histograms: Histograms
    flows: tuple[GradientFlow, ...]
    words: str = ""


class RecurrentSpectrum(NamedTuple):
    """One gate's block of the recurrent weights.

    Attributes:
        gate: its name; the only block of a cell with one gate is its nonlinearity's argument.
        largest_singular_value: the most that the block can lengthen a vector.
        spectral_radius: the largest |eigenvalue|, its growth under repetition; NaN of a block that
            is not square, as behind a projection.
    """

    gate: str
    largest_singular_value: float
    spectral_radius: float


class Verdict(NamedTuple):
    """The claim "a largest singular value above 1 explodes, below 1 vanishes", tried on one model.

    Attributes:
        largest_singular_value: of w_hh.
        spectral_radius: of w_hh.
        factor_a_step: measured change of the gradient with each step back.
        claimed: what the claim predicts: `explodes`, `vanishes`, or `stays` within 1 % of 1.
        measured: the same of the factor a step.
        holds: whether they agree.
        words: the verdict as a sentence.
    """

    largest_singular_value: float
    spectral_radius: float
    factor_a_step: float
    claimed: str
    measured: str
    holds: bool
    words: str


def flow_of_gradients(state_gradient: ArrayLike) -> GradientFlow:
    """Norms of ∂L_s/∂h_t and how they fall with the distance s − t.

    Args:
        state_gradient: [*N, S = T, T, H], one field of one layer of `state_gradients`; over any
            leading axes (several texts) the norms are averaged.

    Returns:
        A GradientFlow.

    Raises:
        ValueError: another shape.

    >>> halves = 0.5 ** np.maximum(np.arange(4)[:, None] - np.arange(4), 0)
    >>> flow = flow_of_gradients(np.tril(halves)[:, :, None])
    >>> flow.by_distance, round(flow.factor_a_step, 6)
    (array([1.   , 0.5  , 0.25 , 0.125]), 0.5)
    """
    gradient = np.asarray(state_gradient, np.float64)
    if gradient.ndim < 3 or gradient.shape[-3] != gradient.shape[-2]:
        raise ValueError(sentence("flow_of_gradients", "state_gradient", "[*N, T, T, H]", gradient))
    norms = np.linalg.norm(gradient, axis=-1)
    norms = norms.reshape(-1, *norms.shape[-2:]).mean(axis=0)
    means = mean_by_distance(norms)
    above = np.flatnonzero(means > 0.01 * means.max())
    reach = int(above[-1]) + 1 if len(above) else 0
    return GradientFlow(norms, means, _factor_a_step(means), reach)


def mean_by_distance(values: ArrayLike) -> Matrix:
    """The means of a [T, T] matrix along its diagonals s − t = 0, 1, …, T − 1.

    >>> mean_by_distance([[1, 0], [5, 3]])
    array([2., 5.])
    """
    matrix = np.asarray(values, np.float64)
    return np.array([np.diagonal(matrix, -distance).mean() for distance in range(len(matrix))])


def gradient_histograms(gradients: ArrayLike) -> Histograms:
    """Histograms of the sizes of a gradient's entries, one for each step (and epoch, …).

    All histograms of all models have the same edges, in powers of ten, so that they can be put
    beside each other; what lies outside of them counts in the bin at that end.

    Args:
        gradients: [..., T, H], e.g. ∂L/∂h_t at several epochs.

    Returns:
        Edges `SIZES` of log₁₀ |entry|, and counts [..., T, bins].

    >>> counts = gradient_histograms([[-1.0, 0.1], [0.0, 0.1]]).counts
    >>> [np.flatnonzero(row).tolist() for row in counts], int(counts.sum())
    ([[52, 56], [0, 52]], 4)
    """
    values = np.asarray(gradients, np.float64)
    with np.errstate(divide="ignore"):
        sizes = np.clip(np.log10(np.abs(values)), SIZES[0], SIZES[-1])
    bins = np.minimum((sizes - SIZES[0]) * BINS_A_POWER, len(SIZES) - 2).astype(np.int64)
    rows = bins.reshape(-1, values.shape[-1])
    counts = np.stack([np.bincount(row, minlength=len(SIZES) - 1) for row in rows])
    return Histograms(SIZES, counts.reshape(*values.shape[:-1], len(SIZES) - 1))


@jax.jit
def step_jacobians(cell: Cell, params: Any, carry: Any, xs: Array) -> Array:
    """The Jacobian of every step, ∂carry_t/∂carry_{t−1}.

    Args:
        cell: one of `CELLS`.
        params: its Params.
        carry: its Carry before the first step, fields [H].
        xs: [T, I], or token ids [T].

    Returns:
        [T, N, N] for a Carry of N numbers, its fields in their order (h, c): entry [t, i, j] is
        ∂carry_t[i]/∂carry_{t−1}[j]. For a cell with one field this is ∂h_t/∂h_{t−1}.

    Raises:
        TypeError: a cell without `backward`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn as rnn
        >>> params = rnn.init(rnn.LSTM, jax.random.key(0), input_size=3, hidden_size=4)
        >>> carry = rnn.zero_carry(rnn.LSTM, params)
        >>> step_jacobians(rnn.LSTM, params, carry, jnp.array([0, 2, 1])).shape
        (3, 8, 8)
    """
    check_backward("step_jacobians", cell)

    def one_step(before: Any, x: Array) -> tuple[Any, Array]:
        at = run_moment(cell, params, Fixed(), before, Timed(x))
        (jacobian,) = Whole.jacobian(cell, params, at)
        return at.step.after, jacobian

    return jax.lax.scan(one_step, carry, xs)[1]


def product_singular_values(jacobians: ArrayLike) -> Matrix:
    """Singular values of the products of the last d Jacobians, J_T · … · J_{T−d+1}, d = 1 … T.

    Args:
        jacobians: [T, N, N].

    Returns:
        [T, N], largest first in each row; accurate relative to the largest of the row.

    >>> product_singular_values(np.stack([np.diag([2.0, 0.5])] * 3))
    array([[2.   , 0.5  ],
           [4.   , 0.25 ],
           [8.   , 0.125]])
    """
    matrices = np.asarray(jacobians, np.float64)
    product = np.eye(matrices.shape[-1])
    rows = []
    for jacobian in matrices[::-1]:
        product = product @ jacobian
        rows.append(np.linalg.svd(product, compute_uv=False))
    return np.stack(rows)


def recurrent_spectrum(cell: Cell, params: Any) -> tuple[RecurrentSpectrum, ...]:
    """Largest singular value and spectral radius of each gate's block of the recurrent weights.

    Args:
        cell: one of `CELLS`.
        params: its Params.

    Returns:
        One record a gate, in the order of the blocks.

    >>> from jaxrnn import ELMAN
    >>> w_hh = np.array([[0.5, 2.0], [0.0, 0.9]])
    >>> found, = recurrent_spectrum(ELMAN, ELMAN.Params(None, w_hh, None))
    >>> round(found.spectral_radius, 6), found.largest_singular_value > 2
    (0.9, True)
    """
    blocks: list[Matrix] = []
    for field in cell.recurrent:
        count, _ = dimensions(getattr(cell.param_shapes, field))[-1]
        weights = np.asarray(getattr(params, field), np.float64)
        # An elementwise recurrence is a diagonal matrix.
        matrix = np.diag(weights) if weights.ndim == 1 else weights
        blocks += np.split(matrix, count, axis=1)
    return tuple(
        RecurrentSpectrum(
            name,
            float(np.linalg.svd(block, compute_uv=False)[0]),
            float(np.abs(np.linalg.eigvals(block)).max())
            if block.shape[0] == block.shape[1]
            else float("nan"),
        )
        for name, block in zip(cell.gates, blocks, strict=True)
    )


def explode_or_vanish(spectrum: RecurrentSpectrum, flow: GradientFlow) -> Verdict:
    """Tries the claim that the largest singular value of w_hh decides what the gradient does.

    Args:
        spectrum: of the w_hh of a cell with one gate, such as ELMAN.
        flow: the same model's gradient flow.

    Returns:
        A Verdict.

    >>> flow = GradientFlow(np.ones((2, 2)), np.ones(2), factor_a_step=0.8, reach=2)
    >>> explode_or_vanish(RecurrentSpectrum("h", 1.5, 1.1), flow).holds
    False
    """
    largest, radius = spectrum.largest_singular_value, spectrum.spectral_radius
    claimed, measured = direction(largest), direction(flow.factor_a_step)
    holds = claimed == measured
    seen = f"the gradient changes by a factor of {flow.factor_a_step:.3f} with each step back"
    value = f"largest singular value {largest:.3f}"
    if holds:
        words = f"{value}, and {seen}: here the claim holds."
    elif measured == "vanishes":
        words = (
            f"{value} is not below 1, yet {seen}: above 1 is necessary for a gradient to explode, "
            "not sufficient, since saturated units let little through."
        )
    elif claimed == "vanishes":
        words = (
            f"{value} is below 1, yet {seen}: below 1 suffices to vanish only for a cell whose "
            "step is a squashed product with w_hh."
        )
    else:
        words = f"{value}, and {seen}: the value is only a bound."
    return Verdict(largest, radius, flow.factor_a_step, claimed, measured, holds, words)


def direction(factor: float) -> str:
    """What a gradient does that changes by this factor a step, within 1 % of 1 nothing.

    >>> direction(0.5), direction(1.0), direction(2.0)
    ('vanishes', 'stays', 'explodes')
    """
    return "explodes" if factor > 1.01 else "vanishes" if factor < 0.99 else "stays"


def _factor_a_step(means: Matrix) -> float:
    """e^slope of the line through ln(mean norm), over the distances where it is a normal number."""
    distances = np.flatnonzero(means > np.finfo(np.float64).tiny)
    if len(distances) < 2:
        return float("nan") if not len(distances) else 0.0
    return float(np.exp(np.polyfit(distances, np.log(means[distances]), 1)[0]))
