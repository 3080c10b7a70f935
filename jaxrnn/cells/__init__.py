"""The cells: equations forward and backward, one file each. A new cell is a new file and a row."""

from jaxrnn.cells.cell import Cell
from jaxrnn.cells.elman import ELMAN, ELMAN_RELU
from jaxrnn.cells.gru import GRU
from jaxrnn.cells.gru_reset_before import GRU_RESET_BEFORE
from jaxrnn.cells.lstm import LSTM

CELLS: dict[str, Cell] = {
    cell.name: cell for cell in (ELMAN, ELMAN_RELU, LSTM, GRU, GRU_RESET_BEFORE)
}

__all__ = ["CELLS", "ELMAN", "ELMAN_RELU", "GRU", "GRU_RESET_BEFORE", "LSTM", "Cell"]
