"use strict";

/* Lines in numbers. A tree (formulas.py) is computed as {shape, values}, and one entry of it is
   told as a text with the entries of the tensors that went into it. What is not known is null. */

const ELEMENTWISE = {
  tanh: Math.tanh, exp: Math.exp, log: Math.log, sqrt: Math.sqrt,
  sigmoid: (x) => 0.5 + 0.5 * Math.tanh(0.5 * x),
  relu: (x) => Math.max(x, 0), positive: (x) => (x > 0 ? 1 : 0),
};
const OPERATORS = {
  "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b, "**": (a, b) => a ** b,
  ">": (a, b) => +(a > b), ">=": (a, b) => +(a >= b), "<": (a, b) => +(a < b), "<=": (a, b) => +(a <= b),
};
const SIGNS = { "+": " + ", "-": " − ", "*": "·", "/": " / ", ">": " > ", ">=": " ≥ ", "<": " < ", "<=": " ≤ " };
const STRENGTH = { "+": 1, "-": 1, "*": 2, "/": 2, "@": 1, "**": 3 };
const NAMES = { sigmoid: "σ", log: "ln", maximum: "max", minimum: "min" };
const MOST_TERMS = innerWidth < 640 ? 8 : 12;

const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
const single = (value) => ({ shape: [], values: [value] });

/** A number in a sum: two digits behind the point, more where it is small. */
function brief(value) {
  const size = Math.abs(value);
  const text = Number.isInteger(value) ? String(value)
    : size >= 100 ? value.toFixed(0) : size >= 0.0995 ? value.toFixed(2) : size >= 0.00995 ? value.toFixed(3)
    : size >= 0.000995 ? value.toFixed(4) : value.toExponential(0).replace("e", "·10^");
  return text.replaceAll("-", "−").replace(/\^(−?)\+?(\d+)/, (_, sign, digits) => "⁻".repeat(sign.length)
    + [...digits].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join(""));
}

/** Works out the line of one event: `tensor(name, time)` gives {shape, values, full} or undefined. */
class Formula {
  constructor(line, tensor, tokens) {
    Object.assign(this, { line, tensor, tokens });
    this.known = new Map();
  }

  compute(node) {
    if (!this.known.has(node)) this.known.set(node, this.computeAnew(node));
    return this.known.get(node);
  }

  computeAnew([kind, ...parts]) {
    if (kind === "number") return single(parts[0]);
    if (kind === "token") return single(this.tokens[parts[0]]);
    if (kind === "tensor") return this.tensor(...parts) ?? null;
    if (kind === "other") return null;
    if (kind === "call") return this.call(...parts);
    const [first, second] = parts.map((part) => (Array.isArray(part) ? this.compute(part) : part));
    if (!first) return null;
    if (kind === "T") {
      const [rows, columns] = first.shape;
      return { shape: [columns, rows], full: first.full && [first.full[1], first.full[0]],
        values: Array.from({ length: rows * columns }, (_, k) => first.values[(k % rows) * columns + Math.floor(k / rows)]) };
    }
    if (kind === "minus") return { ...first, values: Array.from(first.values, (x) => -x) };
    if (kind === "row") {
      const width = sizeOf(first.shape.slice(1)), at = this.tokens[`${second}Row`] * width;
      return { shape: first.shape.slice(1), values: Array.from(first.values).slice(at, at + width) };
    }
    if (kind === "part") return Array.isArray(first) ? first[second] : null;
    if (!second) return null;
    if (kind === "@") {
      if (first.shape.length !== 1 || first.shape[0] !== second.shape[0]) return null;
      const [rows, columns] = second.shape, values = new Array(columns).fill(0);
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) values[j] += first.values[i] * second.values[i * columns + j];
      return { shape: [columns], values };
    }
    if (OPERATORS[kind]) return this.broadcast(OPERATORS[kind], first, second);
    return null;
  }

  broadcast(operator, ...all) {
    const widest = all.reduce((a, b) => (sizeOf(b.shape) > sizeOf(a.shape) ? b : a));
    const size = sizeOf(widest.shape);
    if (all.some((one) => ![1, size].includes(sizeOf(one.shape)))) return null;
    const at = (one, k) => one.values[one.values.length === 1 ? 0 : k];
    return { shape: widest.shape, values: Array.from({ length: size }, (_, k) => operator(...all.map((one) => at(one, k)))) };
  }

  call(name, ...parts) {
    const all = parts.map((part) => this.compute(part));
    if (all.some((one) => one === null)) return null;
    const [first, second, third] = all;
    if (ELEMENTWISE[name]) return this.broadcast(ELEMENTWISE[name], first);
    if (name === "maximum" || name === "minimum") return this.broadcast(Math[name.slice(0, 3)], first, second);
    if (name === "where") return this.broadcast((truth, yes, no) => (truth ? yes : no), first, second, third);
    if (name === "clip") return this.broadcast((x, low, high) => Math.min(Math.max(x, low), high), first, second, third);
    if (name === "zeros_like") return { ...first, values: Array.from(first.values, () => 0) };
    if (name === "join") return { shape: [all.reduce((sum, one) => sum + one.shape[0], 0)], values: all.flatMap((one) => [...one.values]) };
    if (name === "outer") return { shape: [first.shape[0], second.shape[0]], values: Array.from(first.values).flatMap((a) => Array.from(second.values, (b) => a * b)) };
    if (name === "split" || name === "split_off_last") return this.widths(name, first.shape[0], second.values[0])
      .map(([from, to]) => ({ shape: [to - from], values: Array.from(first.values).slice(from, to) }));
    return null;
  }

  /** First and last column of what `split` and `split_off_last` give. */
  widths(name, size, count) {
    const one = Math.floor(size / count);
    if (name === "split") return Array.from({ length: count }, (_, k) => [k * one, (k + 1) * one]);
    return [[0, one * (count - 1)], [one * (count - 1), size]];
  }

  /** One entry of the target numbered `which`: {text, touched: [[name, time, entry], …]}. */
  tell(which, entry) {
    this.touched = [];
    let value = this.line.value;
    if (this.line.targets.length > 1) value = ["part", value, which];
    const [name, time] = this.line.targets[which];
    let text = this.entry(value, entry, this.line.sign === "-=" ? 2 : 1);
    if (this.line.sign !== "=") {
      const before = this.tensor(name, time);
      text = `${before ? brief(before.values[entry]) : "?"}${this.line.sign === "+=" ? " + " : " − "}${text}`;
    }
    return { text: text.replaceAll(" + −", " − "), touched: this.touched };
  }

  /** The text of one entry, in brackets where its operator binds less than what is around it. */
  entry(node, k, around = 0) {
    const [kind, ...parts] = node;
    if (kind === "number") return Math.abs(parts[0]) < 1e-3 && parts[0] ? brief(parts[0]) : String(Number(parts[0].toPrecision(4))).replace("-", "−");
    if (kind === "tensor") {
      const value = this.tensor(...parts);
      if (!value) return "?";
      const at = value.values.length === 1 ? 0 : k;
      if (at >= value.values.length) { // A helper's argument of another size.
        this.touchAll(...parts);
        return "…";
      }
      this.touched.push([parts[0], parts[1], at]);
      const text = brief(value.values[at]);
      return text.startsWith("−") && around > 1 ? `(${text})` : text;
    }
    if (kind === "@") return this.product(...parts, k, around);
    if (kind === "T") return this.entry(parts[0], k, around);
    if (kind === "minus") {
      const inside = this.entry(parts[0], k, 2);
      return around > 1 ? `(−${inside})` : `−${inside}`;
    }
    if (kind === "**") return `${this.entry(parts[0], k, 3)}${parts[1][1] === 2 ? "²" : `^${this.entry(parts[1], k, 3)}`}`;
    if (OPERATORS[kind]) {
      const mine = STRENGTH[kind] ?? 0;
      const left = this.entry(parts[0], k, mine), right = this.entry(parts[1], k, kind === "-" || kind === "/" ? mine + 1 : mine);
      return mine < around ? `(${left}${SIGNS[kind]}${right})` : `${left}${SIGNS[kind]}${right}`;
    }
    if (kind === "row") {
      const whole = this.compute(parts[0]), width = whole ? sizeOf(whole.shape.slice(1)) : 1;
      return this.entry(parts[0], this.tokens[`${parts[1]}Row`] * width + (width > 1 ? k : 0), around);
    }
    if (kind === "part") return this.part(parts[0], parts[1], k, around);
    if (kind === "call") return this.callEntry(parts[0], parts.slice(1), k, around);
    for (const [, name, time] of parts.slice(1)) this.touchAll(name, time);
    return typeof parts[0] === "string" ? parts[0] : "…";
  }

  touchAll(name, time) {
    const value = this.tensor(name, time);
    if (value) for (let k = 0; k < value.values.length; k++) this.touched.push([name, time, k]);
  }

  /** A sum of products, each of which is lit: `0.78·1 + 0.13·0`. */
  product(left, right, column, around) {
    const vector = this.compute(left), matrix = this.compute(right);
    if (!vector || !matrix || vector.shape[0] !== matrix.shape[0]) return "…";
    const [rows, columns] = matrix.shape, terms = [];
    const whole = right[0] === "T" ? this.compute(right[1]) : matrix, source = right[0] === "T" ? right[1] : right;
    for (let i = 0; i < rows; i++) {
      if (left[0] === "tensor") this.touched.push([left[1], left[2], i]);
      else this.entry(left, i);
      const at = right[0] === "T" ? column * whole.shape[1] + i : i * columns + column;
      if (source[0] === "tensor") this.touched.push([source[1], source[2], at]);
      terms.push([vector.values[i], matrix.values[i * columns + column]]);
    }
    const missing = (matrix.full ? matrix.full[0] : rows) - rows;
    return this.sum(terms.map(([a, b]) => {
      const second = brief(b);
      return [a * b, `${brief(a)}·${second.startsWith("−") ? `(${second})` : second}`];
    }), missing, "products", around);
  }

  /** The largest terms of a sum in their order, and how many are left out. */
  sum(terms, missing, what, around) {
    const most = terms.map(([size]) => Math.abs(size)).sort((a, b) => b - a)[MOST_TERMS - 1] ?? 0;
    let shown = terms.length > MOST_TERMS ? terms.filter(([size]) => Math.abs(size) >= most).slice(0, MOST_TERMS) : terms;
    const more = missing + terms.length - shown.length;
    shown = shown.map(([, text]) => text);
    if (more > 0) shown.push(`${more} more ${more === 1 ? what.replace(/s$/, "") : what}`);
    const text = shown.join(" + ");
    return around > 1 && shown.length > 1 ? `(${text})` : text;
  }

  part(node, which, k, around) {
    const [kind, name, ...parts] = node;
    if (kind === "call" && (name === "split" || name === "split_off_last")) {
      const whole = this.compute(parts[0]), count = this.compute(parts[1]);
      const [from] = whole ? this.widths(name, whole.shape[0], count.values[0])[which] : [0];
      return this.entry(parts[0], from + k, around);
    }
    return this.entry(node, k, around);
  }

  callEntry(name, parts, k, around) {
    if (ELEMENTWISE[name] || name === "clip") {
      const inside = parts.map((part) => this.entry(part, k));
      if (name === "exp") return `e^(${inside[0]})`;
      if (name === "clip") return `clip(${inside[0]}, ±${inside[2]})`;
      if (name === "sqrt") return `√(${inside[0]})`;
      const bare = /^[\d.]+$/.test(inside[0]) && name === "log";
      return bare ? `ln ${inside[0]}` : `${NAMES[name] ?? name}(${inside[0]})`;
    }
    if (name === "zeros_like") return "0";
    if (name === "one_hot") return this.tokens[`${parts[0][1]}Row`] === k ? "1" : "0";
    if (name === "outer") {
      const right = this.compute(parts[1]), columns = right ? right.shape[0] : 1;
      return `${this.entry(parts[0], Math.floor(k / columns), 2)}·${this.entry(parts[1], k % columns, 2)}`;
    }
    if (name === "join") {
      for (const part of parts) {
        const value = this.compute(part);
        if (!value) break;
        if (k < value.shape[0]) return this.entry(part, k, around);
        k -= value.shape[0];
      }
      return "…";
    }
    if (name === "softmax") {
      const y = this.compute(parts[0]);
      if (!y) return "…";
      for (let i = 0; i < y.shape[0]; i++) this.entry(parts[0], i);
      const terms = Array.from(y.values, (value) => [Math.exp(value), `e^${brief(value)}`]);
      const missing = (y.full ? y.full[0] : y.shape[0]) - y.shape[0];
      return `${terms[k][1]} / ${this.sum(terms, missing, "such terms", 2)}`;
    }
    if (name === "length") {
      let count = 0;
      for (const [, tensor, time] of parts) {
        const value = this.tensor(tensor, time);
        if (value) { this.touchAll(tensor, time); count += sizeOf(value.full ?? value.shape); }
      }
      return `√(the sum of the squares of ${count} numbers)`;
    }
    const inside = parts.map((part) => (this.compute(part) && name in NAMES ? this.entry(part, k) : (this.entry(part, k), "…")));
    return `${NAMES[name] ?? name}(${inside.join(", ")})`;
  }
}
