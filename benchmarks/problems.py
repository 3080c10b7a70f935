"""What is computed: sizes, weights and inputs, the same for every peer.

Everything here is NumPy and drawn from a fixed seed, so each worker process makes the same
problem for itself and nothing large travels between processes.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from jaxrnn.errors import sentence

Arrays = dict[str, np.ndarray]
REFERENCE = "scan"
"""The peer that everyone, jaxrnn too, must agree with; it has every cell."""


class Size(NamedTuple):
    """Batch B, time steps T, input size I (or vocabulary V), hidden size H."""

    batch: int
    time: int
    input_size: int
    hidden_size: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Reads `"B,T,I,H"`.

        Raises:
            ValueError: not four whole numbers above zero.

        >>> Size.parse("1,25,65,100")
        Size(batch=1, time=25, input_size=65, hidden_size=100)
        """
        parts = text.split(",")
        if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ValueError(
                sentence(
                    "benchmarks",
                    "--size",
                    "four whole numbers above zero, B,T,I,H",
                    repr(text),
                    "for example --size 32,100,256,256",
                )
            )
        return cls(*(int(part) for part in parts))

    def __str__(self) -> str:
        return ",".join(map(str, self))


LAYER_SIZES = (
    Size(1, 25, 65, 100),
    Size(50, 50, 128, 128),
    Size(32, 100, 256, 256),
    Size(16, 512, 64, 64),
    Size(64, 128, 512, 512),
    Size(128, 32, 64, 256),
    Size(8, 1024, 32, 32),
)
QUICK_SIZES = (Size(2, 5, 3, 4),)


@dataclass(frozen=True)
class LayerProblem:
    """One recurrent layer at one size.

    The measured quantities are

    - `forward`: hs [T, B, H] from parameters, initial carry and float inputs xs [T, B, I];
    - `forward_backward`: the loss sum(hs · cotangent) and its gradient with respect to every
      parameter, the initial carry and xs. The cotangent [T, B, H] is a fixed random array, so
      no step's output gradient is zero, constant or free.

    All shapes come from the cell; after a projection hs and the cotangent are [T, B, P], and P is
    what `jaxrnn.init` takes by itself, half of H.
    """

    kind: ClassVar[str] = "layer"
    compared: ClassVar[bool] = True
    reference: ClassVar[str] = REFERENCE

    cell: str
    size: Size
    seed: int = 0

    def label(self) -> str:
        """A name for people, the same in every run."""
        return f"{self.cell} {self.size}"

    def describe(self) -> dict[str, Any]:
        """Cell and size, for the record."""
        return {"cell": self.cell, "size": list(self.size)}

    def forward_flops(self) -> int:
        """Floating-point operations of the matrix products of one forward pass.

        2TB times the entries of the cell's matrices, each of which is multiplied once a step: of
        the LSTM 2TB(I + H)4H.
        """
        params, _ = layer_structures(self.cell, self.size)
        entries = sum(math.prod(part.shape) for part in params if part.ndim == 2)
        return int(2 * self.size.time * self.size.batch * entries)

    def flops(self, quantity: str) -> int | None:
        """Matrix-product operations of a quantity; the backward pass has twice the forward's."""
        passes = {"forward": 1, "forward_backward": 3}.get(quantity)
        return None if passes is None else passes * self.forward_flops()

    def least_bytes(self) -> int:
        """Bytes that any peer holds at once: xs, hs, their gradients, gates of every step."""
        params, carry = layer_structures(self.cell, self.size)
        columns = 2 * self.size.input_size + 2 * carry.h.shape[-1] + params.w_xh.shape[1]
        return int(4 * self.size.time * self.size.batch * columns)

    def shapes(self) -> tuple[Any, Any, Any, Any]:
        """Shapes and dtypes of `arrays`."""
        import jax

        batch, time, input_size, _ = self.size
        params, carry = layer_structures(self.cell, self.size)
        return (
            params,
            carry,
            jax.ShapeDtypeStruct((time, batch, input_size), np.float32),
            jax.ShapeDtypeStruct((time, *carry.h.shape), np.float32),
        )

    def arrays(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """Parameters and initial carry (the cell's NamedTuples of NumPy arrays), xs, cotangent.

        Weights are uniform in ±1/√H, as PyTorch starts them; biases too, so that none is zero.
        """
        import jax

        random = np.random.default_rng(self.seed)
        bound = self.size.hidden_size**-0.5

        def uniform(leaf: Any) -> np.ndarray:
            return random.uniform(-bound, bound, leaf.shape).astype(np.float32)

        params, carry, xs, cotangent = self.shapes()
        return (
            jax.tree.map(uniform, params),
            jax.tree.map(uniform, carry),
            random.standard_normal(xs.shape, dtype=np.float32),
            random.standard_normal(cotangent.shape, dtype=np.float32),
        )


class SequenceArrays(NamedTuple):
    """What makes a batch ragged: lengths [B], resets [T, B], and the carry that they go back to."""

    lengths: np.ndarray
    resets: np.ndarray
    reset_carry: Any


@dataclass(frozen=True)
class SequenceProblem(LayerProblem):
    """A layer over sequences that are not all of one length, beside the clean batch.

    Every quantity is a `forward_backward` at the same size:

    - `clean`: T steps of one sequence in each row;
    - `lengths`: each row ends somewhere from T/2 to T;
    - `resets`: a boundary about every `STEPS_BETWEEN_RESETS` steps, anywhere, after which a carry
      stands that has a gradient of its own;
    - `lengths_resets`: both.

    The plain scan knows nothing of these; the reference is `unroll_autodiff`.
    """

    kind: ClassVar[str] = "sequences"
    reference: ClassVar[str] = "autodiff"

    def sequences(self) -> SequenceArrays:
        """Drawn from a seed of their own, so that `arrays` are those of the layer."""
        import jax

        random = np.random.default_rng((self.seed, 1))
        batch, time, _, _ = self.size
        _, carry = layer_structures(self.cell, self.size)
        return SequenceArrays(
            random.integers(time // 2, time, size=batch, dtype=np.int32, endpoint=True),
            random.random((time, batch)) < 1 / STEPS_BETWEEN_RESETS,
            jax.tree.map(lambda leaf: random.uniform(-1, 1, leaf.shape).astype(np.float32), carry),
        )


STEPS_BETWEEN_RESETS = 20


@dataclass(frozen=True)
class SweepProblem(LayerProblem):
    """A `LayerProblem` that is one point of a sweep along one axis (T, B or H)."""

    axis: str = "T"

    def label(self) -> str:
        """Names the axis too: one size can be a point of several sweeps."""
        return f"{self.cell} along {self.axis} {self.size}"

    def describe(self) -> dict[str, Any]:
        """Cell, size and axis."""
        return super().describe() | {"axis": self.axis}


@dataclass(frozen=True)
class CompileProblem(LayerProblem):
    """How long the gradient of a layer takes from Python to machine code.

    Quantities: `trace_and_lower` (Python to StableHLO), `compile` (StableHLO to machine code).
    """

    kind: ClassVar[str] = "compile"
    compared: ClassVar[bool] = False


@dataclass(frozen=True)
class MemoryProblem(SweepProblem):
    """Bytes of temporaries, arguments and outputs of `forward_backward`, as compiled."""

    kind: ClassVar[str] = "memory"
    compared: ClassVar[bool] = False


@dataclass(frozen=True)
class LongProblem(MemoryProblem):
    """A `MemoryProblem` of very many steps, which is also run, once, and its gradients compared."""

    compared: ClassVar[bool] = True

    axis: str = "long"

    def label(self) -> str:
        """A name for people, the same in every run."""
        return f"{self.cell} long {self.size}"


@dataclass(frozen=True)
class ParallelProblem(LayerProblem):
    """A `LayerProblem` for ways to run all steps at once; its net is one that forgets."""

    kind: ClassVar[str] = "parallel"


class ModelArrays(NamedTuple):
    """A character model: layers' parameters, readout, zero carries; a text [W·T + 1, B]."""

    layers: tuple[Any, ...]
    w_hy: np.ndarray
    b_y: np.ndarray
    carries: tuple[Any, ...]
    text: np.ndarray

    def windows(self, time: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(tokens [T, B], targets [T, B]) of each of the W windows."""
        starts = range(0, len(self.text) - 1, time)
        return [(self.text[t : t + time], self.text[t + 1 : t + 1 + time]) for t in starts]


@dataclass(frozen=True)
class TrainProblem:
    """One training step of a character model: I is the vocabulary, inputs are one-hot.

    The text is `WINDOWS` windows long and is read round and round, the carry going from window
    to window.

    The measured quantity `train_step` is everything a program does between two windows: forward,
    loss, backward, clip at ±5 entry by entry, optimizer, new parameters. The recipe is that of

    - `char-rnn`: mean cross-entropy, RMSProp with rate 2e-3 and decay 0.95;
    - `min-char-rnn`: cross-entropy summed over the window, Adagrad with rate 0.1.

    Compared are the losses of the first `COMPARED_STEPS` steps and all parameters after them.
    """

    kind: ClassVar[str] = "train"
    compared: ClassVar[bool] = True
    reference: ClassVar[str] = REFERENCE

    cell: str
    size: Size
    layers: int = 2
    recipe: str = "char-rnn"
    seed: int = 0

    def label(self) -> str:
        """A name for people, the same in every run."""
        return f"{self.cell} {self.layers}×({self.size}) {self.recipe}"

    def describe(self) -> dict[str, Any]:
        """Cell, size, layers and recipe."""
        return {
            "cell": self.cell,
            "size": list(self.size),
            "layers": self.layers,
            "recipe": self.recipe,
        }

    def flops(self, quantity: str) -> int | None:
        """None: a one-hot input's product can be a gather, so the count is not everyone's."""
        return None

    def least_bytes(self) -> int:
        """Bytes that any peer holds at once."""
        return self.layers * LayerProblem(self.cell, self.size).least_bytes()

    def layer_sizes(self) -> list[Size]:
        """Each layer's size, whose I is the width of the layer below; for the first layer V."""
        sizes = [self.size]
        for _ in range(self.layers - 1):
            _, carry = layer_structures(self.cell, sizes[-1])
            sizes.append(self.size._replace(input_size=carry.h.shape[-1]))
        return sizes

    def arrays(self) -> ModelArrays:
        """Parameters uniform in ±1/√H; tokens even over the vocabulary."""
        import jax

        random = np.random.default_rng(self.seed)
        batch, time, vocabulary, hidden_size = self.size

        def uniform(leaf: Any) -> np.ndarray:
            bound = hidden_size**-0.5
            return random.uniform(-bound, bound, leaf.shape).astype(np.float32)

        params, carries = [], []
        for size in self.layer_sizes():
            shapes = layer_structures(self.cell, size)
            params.append(jax.tree.map(uniform, shapes[0]))
            carries.append(jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes[1]))
        return ModelArrays(
            layers=tuple(params),
            w_hy=uniform(np.empty((carries[-1].h.shape[-1], vocabulary))),
            b_y=uniform(np.empty(vocabulary)),
            carries=tuple(carries),
            text=random.integers(vocabulary, size=(WINDOWS * time + 1, batch), dtype=np.int32),
        )


WINDOWS = 4
COMPARED_STEPS = 3


@dataclass(frozen=True)
class ProcessesProblem(TrainProblem):
    """A training step in one process on one core, and in two processes with a core each.

    Quantities: `one_process` and `two_processes`. That they compute the same is for the tests.
    """

    kind: ClassVar[str] = "processes"
    compared: ClassVar[bool] = False

    def label(self) -> str:
        """A name for people, the same in every run."""
        return f"{self.cell} {self.layers}×({self.size})"


@dataclass(frozen=True)
class SampleProblem(TrainProblem):
    """Drawing T characters for each of B texts from a character model, one after the other.

    The quantity `sample` draws at temperature 1. Compared are the first `COMPARED_CHARACTERS`
    of the likeliest text, which has nothing random in it.
    """

    kind: ClassVar[str] = "sample"

    layers: int = 1

    def label(self) -> str:
        """A name for people, the same in every run."""
        return f"{self.cell} {self.layers}×({self.size})"


COMPARED_CHARACTERS = 20


def layer_structures(cell: str, size: Size) -> tuple[Any, Any]:
    """Shapes of the cell's parameters and carry, nothing computed."""
    import jax

    import jaxrnn as rnn

    record = rnn.CELLS[cell]
    params = jax.eval_shape(
        lambda: rnn.init(
            record,
            jax.random.key(0),
            input_size=size.input_size,
            hidden_size=size.hidden_size,
            dtype=np.float32,
        )
    )
    carry = jax.eval_shape(lambda: rnn.zero_carry(record, params, batch_shape=(size.batch,)))
    return params, carry
