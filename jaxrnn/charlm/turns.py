"""A text that a person and a model write in turns, with the state carried from turn to turn."""

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Unpack

import jax
import numpy as np

from jaxrnn.charlm import model
from jaxrnn.charlm.choosing import Choice, make_choice
from jaxrnn.charlm.generating import STREAM_STEPS, Chunk, generate
from jaxrnn.charlm.sampling import Scored, check_asked, check_texts, pieces
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.charlm.writing import Asked, Sampling, complete
from jaxrnn.errors import sentence

Array = jax.Array


class _Mark(NamedTuple):
    """Where a chunk begins: after `written` tokens of the turn."""

    written: int
    chunk: Chunk


class Turns:
    """What stands so far: a carry, and the few tokens since that are read when it goes on.

    A turn that is broken off, or ended by a stop, leaves the text as far as it was given out.

    Args:
        config: the model.
        params: its parameters.
        vocab: its vocabulary.
        key: a `jax.random.key`; turn n draws with `fold_in(key, n)`.
        carry: what came before, fields [H]; None: nothing.

    Example:
        >>> import jax
        >>> from jaxrnn.charlm import Vocab
        >>> vocab = Vocab.from_text("abc ")
        >>> config = model.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=1)
        >>> params = model.init(config, jax.random.key(0))
        >>> turns = Turns(config, params, vocab, jax.random.key(1))
        >>> turns.read("ab")
        >>> len("".join(piece.text for piece in turns.write(length=40)))
        40
    """

    def __init__(
        self,
        config: model.Config,
        params: model.Params,
        vocab: Tokenizer,
        key: Array,
        carry: Any = None,
    ) -> None:
        self._model = (config, params, vocab)
        self._key = key
        self._start = carry
        self._turn = 0
        self.reset()

    def reset(self) -> None:
        """Back to what came before; the draws stay new ones."""
        self._carry = self._start
        self._since = np.zeros(0, np.int32)

    def read(self, text: str) -> None:
        """Adds a text that the model has not written.

        Raises:
            TypeError, ValueError: as `sample` of a prime; nothing is added then.
        """
        config, _, vocab = self._model
        check_texts("sample", config, vocab, text, None)
        self._since = np.concatenate([self._since, vocab.encode(text)])

    def check(self, **sampling: Unpack[Sampling]) -> tuple[Asked, Choice]:
        """What `write` would be asked for.

        Raises:
            TypeError, ValueError: as `sample`; also for a prime or a carry, which are what stands.
        """
        config, params, vocab = self._model
        for name in ("prime", "carry"):
            if name in sampling:
                rule = "no such argument, since it is what stands so far"
                raise TypeError(sentence("sample", name, rule, "one"))
        asked = check_asked(config, vocab, self._key, complete("sample", sampling))
        choice = make_choice(config, params, asked.temperature, asked.top_k, asked.top_p)
        return asked, choice

    def write(self, **sampling: Unpack[Sampling]) -> Iterator[Scored]:
        """The model's turn, piece by piece.

        Raises:
            TypeError, ValueError: as `check`.
        """
        asked, choice = self.check(**sampling)
        config, params, vocab = self._model
        key = jax.random.fold_in(self._key, jax.device_put(np.uint32(self._turn)))
        self._turn += 1
        chunks = generate(
            config, params, key, choice, self._since, asked.length, self._carry,
            count=1, steps=STREAM_STEPS, scored=True,
        )  # fmt: skip
        return self._kept(vocab, chunks, asked.stop)

    def _kept(
        self, vocab: Tokenizer, chunks: Iterator[Chunk], stop: str | None
    ) -> Iterator[Scored]:
        marks: deque[_Mark] = deque()

        def noted() -> Iterator[Chunk]:
            written = 0
            for chunk in chunks:
                marks.append(_Mark(written, chunk))
                written += len(chunk.ids)
                yield chunk

        given_out = 0
        for piece in pieces(vocab, noted(), stop):
            given_out += len(piece.ids)
            # What is held back lies in later chunks than this one, or at its end.
            while len(marks) > 1 and marks[1].written <= given_out:
                marks.popleft()
            written, chunk = marks[0]
            beyond = written + len(chunk.ids) - given_out
            self._carry = jax.tree.map(lambda leaf: leaf[0], chunk.carry)
            self._since = chunk.read[: len(chunk.read) - beyond, 0]
            yield piece
