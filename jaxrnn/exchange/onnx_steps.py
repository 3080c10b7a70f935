"""A character model as a graph of ONNX: one step, and in its metadata what ids mean.

    tokens int64 [B], carry.0.h [B, H], …  ->  logits [B, V], next.0.h [B, H], …

The graph is made of `charlm.step` itself, traced, so that every cell can be exported, one of your
own too.
"""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.charlm import model as charlm_model
from jaxrnn.charlm.tokenizers import Tokenizer
from jaxrnn.errors import sentence
from jaxrnn.exchange.jaxpr_to_onnx import OnnxWriter
from jaxrnn.exchange.onnx_package import make_model, require_onnx
from jaxrnn.exchange.safetensors_files import KEY, named

FORMAT = 1
TOKENS, LOGITS = "tokens", "logits"


def charlm_to_onnx(
    config: charlm_model.Config,
    params: charlm_model.Params,
    vocab: Tokenizer,
    *,
    carry: Any = None,
) -> Any:
    """A character model's step as a graph of ONNX, which onnxruntime runs.

    Args:
        config: the model; any cell.
        params: its parameters, in float32 or float64.
        vocab: its tokens: of characters, bytes or words.
        carry: where a text begins, of a single stream, as `zero_carry(config, params, ())`, which
            it is where it is None.

    Returns:
        A ModelProto (`onnx.save` writes it). Inputs are `tokens` int64 [B] and the carry's fields
        by layer, `carry.0.h` [B, H]; outputs `logits` [B, V] and the new carry, `next.0.h`, in the
        same order. An id outside 0 … V−1 gives NaN, as everywhere. Under `jaxrnn` the metadata has
        JSON: `vocabulary`, as a run has it, with its `kind`; `carry`, the numbers of each field
        where a text begins; and `model`, what it is.

    Raises:
        TypeError, ValueError: parameters that are not the model's, or bfloat16; a cell with a
            primitive of JAX that has no translation (it is named).
        ImportError: the package onnx is missing.

    Example:
        >>> import jax
        >>> from jaxrnn import charlm, exchange
        >>> vocab = charlm.Vocab.from_text("hello world")
        >>> config = charlm.Config(vocab_size=len(vocab), cell="gru", hidden_size=8, num_layers=2)
        >>> step = exchange.charlm_to_onnx(config, charlm.init(config, jax.random.key(0)), vocab)
        >>> [value.name for value in step.graph.input], [value.name for value in step.graph.output]
        (['tokens', 'carry.0.h', 'carry.1.h'], ['logits', 'next.0.h', 'next.1.h'])
    """
    require_onnx()
    if not hasattr(vocab, "to_json"):
        expected, got = "a tokenizer, such as a jaxrnn.charlm.Vocab", type(vocab).__name__
        raise TypeError(sentence("charlm_to_onnx", "vocab", expected, got))
    if len(vocab) != config.vocab_size:
        expected = f"{config.vocab_size} tokens, as config has it"
        raise ValueError(sentence("charlm_to_onnx", "vocab", expected, len(vocab)))
    dtype = params.w_hy.dtype
    if str(dtype) not in ("float32", "float64"):
        expected = "float32 or float64, which runtimes have"
        raise ValueError(sentence("charlm_to_onnx", "params", expected, str(dtype)))
    if carry is None:
        carry = charlm_model.zero_carry(config, params, ())
    (batch,) = jax.export.symbolic_shape("B")

    def step(
        params: charlm_model.Params, carry: Any, tokens: Any
    ) -> tuple[tuple[Any, ...], jax.Array]:
        return charlm_model.step(config, params, carry, tokens)

    wide = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch, *leaf.shape), dtype), carry)
    traced = jax.make_jaxpr(step)(params, wide, jax.ShapeDtypeStruct((batch,), jnp.int32))
    fields = [name for name, _ in named(carry)]
    writer = OnnxWriter("charlm_to_onnx", batch, TOKENS)
    weights = {f"params.{name}": np.asarray(leaf) for name, leaf in named(jax.device_get(params))}
    writer.arrays |= weights
    (ids,) = writer.add("Cast", TOKENS, to=require_onnx().TensorProto.INT32)
    results = writer.trace(traced, [*weights, *(f"carry.{name}" for name in fields), ids])
    outputs = [f"next.{name}" for name in fields] + [LOGITS]
    nodes = writer.named(results, outputs)
    widths = [leaf.shape[0] for _, leaf in named(carry)]
    graph_inputs = [(TOKENS, np.dtype(np.int64), ["B"])]
    graph_inputs += [(f"carry.{n}", dtype, ["B", w]) for n, w in zip(fields, widths, strict=True)]
    graph_outputs = [(LOGITS, dtype, ["B", config.vocab_size])]
    graph_outputs += [(f"next.{n}", dtype, ["B", w]) for n, w in zip(fields, widths, strict=True)]
    made = make_model(
        "charlm_to_onnx", "charlm_step", nodes, graph_inputs, graph_outputs, writer.arrays
    )
    about = {
        "format": FORMAT,
        "model": _described(config, params),
        "vocabulary": vocab.to_json(),
        "carry": {f"carry.{n}": np.asarray(leaf).tolist() for n, leaf in named(carry)},
    }
    entry = made.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(about, allow_nan=False)
    return made


def _described(config: charlm_model.Config, params: charlm_model.Params) -> dict[str, Any]:
    """What the model is, for people and for who wants to make it anew."""
    sizes = [cell.sizes_of(p) for cell, p in zip(config.cells, params.layers, strict=True)]
    return {
        "layers": [{"cell": cell.name, **of} for cell, of in zip(config.cells, sizes, strict=True)],
        "vocab_size": config.vocab_size,
        "embed_size": config.embed_size,
        "dtype": str(params.w_hy.dtype),
    }
