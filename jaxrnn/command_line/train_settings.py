"""The settings of a new run: a preset, a file, another run's model, and the options given."""

from typing import Any

from jaxrnn.charlm.settings import PRESETS, Settings
from jaxrnn.errors import sentence

# What a model is; `--init-from` takes these from the other run.
MODEL = (
    "tokens", "vocab_size", "model", "rnn_size", "num_layers", "proj_size", "embed_size", "dtype",
)  # fmt: skip


def choose_settings(
    preset: str | None,
    given: dict[str, Any],
    parent: Settings | None = None,
    file: dict[str, Any] | None = None,
) -> Settings:
    """The preset's settings, then the file's, then those of the parent's model, then those given.

    Raises:
        ValueError: a given size differs from the parent's, a value is out of range, or an option
            would change nothing.
    """
    values = dict(PRESETS[preset or "default"])
    charrnn = preset == "char-rnn"
    file, given = (resolve_names(some or {}, charrnn) for some in (file, given))
    values |= one_end(file)
    if parent is not None:
        for name in MODEL:
            kept = getattr(parent, name)
            wanted = given.get(name, file.get(name, kept))
            if wanted != kept:
                rule = f"{kept}, as the model of --init-from has it"
                raise ValueError(sentence("train", option(name), rule, wanted))
            values[name] = kept
    for options in (file, given) if parent is None else ():
        several = max(
            len(options.get("model", "").split(",")),
            len(options["rnn_size"]) if isinstance(options.get("rnn_size"), tuple) else 1,
        )
        if several > 1 and "num_layers" not in options:
            values["num_layers"] = several
    stray = _no_stray_weight_decay(values, given) | _no_stray_vocab_size(values, given)
    settings = Settings(**values | one_end(given) | stray)
    check_effect(settings, given)
    if parent is not None and "initializer" in given:
        rule = "no such option beside --init-from, which has the weights"
        raise ValueError(sentence("train", "--initializer", rule, given["initializer"]))
    return settings


def check_effect(settings: Settings, given: dict[str, Any]) -> None:
    """Raises ValueError for an option of the command line that would change nothing."""
    adaptive, decaying = ("rmsprop", "adam", "adamw"), ("adamw",)
    for name, needs, right in (
        ("learning_rate_decay", "schedule", ("epochs",)),
        ("learning_rate_decay_after", "schedule", ("epochs",)),
        ("decay_rate", "optimizer", adaptive),
        ("weight_decay", "optimizer", decaying),
    ):
        chosen = getattr(settings, needs)
        if given.get(name) and chosen not in right:
            rule = f"no such option beside {option(needs)} {chosen}"
            hint = f"it belongs to {option(needs)} {' or '.join(right)}"
            raise ValueError(sentence("train", option(name), rule, given[name], hint))
    if "sample_length" in given and settings.sample_every == 0:
        rule = "no such option beside --sample-every 0, with which there are no samples"
        raise ValueError(sentence("train", "--sample-length", rule, given["sample_length"]))


def option(name: str) -> str:
    """How the command line calls a setting.

    >>> option("rnn_size")
    '--rnn-size'
    """
    return "--" + name.replace("_", "-")


def resolve_names(given: dict[str, Any], charrnn: bool = False) -> dict[str, Any]:
    """The cells by the names that they have here.

    char-rnn calls the Elman network rnn, and its gru resets before the product.
    """
    names = {"rnn": "elman"} | ({"gru": "gru_reset_before"} if charrnn else {})
    if "model" in given:
        cells = given["model"].split(",")
        return given | {"model": ",".join(names.get(cell, cell) for cell in cells)}
    return given


def one_end(given: dict[str, Any]) -> dict[str, Any]:
    """--max-epochs alone means no --max-steps, and the other way round."""
    if ("max_steps" in given) == ("max_epochs" in given):
        return given
    other = "max_epochs" if "max_steps" in given else "max_steps"
    return given | {other: None}


def _no_stray_weight_decay(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The weight decay of a preset or a file belongs to adamw; another optimizer has none."""
    optimizer = given.get("optimizer", values.get("optimizer", "adamw"))
    return {} if optimizer == "adamw" or "weight_decay" in given else {"weight_decay": 0.0}


def _no_stray_vocab_size(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The size of a file's vocabulary belongs to words; other tokens have none."""
    tokens = given.get("tokens", values.get("tokens", "characters"))
    return {} if tokens == "words" or "vocab_size" in given else {"vocab_size": None}
