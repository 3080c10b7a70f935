"use strict";

/* ---- Recurrent cells, one step each, as in jaxrnn/cells: time first, row vectors ------------- */

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** x w for a vector and a matrix {shape: [I, O], values}. */
function product(x, w) {
  const [rows, columns] = w.shape, out = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    const factor = x[i];
    if (factor !== 0) for (let j = 0, at = i * columns; j < columns; j++, at++) out[j] += factor * w.values[at];
  }
  return out;
}

const block = (values, number, size) => values.subarray(number * size, (number + 1) * size);
const times = (a, b) => a.map((value, i) => value * b[i]);

/** By name: (weights, carry, a) -> the next carry, where a = x w_xh + b_h. */
const STEPS = {
  elman: (w, { h }, a) => ({ h: product(h, w.w_hh).map((u, i) => Math.tanh(a[i] + u)) }),
  elman_relu: (w, { h }, a) => ({ h: product(h, w.w_hh).map((u, i) => Math.max(0, a[i] + u)) }),
  indrnn: (w, { h }, a) => ({ h: h.map((value, i) => Math.max(0, a[i] + w.u.values[i] * value)) }),
  lstm: (w, { h, c }, a) => {
    const H = h.length, pre = product(h, w.w_hh).map((u, i) => a[i] + u);
    const [i, f, g, o] = [0, 1, 2, 3].map((k) => block(pre, k, H).map(k === 2 ? Math.tanh : sigmoid));
    const next = c.map((value, k) => f[k] * value + i[k] * g[k]);
    return { h: next.map((value, k) => o[k] * Math.tanh(value)), c: next };
  },
  gru: (w, { h }, a) => {
    const H = h.length, u = product(h, w.w_hh);
    const [r, z] = [0, 1].map((k) => block(u, k, H).map((value, i) => sigmoid(a[k * H + i] + value)));
    const n = h.map((_, i) => Math.tanh(a[2 * H + i] + r[i] * (u[2 * H + i] + w.b_hn.values[i])));
    return { h: h.map((value, i) => (1 - z[i]) * n[i] + z[i] * value) };
  },
  gru_reset_before: (w, { h }, a) => {
    const H = h.length, u = product(h, w.w_hh);
    const [r, z] = [0, 1].map((k) => block(u, k, H).map((value, i) => sigmoid(a[k * H + i] + value)));
    const n = product(times(r, h), w.w_hn).map((value, i) => Math.tanh(a[2 * H + i] + value));
    return { h: h.map((value, i) => (1 - z[i]) * n[i] + z[i] * value) };
  },
  mgu: (w, { h }, a) => {
    const H = h.length, f = product(h, w.w_hh).map((u, i) => sigmoid(a[i] + u));
    const n = product(times(f, h), w.w_hn).map((value, i) => Math.tanh(a[H + i] + value));
    return { h: h.map((value, i) => value + f[i] * (n[i] - value)) };
  },
};

/** A character model from `model_for_typing`: `read(id)` takes a character and returns the layers' carries. */
class CharacterModel {
  constructor(data) {
    this.layers = data.layers.map(({ cell, weights }) => ({
      step: STEPS[cell], memory: cell === "lstm",
      w: Object.fromEntries(Object.entries(weights).map(([name, array]) => [name, unpack(array)])),
    }));
    this.embedding = data.embedding && unpack(data.embedding);
    this.w_hy = unpack(data.w_hy);
    this.b_y = unpack(data.b_y);
    this.reset();
  }

  /** Back to a state of zeros. */
  reset() {
    this.carries = this.layers.map(({ w, memory }) => {
      const H = (w.w_hh ?? w.u).shape[0], zeros = () => new Float64Array(H);
      return memory ? { h: zeros(), c: zeros() } : { h: zeros() };
    });
  }

  read(id) {
    let x = this.embedding ? Float64Array.from(this.row(this.embedding, id)) : null;
    this.carries = this.layers.map(({ step, w }, layer) => {
      const from = x === null ? Float64Array.from(this.row(w.w_xh, id)) : product(x, w.w_xh);
      const carry = step(w, this.carries[layer], from.map((value, i) => value + w.b_h.values[i]));
      x = carry.h;
      return carry;
    });
    return this.carries;
  }

  row({ shape, values }, id) { return values.subarray(id * shape[1], (id + 1) * shape[1]); }

  /** Probabilities of the next character. */
  expected() {
    const h = this.carries.at(-1).h;
    const logits = product(h, this.w_hy).map((value, i) => value + this.b_y.values[i]);
    const most = Math.max(...logits), parts = logits.map((value) => Math.exp(value - most));
    const sum = parts.reduce((total, part) => total + part, 0);
    return parts.map((part) => part / sum);
  }
}
