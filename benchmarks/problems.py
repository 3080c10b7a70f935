"""What is computed: sizes, weights and inputs, the same for every peer.

Everything here is NumPy and drawn from a fixed seed, so each worker process makes the same
problem for itself and nothing large travels between processes.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.errors import sentence

Arrays = dict[str, np.ndarray]


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
QUICK_SIZES = (Size(2, 5, 3, 4), Size(1, 7, 5, 6))


@dataclass(frozen=True)
class LayerProblem:
    """One recurrent layer at one size.

    The measured quantities are

    - `forward`: hs [T, B, H] from parameters, initial carry and float inputs xs [T, B, I];
    - `forward_backward`: the loss sum(hs · cotangent) and its gradient with respect to every
      parameter, the initial carry and xs. The cotangent [T, B, H] is a fixed random array, so
      no step's output gradient is zero, constant or free.
    """

    cell: str
    size: Size
    seed: int = 0

    def gates(self) -> int:
        """G, the number of gates of the cell."""
        import jaxrnn as rnn

        return len(rnn.CELLS[self.cell].gates)

    def describe(self) -> dict[str, Any]:
        """Cell and size, for the record."""
        return {"cell": self.cell, "size": list(self.size)}

    def forward_flops(self) -> int:
        """Floating-point operations of the matrix products of one forward pass: 2TB(I + H)GH."""
        batch, time, input_size, hidden_size = self.size
        return 2 * time * batch * (input_size + hidden_size) * self.gates() * hidden_size

    def flops(self, quantity: str) -> int:
        """Matrix-product operations of a quantity; the backward pass has twice the forward's."""
        return {"forward": 1, "forward_backward": 3}[quantity] * self.forward_flops()

    def least_bytes(self) -> int:
        """Bytes that any peer holds at once: xs, hs, their gradients, gates of every step."""
        batch, time, input_size, hidden_size = self.size
        return 4 * time * batch * (2 * input_size + (2 + self.gates()) * hidden_size)

    def arrays(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """Parameters and initial carry (the cell's NamedTuples of NumPy arrays), xs, cotangent.

        Weights are uniform in ±1/√H, as PyTorch starts them; biases too, so that none is zero.
        """
        import jax

        random = np.random.default_rng(self.seed)
        bound = self.size.hidden_size**-0.5

        def uniform(leaf: Any) -> np.ndarray:
            return random.uniform(-bound, bound, leaf.shape).astype(np.float32)

        params, carry = layer_structures(self.cell, self.size)
        batch, time, input_size, hidden_size = self.size
        return (
            jax.tree.map(uniform, params),
            jax.tree.map(uniform, carry),
            random.standard_normal((time, batch, input_size), dtype=np.float32),
            random.standard_normal((time, batch, hidden_size), dtype=np.float32),
        )


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
