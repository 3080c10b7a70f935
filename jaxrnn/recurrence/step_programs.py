"""One step as a program that a kernel can hold: with no constants, and nothing done twice.

A kernel may not capture arrays, yet a cell's functions may hold constants (`sigmoid_or_tanh` does),
and what depends on the weights alone, a transpose above all, should not be done again at every
step. So the step is traced, the part that depends on weights and constants alone is run before the
loop, and what that part left enters the kernel as an argument.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

from jaxrnn.cells.cell import Array


class StepProgram:
    """`(shared, *each) -> outputs` traced, and divided into what depends on `shared` and the rest.

    Attributes:
        outputs: of the step, as shapes and dtypes.
        shared: shape and dtype of what enters the kernel: weights, constants, what was made of
            them. Only what the rest reads.
    """

    def __init__(self, step: Callable[..., Any], shared: Any, *each: Any) -> None:
        """Traces the step on shapes, which know nothing of a mesh that the arrays may live on."""
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (shared, *each))
        with jax.disable_jit():  # what was jitted on its own is part of the step, its constants too
            traced, self.outputs = jax.make_jaxpr(step, return_shape=True)(*shapes)
        leaves = jax.tree.leaves(shared)
        self._constants = dict(zip(traced.constvars, traced.consts, strict=True))
        self._shared = traced.invars[: len(leaves)]
        self._each = traced.invars[len(leaves) :]
        self._out = traced.outvars
        self._early: list[Any] = []
        self._late: list[Any] = []
        known = {*self._constants, *self._shared}
        for equation in traced.eqns:
            read = [v for v in equation.invars if not isinstance(v, Literal)]
            # What gets larger, a constant spread over the batch, is cheaper made than kept.
            smaller = _entries(equation.outvars) <= _entries(read)
            if read and known.issuperset(read) and smaller and not equation.effects:
                known.update(equation.outvars)
                self._early.append(equation)
            else:
                self._late.append(equation)
        read = [v for equation in self._late for v in equation.invars] + list(self._out)
        wanted = dict.fromkeys(v for v in read if not isinstance(v, Literal) and v in known)
        self._entering = tuple(wanted)
        self.shared = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in wanted]

    def before(self, shared: Any) -> list[Array]:
        """Runs the part that depends on what is shared: the arrays that enter the kernel."""
        values = dict(self._constants)
        values |= dict(zip(self._shared, jax.tree.leaves(shared), strict=True))
        _run(self._early, values.__getitem__, values)
        return [values[v] for v in self._entering]

    def rest(self, shared: Sequence[Callable[[], Array]], each: Any) -> Any:
        """Runs the rest.

        Args:
            shared: one function for each of `shared`, which reads it; called where it is used, so
                that no weight is held in registers from one use to the next.
            each: the arguments that differ, as they were traced.

        Returns:
            The outputs of the step.
        """
        entering = dict(zip(self._entering, shared, strict=True))
        values = dict(zip(self._each, jax.tree.leaves(each), strict=True))

        def read(v: Any) -> Any:
            return values[v] if v in values else entering[v]()

        _run(self._late, read, values)
        out = [v.val if isinstance(v, Literal) else read(v) for v in self._out]
        return jax.tree.unflatten(jax.tree.structure(self.outputs), out)


def _run(equations: Sequence[Any], read: Callable[[Any], Any], values: dict[Any, Any]) -> None:
    """Runs traced equations one after another, as `jax.core.eval_jaxpr` does."""
    for equation in equations:
        inputs = [v.val if isinstance(v, Literal) else read(v) for v in equation.invars]
        primitive = equation.primitive
        outputs = primitive.bind(*inputs, **primitive.get_bind_params(equation.params))
        outputs = outputs if primitive.multiple_results else [outputs]
        values.update(zip(equation.outvars, outputs, strict=True))


def _entries(variables: Sequence[Any]) -> int:
    return sum(math.prod(v.aval.shape) for v in variables)
