"""The cells: equations forward and backward, one file each, and what a custom cell is written with.

| cell | |
|---|---|
| `ELMAN`, `ELMAN_RELU` | Elman 1990; Le, Jaitly and Hinton 2015 |
| `LSTM` | Hochreiter and Schmidhuber 1997, with forget gate |
| `LSTM_PROJECTED` | with a projection of the output (`proj_size`), Sak et al. 2014 |
| `LSTM_PEEPHOLE` | whose gates see the memory, Gers and Schmidhuber 2000 |
| `LSTM_LAYERNORM`, `GRU_LAYERNORM` | layer-normalised, Ba, Kiros and Hinton 2016 |
| `GRU` | reset after the product, as in PyTorch and cuDNN |
| `GRU_RESET_BEFORE` | reset before the product, Cho et al. 2014 |
| `MGU` | minimal gated unit, Zhou et al. 2016 |
| `INDRNN` | elementwise recurrence, for long sequences, Li et al. 2018 |

A cell of the library is a file of this folder and a row below. A custom cell is the same, anywhere,
and `register(cell)`, which checks it and makes it available by name. What it is written with:

- `Cell`: the record, which says what its functions take and give;
- `blocks`, `split_off_last`, `join`: gates side by side in one array;
- `sigmoid`, `sigmoid_or_tanh`, `standardise`, `standardise_T`, and all of `jax.numpy`.

`elman.py` is the plainest, `mgu.py` the shortest with two products.
"""

from jaxrnn.cells.cell import Cell
from jaxrnn.cells.contract import check_contract
from jaxrnn.cells.elman import ELMAN, ELMAN_RELU
from jaxrnn.cells.gru import GRU
from jaxrnn.cells.gru_layernorm import GRU_LAYERNORM
from jaxrnn.cells.gru_reset_before import GRU_RESET_BEFORE
from jaxrnn.cells.indrnn import INDRNN
from jaxrnn.cells.lstm import LSTM
from jaxrnn.cells.lstm_layernorm import LSTM_LAYERNORM
from jaxrnn.cells.lstm_peephole import LSTM_PEEPHOLE
from jaxrnn.cells.lstm_projected import LSTM_PROJECTED
from jaxrnn.cells.mgu import MGU
from jaxrnn.cells.parts import (
    blocks,
    join,
    sigmoid,
    sigmoid_or_tanh,
    split_off_last,
    standardise,
    standardise_T,
)
from jaxrnn.errors import sentence

CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        ELMAN,
        ELMAN_RELU,
        LSTM,
        LSTM_PEEPHOLE,
        LSTM_PROJECTED,
        LSTM_LAYERNORM,
        GRU,
        GRU_RESET_BEFORE,
        GRU_LAYERNORM,
        MGU,
        INDRNN,
    )
}
_OWN = tuple(CELLS)


def register(cell: Cell) -> Cell:
    """Makes a custom cell available by its name: in `CELLS`, in `charlm.Config`, in saved runs.

    On the command line `--import FILE.py` runs the file that calls this, before anything else.

    Args:
        cell: a Cell; its functions are run on shapes alone, and what does not fit is said.

    Returns:
        The cell.

    Raises:
        TypeError, ValueError: it is no Cell, breaks the contract, or has the name of one of the
            library's own. One that was registered before is replaced.

    Example:
        >>> import dataclasses, jaxrnn as rnn
        >>> mine = rnn.register(dataclasses.replace(rnn.MGU, name="my_mgu"))
        >>> rnn.CELLS["my_mgu"] == mine
        True
        >>> del rnn.CELLS["my_mgu"]
    """
    if not isinstance(cell, Cell):
        raise TypeError(sentence("register", "cell", "a jaxrnn.Cell", cell))
    check_contract("register", cell)
    if cell.name in _OWN and cell != CELLS[cell.name]:
        expected = f"another name than those of the library, {', '.join(_OWN)}"
        raise ValueError(sentence("register", "cell.name", expected, cell.name))
    CELLS[cell.name] = cell
    return cell


__all__ = [
    "CELLS",
    "ELMAN",
    "ELMAN_RELU",
    "GRU",
    "GRU_LAYERNORM",
    "GRU_RESET_BEFORE",
    "INDRNN",
    "LSTM",
    "LSTM_LAYERNORM",
    "LSTM_PEEPHOLE",
    "LSTM_PROJECTED",
    "MGU",
    "Cell",
    "blocks",
    "check_contract",
    "join",
    "register",
    "sigmoid",
    "sigmoid_or_tanh",
    "split_off_last",
    "standardise",
    "standardise_T",
]
