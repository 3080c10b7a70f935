"""Newton's method over time: how it settles, and what decides whether it does.

Lim, Zhu, Selfridge and Kasim 2024 find all states of a sequence at once; Gonzalez, Kozachkov,
Zoltowski, Clarkson and Linderman 2025 show that the largest Lyapunov exponent decides how many
iterations that takes. Networks are driven across the border by one knob, a factor on w_hh.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from jaxrnn import charlm
from jaxrnn.cells import CELLS, Cell
from jaxrnn.microscope.experiments.fitting import fit
from jaxrnn.microscope.experiments.record import Experiment, Measurement, Progress, silent
from jaxrnn.microscope.languages import generate, parentheses
from jaxrnn.microscope.measurements.predictability import largest_lyapunov_exponent
from jaxrnn.networks import init, solve_parallel, trace, unroll, zero_carry

Array = jax.Array

LENGTH = 512
LIMIT = 57
"""Iterations after which a sequence of 512 steps is run step by step: 512 / log₂ 512."""
UNITS = 16
UPDATES = 400
UNTRAINED = ("elman", "gru", "lstm")
FACTORS = (0.5, 1.0, 1.2, 1.4, 1.6, 2.0, 3.0, 5.0)
TRAINED_FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)
SHOWN = (("trained GRU", 1.0), ("trained GRU", 2.0), ("untrained ELMAN", 3.0))


class Trial(NamedTuple):
    """One net, solved.

    Attributes:
        net: its name, e.g. "trained GRU".
        factor: on its w_hh.
        exponent: its largest Lyapunov exponent on the sequence, nats a step.
        at_guess: the same along the first guess, which is zeros.
        iterations: of Newton's method; `LIMIT` where it did not settle.
        settled: whether it did.
        by_itself: the iterations from where `solve_parallel` begins without a guess.
        difference: largest |h − h of `unroll`|.
    """

    net: str
    factor: float
    exponent: float
    at_guess: float
    iterations: int
    settled: bool
    by_itself: int
    difference: float

    @property
    def name(self) -> str:
        """The net and its factor, where that is not 1."""
        return self.net if self.factor == 1 else f"{self.net} with w_hh × {self.factor:g}"


class Settling(NamedTuple):
    """Newton's iterates of one net.

    Attributes:
        trial: how it ended.
        errors: [K + 1, T], the largest error of the carry's numbers after k iterations, k = 0 the
            guess of zeros.
    """

    trial: Trial
    errors: NDArray[np.float64]


class ParallelData(NamedTuple):
    """What the experiment's page draws: every net tried, and the iterates of three of them."""

    trials: tuple[Trial, ...]
    settlings: tuple[Settling, ...]


class _Net(NamedTuple):
    cell: Cell
    params: Any
    xs: Array
    factors: tuple[float, ...]

    def scaled(self, factor: float) -> Any:
        return self.params._replace(w_hh=factor * self.params.w_hh)


def run(key: Array, progress: Progress = silent) -> Experiment:
    """Trains one network, solves it and untrained ones at several scales, and compares.

    Args:
        key: a `jax.random.key`.
        progress: is told of the work.

    Returns:
        The outcome with ParallelData; about half a minute on one core.
    """
    trained_key, untrained_key, change_key = jax.random.split(key, 3)
    config, params, tokens = _train(trained_key, progress)
    # In float64 a convergence that squares the error is seen for a few iterations more.
    with jax.enable_x64(True):
        nets = {"trained GRU": _trained_net(config, params, tokens)}
        nets |= _untrained_nets(untrained_key)
        total = sum(len(net.factors) for net in nets.values())
        trials: list[Trial] = []
        for name, net in nets.items():
            for factor in net.factors:
                progress("solving", len(trials), total)
                trials.append(_try(name, net, factor, change_key))
        progress("solving", total, total)
        by_name = {(trial.net, trial.factor): trial for trial in trials}
        settlings = tuple(_settle(by_name[shown], nets[shown[0]]) for shown in SHOWN)
    return _outcome(ParallelData(tuple(trials), settlings))


def _outcome(data: ParallelData) -> Experiment:
    below = [trial for trial in data.trials if trial.exponent < 0]
    above = [trial for trial in data.trials if trial.exponent >= 0]
    both = [trial for trial in below if trial.at_guess < 0]
    settled = [trial.iterations for trial in below if trial.settled]
    astray = [trial for trial in below if not trial.settled]
    surprising = [trial for trial in above if trial.settled]
    trained, _, chaotic = (settling.trial for settling in data.settlings)
    at_once = [trial.iterations for trial in both if trial.settled]
    measurements = (
        Measurement(f"exponent, {trained.name}", trained.exponent, "nats a step", "below 0"),
        Measurement(f"iterations, {trained.name}", trained.iterations, "", "few"),
        Measurement(f"exponent, {chaotic.name}", chaotic.exponent, "nats a step", "above 0"),
        Measurement(f"iterations, {chaotic.name}", chaotic.iterations, "", f"{LIMIT}, the limit"),
        Measurement("exponent below 0: settled", len(settled), f"of {len(below)}", "all"),
        Measurement("exponent above 0: settled", len(surprising), f"of {len(above)}", "none"),
        Measurement(
            "below 0 along the first guess too: settled", len(at_once), f"of {len(both)}", "all"
        ),
        Measurement("most iterations of those", max(at_once, default=0), "", "few"),
        Measurement(
            f"{trained.name}, from 8 runs of the steps instead of zeros", trained.by_itself,
            "iterations", "fewer",
        ),
        Measurement(
            "largest difference from unroll, all nets",
            max(trial.difference for trial in data.trials), "", "rounding",
        ),
    )  # fmt: skip
    verdict = (
        f"Of {len(below)} nets below 0, {len(settled)} settle, in {_span(settled)} iterations for "
        f"{LENGTH} steps; of {len(above)} above 0, {len(surprising) or 'none'}. "
    )
    verdict += _named("Below 0 and not settled", astray) + _named("Above and settled", surprising)
    verdict += (
        "The exponent is that of the states which a net goes through, and Newton's method sets out "
        f"from others, here zeros. Where it is below 0 along those too, as in {len(both)} nets, "
        f"{'all' if len(at_once) == len(both) else len(at_once)} settle, in {_span(at_once)} "
        "iterations. Where w_hh is so large that a net holds on to what it read, zeros lie between "
        "the states that it can hold, and neighbours of zeros drift apart. So `solve_parallel` by "
        "itself first runs the steps a few times from wherever they stand."
    )
    claim = (
        "The sign of the largest Lyapunov exponent decides: below 0 Newton's method over time "
        "needs few iterations, above 0, in chaos, it does not settle, and the sequence is run step "
        "by step (Gonzalez et al. 2025)."
    )
    return Experiment("parallel", claim, measurements, not astray and not surprising, verdict, data)


def _span(numbers: list[int]) -> str:
    return f"{min(numbers, default=0)} to {max(numbers, default=0)}"


def _named(what: str, trials: list[Trial]) -> str:
    listed = ", ".join(f"{t.name} ({t.exponent:.2f})".replace("-", "−") for t in trials)
    return f"{what}: {listed}. " if trials else ""


def _train(key: Array, progress: Progress) -> tuple[charlm.Config, charlm.Params, NDArray[Any]]:
    """A GRU that has learned nested parentheses, and a text of them."""
    text_key, model_key = jax.random.split(key)
    text = generate(parentheses(), text_key, 20_000)
    vocab = charlm.Vocab.from_text(text)
    config = charlm.Config(len(vocab), "gru", hidden_size=UNITS, num_layers=1)
    fitted = fit(
        config, vocab, charlm.init(config, model_key),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(5e-3)),
        text, progress, what="training", updates=UPDATES, batch_size=16, length=40,
    )  # fmt: skip
    return config, fitted.params, vocab.encode(text[:LENGTH])


def _trained_net(config: charlm.Config, params: charlm.Params, tokens: NDArray[Any]) -> _Net:
    layer = jax.tree.map(lambda w: jnp.asarray(np.asarray(w), jnp.float64), params.layers[0])
    return _Net(config.cells[0], layer, jnp.asarray(tokens), TRAINED_FACTORS)


def _untrained_nets(key: Array) -> dict[str, _Net]:
    *keys, input_key = jax.random.split(key, len(UNTRAINED) + 1)
    xs = 0.5 * jax.random.normal(input_key, (LENGTH, 3), jnp.float64)
    nets = {}
    for name, net_key in zip(UNTRAINED, keys, strict=True):
        cell = CELLS[name]
        params = init(cell, net_key, input_size=3, hidden_size=UNITS, dtype=jnp.float64)
        nets[f"untrained {name.upper()}"] = _Net(cell, params, xs, FACTORS)
    return nets


def _try(name: str, net: _Net, factor: float, key: Array) -> Trial:
    params = net.scaled(factor)
    carry = zero_carry(net.cell, params)
    guess = jax.tree.map(lambda c: jnp.zeros((LENGTH, *c.shape), c.dtype), carry)
    exponent, at_guess = (
        largest_lyapunov_exponent(net.cell, params, carry, net.xs, key, along=along).exponent
        for along in (None, guess)
    )
    # From zeros, so that the first guess is the same for all; by itself `solve_parallel` runs the
    # steps a few times first.
    _, hs, solution = solve_parallel(
        net.cell, params, carry, net.xs, max_iterations=LIMIT, guess=guess
    )
    by_itself = solve_parallel(net.cell, params, carry, net.xs, max_iterations=LIMIT)[2]
    difference = jnp.max(jnp.abs(hs - unroll(net.cell, params, carry, net.xs)[1]))
    return Trial(
        name, factor, exponent, at_guess, int(solution.iterations), bool(solution.converged),
        int(by_itself.iterations), float(difference),
    )  # fmt: skip


def _settle(trial: Trial, net: _Net) -> Settling:
    """Newton's iterates one after another, each the guess of the next."""
    params = net.scaled(trial.factor)
    carry = zero_carry(net.cell, params)
    right = trace(net.cell, params, carry, net.xs).carries
    now = jax.tree.map(jnp.zeros_like, right)
    errors = [_error(now, right)]
    for _ in range(trial.iterations):
        # With a tolerance that all meet, what comes out is the iterate, settled or not.
        _, _, solution = solve_parallel(
            net.cell, params, carry, net.xs, guess=now, max_iterations=1, tolerance=1e300
        )
        now = solution.carries
        errors.append(_error(now, right))
    return Settling(trial, np.stack(errors))


def _error(carries: Any, right: Any) -> NDArray[np.float64]:
    apart = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b), -1), carries, right)
    return np.max([np.asarray(field) for field in apart], axis=0)
