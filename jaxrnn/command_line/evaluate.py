"""`jaxrnn evaluate RUN [TEXT…]`: how well a trained model predicts a text, beside baselines."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jaxrnn.charlm.settings import TOKENS
from jaxrnn.command_line import backend
from jaxrnn.command_line.arguments import add_import, read_text, whole_number
from jaxrnn.errors import sentence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jaxrnn.charlm.baselines import NGrams
    from jaxrnn.charlm.corpus import Tokens
    from jaxrnn.charlm.loading import TrainedModel
    from jaxrnn.charlm.own_text import OwnPart, Parts
    from jaxrnn.charlm.runs import Run

SPLITS = ("train", "validation", "rest")
# The best on the last tenth of tinyshakespeare: 1.77, 1.67, 1.70 nats with n of 4, 5, 6.
NGRAM = 5
LONGEST_NGRAM = 100  # for each length there is a table of the training text's n-grams
OF_ALL = "all texts together"
MODEL = "the model"


def make_parser() -> argparse.ArgumentParser:
    """The options of `jaxrnn evaluate`."""
    parser = argparse.ArgumentParser(
        prog="jaxrnn evaluate",
        description="Measures how well the model of a run predicts a text: nats and bits a "
        "token, which is a character, a byte or a word as the run has it, and a character; "
        "perplexity; the loss by class; all that beside a uniform guess and n-grams of the "
        "training text with interpolated Witten-Bell smoothing. The model reads each text from "
        "its first token to its last with its state carried through; every token but the first "
        "is predicted. It takes the checkpoint of the best validation loss.",
    )
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "texts",
        metavar="TEXT",
        nargs="*",
        default=[],  # without it, argparse would say that it is required
        help="text files, folders and patterns such as 'books/*.txt', each of which is one text, "
        "or - for standard input, compressed or not; default: a part of the run's own text",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="the part of the run's own text: what it was trained on, what its checkpoint was "
        "chosen by, or the rest, which train leaves where --train-frac and --val-frac are "
        "together below 1 (default: validation)",
    )
    parser.add_argument("--encoding", metavar="NAME", help="of the text files (default: utf-8)")
    parser.add_argument(
        "--include",
        action="append",
        metavar="PATTERN",
        help="of a folder, read the files with such names only, for example '*.py'; may be given "
        "several times",
    )
    parser.add_argument(
        "--ngram",
        type=whole_number,
        default=NGRAM,
        metavar="N",
        help=f"n of the longest n-gram to compare with, at most {LONGEST_NGRAM} (default: {NGRAM})",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number,
        default=1,
        metavar="B",
        help="read a text as B streams side by side, each from a zero state: faster, and slightly "
        "too high a loss where streams begin (default: 1, exact)",
    )
    backend.add_device(parser)
    backend.add_deterministic(parser)
    add_import(parser)
    return parser


class Measured(NamedTuple):
    """How a text was predicted.

    Attributes:
        name: what the text is called.
        text: all of it.
        labels: of its tokens, what a person sees of each.
        lengths: how many characters end with each of them.
        nats: of each token but the first, by who predicts.
    """

    name: str
    text: str
    labels: Sequence[str]
    lengths: "NDArray[np.int32]"
    nats: "dict[str, NDArray[np.float64]]"


def run(options: argparse.Namespace) -> int:
    """Prints a report for each text, and for all together."""
    if options.texts and options.split is not None:
        got = f"{options.split}, beside the text {options.texts[0]}"
        rule = "either a part of the run's own text or texts"
        raise ValueError(sentence("evaluate", "--split", rule, got))
    if options.encoding is not None and not options.texts:
        rule = "a TEXT beside it, since a run knows the encoding of its own"
        raise ValueError(sentence("evaluate", "--encoding", rule, options.encoding))
    if options.include is not None and not options.texts:
        rule = "a TEXT beside it, since a run knows the files of its own"
        raise ValueError(sentence("evaluate", "--include", rule, " ".join(options.include)))
    if options.ngram > LONGEST_NGRAM:
        raise ValueError(sentence("evaluate", "--ngram", f"at most {LONGEST_NGRAM}", options.ngram))
    for option in ("ngram", "batch_size"):
        if getattr(options, option) < 1:
            name = f"--{option.replace('_', '-')}"
            raise ValueError(sentence("evaluate", name, "at least 1", getattr(options, option)))
    backend.configure(options.device, options.deterministic)
    import jax

    from jaxrnn.charlm import loading, runs
    from jaxrnn.command_line.compilation_cache import use_compilation_cache

    backend.check("evaluate", options.device)
    use_compilation_cache()
    opened = runs.open_run(options.run)
    if opened.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    parts = _own_parts(opened, needed=not options.texts)
    texts = list(_texts(options, opened, parts))
    model = loading.load(options.run, note=_note)
    ngrams = None if parts is None else _count(parts.train, model, options.ngram)
    print(f"{options.run}, {opened.settings.layers_in_words}")
    measured = []
    for text in texts:
        documents = text.tokens.documents if opened.settings.documents else None
        measured.append(_measure(text, model, ngrams, options.batch_size, documents))
        _report(measured[-1:], opened.vocab.kind)
    if len(measured) > 1:
        _report(measured, opened.vocab.kind)
    if options.split == "train" and ngrams is not None:
        print("\nThe n-grams were counted on this very text; it is no fair comparison.")
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _own_parts(opened: "Run", needed: bool) -> "Parts | None":
    """The run's text; None where it is not there, and only the baselines need it."""
    from jaxrnn.charlm.own_text import own_parts

    hint = f"name a text: jaxrnn evaluate {opened.path} TEXT"
    try:
        return own_parts(opened, "evaluate: TEXT", hint)
    except ValueError as error:
        if needed:
            raise
        said = str(error).partition(" Hint: ")[0].removeprefix("evaluate: TEXT: ")
        _note(f"There are no n-grams to compare with: {said}")
        return None


class Read(NamedTuple):
    """A text to measure, and its tokens."""

    name: str
    text: str
    tokens: "Tokens"


def _texts(options: argparse.Namespace, opened: "Run", parts: "Parts | None") -> Iterator[Read]:
    newlines, include = opened.settings.newlines, tuple(options.include or ())
    for path in options.texts:
        corpus = read_text(path, options.encoding, "TEXT", newlines, include)
        name = path if path != "-" else "standard input"
        _check(name, corpus.text, opened)
        yield Read(name, corpus.text, corpus.tokens(opened.vocab, 0, len(corpus.text)))
    if not options.texts:
        assert parts is not None
        split = options.split or "validation"
        part = getattr(parts, split)
        if len(part.text) < 2:
            settings = opened.settings
            rule = "a part with at least 2 characters"
            shares = f"--train-frac {settings.train_frac:g} --val-frac {settings.val_frac:g}"
            got = f"{split}, which has {len(part.text)} in this run of {shares}"
            others = [name for name in SPLITS if len(getattr(parts, name).text) > 1]
            hint = f"it has {', '.join(others)}; train with --train-frac 0.8 --val-frac 0.1 leaves "
            hint += "a tenth as the rest"
            raise ValueError(sentence("evaluate", "--split", rule, got, hint))
        name = f"{split} part of {opened.source}"
        if not part.whole:
            name += f", its first {len(part.tokens.ids):,} {opened.vocab.kind}"
        _check(name, part.text, opened)
        yield Read(name, part.text, part.tokens)


def _check(name: str, text: str, opened: "Run") -> None:
    """Raises ValueError for a text that cannot be predicted."""
    import numpy as np

    ids, kind = opened.vocab.find(text), opened.vocab.kind
    if len(ids) < 2:
        rule = f"at least 2 {kind}, one to read and one to predict"
        raise ValueError(sentence("evaluate", "TEXT", rule, f"{name}, which has {len(ids)}"))
    places = np.flatnonzero(ids < 0)
    if len(places):
        unknown = sorted({text[place] for place in places})
        shown = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in unknown[:10])
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        first = f"the first {text[places[0]]!r} at position {places[0]:,}"
        rule = f"the {len(opened.vocab)} characters that {opened.path} knows"
        got = f"{len(places):,} of {len(text):,} characters of {name} outside of them: "
        hint = "take them out of the text, or train on a text that has them, or with --tokens bytes"
        raise ValueError(sentence("evaluate", "TEXT", rule, f"{got}{shown}{more}; {first}", hint))


def _count(train: "OwnPart", model: "TrainedModel", order: int) -> "NGrams":
    from jaxrnn.charlm.baselines import count_ngrams

    if not train.whole:
        what = f"{len(train.tokens.ids):,} {model.vocab.kind}"
        _note(f"The n-grams are counted on the first {what} of the training text.")
    return count_ngrams(train.tokens.ids, len(model.vocab), order)


def _measure(
    read: Read,
    model: "TrainedModel",
    ngrams: "NGrams | None",
    batch_size: int,
    documents: "NDArray[np.int64] | None",
) -> Measured:
    import numpy as np

    from jaxrnn.charlm.baselines import ngram_surprisals
    from jaxrnn.charlm.evaluation import surprisals

    ids = read.tokens.ids
    values = surprisals(model.config, model.params, ids, batch_size=batch_size, documents=documents)
    nats = {MODEL: values}
    if ngrams is not None:
        rows = ngram_surprisals(ngrams, ids)
        for order in range(len(rows), 0, -1):
            if order in (1, len(rows)):
                called = "unigram" if order == 1 else f"{order}-gram"
                nats[f"{called} of the training text"] = rows[order - 1]
    size, kind = len(model.vocab), model.vocab.kind
    nats[f"uniform over {size:,} {kind}"] = np.full(len(values), math.log(size))
    labels = [model.vocab.labels[index] for index in ids.tolist()]
    lengths = model.vocab.lengths(read.text)
    if len(lengths) != len(ids):  # unknown words of a text on disk
        lengths = np.array(list(map(len, labels)), np.int32)
    return Measured(read.name, read.text, labels, lengths, nats)


def _report(measured: list[Measured], kind: str) -> None:
    import numpy as np

    from jaxrnn.charlm.word_vocabulary import UNKNOWN

    whole = kind == "characters"
    token = TOKENS[kind]
    tokens = sum(len(one.labels) - 1 for one in measured)
    characters = sum(int(one.lengths[1:].sum()) for one in measured)
    name = measured[0].name if len(measured) == 1 else OF_ALL
    covered = "" if whole else f", which are {characters:,} characters"
    print(f"\n{name}: {tokens:,} {token}s predicted{covered}")
    width = max(map(len, measured[0].nats))
    more = "" if whole else f"{'':{len(token)}} bits a character"
    print(f"  {'':{width}}  {'nats':>8}  {'bits':>8}  {'perplexity':>10}   a {token}{more}")
    for who in measured[0].nats:
        sum_ = float(np.concatenate([one.nats[who] for one in measured]).sum())
        nats = sum_ / tokens
        perplexity = math.exp(nats) if nats < 700 else math.inf
        of_all = ""
        if not whole:
            of_all = f"{'':{len(token) + 5}}{sum_ / math.log(2) / characters:{len(token) + 17}.4f}"
        print(
            f"  {who:{width}}  {nats:8.4f}  {nats / math.log(2):8.4f}  {perplexity:10.4g}{of_all}"
        )
    losses = np.concatenate([one.nats[MODEL] for one in measured])
    size = sum(_bytes_predicted(one, kind) for one in measured)
    print(f"  {MODEL}, bits a byte of UTF-8: {losses.sum() / math.log(2) / size:.4f}")
    unknown = sum(label in UNKNOWN for one in measured for label in one.labels[1:])
    if kind == "words" and unknown:
        print(
            f"  {unknown / tokens:.2%} of the tokens are unknown words. Nobody predicts their "
            "letters, so that what is counted a character or a byte is too low."
        )
    _report_classes(measured, kind, width)


def _report_classes(measured: list[Measured], kind: str, width: int) -> None:
    """The model's loss by class: of words, their own; of bytes, that of their characters."""
    import numpy as np

    from jaxrnn.charlm.loss_groups import (
        character_classes,
        character_losses,
        group_losses,
        word_classes,
    )

    losses: list[NDArray[np.float64]] = []
    classes: list[str] = []
    for one in measured:
        nats = one.nats[MODEL]
        if kind == "words":
            losses.append(nats)
            classes += word_classes(one.labels[1:])
        else:
            losses.append(character_losses(nats, one.lengths))
            classes += character_classes(one.text[1:])
    if not classes:
        return
    counted = "tokens" if kind == "words" else "characters"
    print(f"  {'by class':{width}}  {'nats':>8}  {'bits':>8}  {counted:>10}   of the loss")
    for group in group_losses(np.concatenate(losses), classes):
        mean = group.mean_bits * math.log(2)
        print(
            f"  {group.label!s:{width}}  {mean:8.4f}  {group.mean_bits:8.4f}  "
            f"{group.characters:10,}   {group.share:.1%}"
        )


def _bytes_predicted(one: Measured, kind: str) -> int:
    """Of a text's UTF-8, without those of its first token."""
    if kind == "bytes":
        return len(one.labels) - 1
    return len(one.text[one.lengths[0] :].encode("utf-8", "surrogatepass"))
