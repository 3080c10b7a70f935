"""The text of `jaxrnn train`: in memory, or as an index beside the run, in each process."""

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line.peers import Peers
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    from jaxrnn.charlm.corpus import Text
    from jaxrnn.charlm.reading import Reader
    from jaxrnn.charlm.runs import Run
    from jaxrnn.charlm.text_index import Division
    from jaxrnn.charlm.tokenizers import Tokenizer


def new_text(
    texts: Sequence[str] | None,
    settings: Settings,
    parent: "Run | None",
    path: Path,
    peers: Peers,
    held: ExitStack,
) -> "tuple[Text, Tokenizer]":
    """The text of a new run, and its tokens.

    Process 0 reads it. Where it makes an index of it, the others open that; else they read it too.

    Args:
        texts: as they were given; None: Python's documentation.
        settings: of the run.
        parent: whose tokens the run has, or None.
        path: of the run, whose lock process 0 has.
        peers: the processes.
        held: removes the index if the run does not come to be.
    """
    from jaxrnn.charlm import corpus, text_index
    from jaxrnn.charlm.sources import absolute, in_words

    if texts is None:
        own = corpus.python_documentation()
        return own, _division([own.text], settings, parent).vocab
    sources = [absolute(text) for text in texts]

    def divide(pieces: Iterable[str]) -> "Division":
        return _division(pieces, settings, parent)

    reader = _reader(texts, settings)
    if not peers.first:
        if indexed_sha256 := peers.gather()[0]:
            return text_index.open_index(path, sources, indexed_sha256)
        read = corpus.join(reader, sources)
        return read, divide([read.text]).vocab
    text_index.remove_index(path)  # of a start that was killed
    held.callback(_remove_unless_run, path)
    keep = not all(map(can_be_read_again, texts))
    text, vocab = text_index.read_or_index(reader, sources, path, divide, keep)
    if settings.documents and reader.files < 2:
        rule, got = "several files, each a document, in TEXT", f"one, {in_words(texts)}"
        raise ValueError(sentence("train", "--documents", rule, got))
    if reader.line_ends:
        which = " and ".join(repr(end)[1:-1] for end in sorted(reader.line_ends))
        hint = "--newlines keep leaves them as they are"
        peers.say(f"Line ends {which} of the text are read as \\n; {hint}.")
    peers.gather(text.sha256 if isinstance(text, text_index.TextIndex) else None)
    return text, vocab


def old_text(texts: Sequence[str] | None, settings: Settings, old: "Run", peers: Peers) -> "Text":
    """The text of a run that goes on: as named, else where it was, else its index alone."""
    from jaxrnn.charlm import corpus, own_text, text_index
    from jaxrnn.charlm.files import BrokenFileError
    from jaxrnn.charlm.sources import absolute

    if not old.indexed:
        if texts is not None:
            reader = _reader(texts, settings, old=True)
            sources = [absolute(text) for text in texts]
            return corpus.join(own_text.at_most(reader, old), sources)
        try:
            return own_text.read_own(old)
        except FileNotFoundError:
            expected = f"the text {old.source} where it was when {old.path} began"
            hint = f"name its new place: jaxrnn train TEXT --out {old.path} --resume"
            raise FileNotFoundError(
                sentence("train", "TEXT", expected, "nothing there", hint)
            ) from None
    again = None
    if peers.first:
        named = old.sources if texts is None else texts
        try:
            own = texts is None
            reader = _reader(named, settings, old=True, own=own)
            readable = all(map(can_be_read_again, named))
            same = (own and not readable) or own_text.is_text_of(old, reader)
            again = reader if readable and peers.count == 1 else None
        except FileNotFoundError:
            if texts is not None:
                raise
            peers.say(f"{old.source} is gone; the run goes on with its index, {old.path}/text.*.")
            same = True
        if not same:
            expected = f"the text that {old.path} was started with ({old.source})"
            got = f"{' and '.join(named)}, which differs from it"
            hint = "--init-from starts a new run from this one's weights"
            raise ValueError(sentence("train", "TEXT", expected, got, hint))
    try:
        return text_index.index_of(old)
    except BrokenFileError as error:
        if again is None:
            raise
        # The text is there, and is the one; a reader can be read again.
        peers.say(f"{error} It is made again from the text.")
        return text_index.index_again(old, again)


def can_be_read_again(text: str) -> bool:
    """Whether it is no pipe and no device; where nothing is, it was a file."""
    try:
        mode = os.stat(text).st_mode
    except OSError:
        return text != "-"
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _reader(
    texts: Sequence[str], settings: Settings, old: bool = False, own: bool = False
) -> "Reader":
    from jaxrnn.charlm.reading import Reader

    # That of a run that goes on does not mean a file that is named instead of the folder.
    needed = not old or own or any(map(os.path.isdir, texts))
    include = settings.include if needed else ()
    return Reader(texts, settings.encoding, settings.newlines, include, "TEXT", own)


def _division(pieces: Iterable[str], settings: Settings, parent: "Run | None") -> "Division":
    from jaxrnn.charlm.text_index import Division
    from jaxrnn.charlm.tokenizers import make_tokenizer, unknown_characters

    if parent is None:
        vocab = make_tokenizer(settings.tokens, pieces, settings.vocab_size)
    else:
        vocab = parent.vocab
        unknown = {each for piece in pieces for each in unknown_characters(vocab, piece)}
        if unknown:
            raise ValueError(
                sentence(
                    "train",
                    "TEXT",
                    f"the {len(vocab)} characters that {parent.path} knows",
                    f"{len(unknown)} others, {''.join(sorted(unknown)[:20])!r}",
                    "train without --init-from",
                )
            )
    return Division(vocab, settings.train_frac, settings.val_frac)


def _remove_unless_run(path: Path) -> None:
    from jaxrnn.charlm.text_index import remove_index

    if not os.path.lexists(path / "config.json"):
        remove_index(path)
