"use strict";

/* A tensor as a picture: one canvas, of which only the cells that differ are painted anew. */

const SHADES = 128;
let shades = {}; // Fills by sign, weakest first; what is not there yet, frames and digits.

/** Takes the colours of the page's scheme. */
function readShades() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const ramp = (name) => Array.from({ length: SHADES + 1 }, (_, i) =>
    `rgb(${colour(name)} / ${((0.72 * i) / SHADES).toFixed(4)})`);
  shades = {
    positive: ramp("positive"), negative: ramp("negative"), ink: colour("ink"), changed: colour("changed"),
    mono: colour("mono"), zero: "rgb(128 128 128 / .12)", absent: "rgb(128 128 128 / .06)",
  };
}
readShades();

class TensorPicture {
  /** How many cells all pictures have painted so far. */
  static painted = 0;

  constructor([rows, columns], most, columnsWithNumbers) {
    const few = columns <= columnsWithNumbers;
    this.width = few ? 36 : Math.max(5, Math.min(18, Math.floor(180 / columns) - 1));
    this.height = rows <= 6 ? 20 : rows <= 16 ? 15 : Math.max(4, Math.floor(240 / rows));
    this.gap = this.height >= 11 && this.width >= 11 ? 2 : 1; // Frames stand in it, beside the colours.
    Object.assign(this, { rows, columns, most, numbers: few });
    this.canvas = element("canvas", { role: "img" });
    this.size = [this.gap + columns * (this.width + this.gap), this.gap + rows * (this.height + this.gap)];
    this.canvas.style.width = `${this.size[0]}px`;
    this.canvas.style.height = `${this.size[1]}px`;
    const cells = rows * columns;
    // What is drawn, and what is to be: a value (NaN: not there yet) and whether it has just changed.
    this.drawn = { values: new Float32Array(cells).fill(NaN), marks: new Uint8Array(cells) };
    this.wanted = { values: new Float32Array(cells), marks: new Uint8Array(cells) };
    this.restart();
  }

  /** Paints everything, e.g. in another colour scheme. */
  restart() {
    const scale = Math.min(2, devicePixelRatio);
    [this.canvas.width, this.canvas.height] = this.size.map((length) => Math.ceil(length * scale));
    this.context = this.canvas.getContext("2d");
    this.context.scale(scale, scale);
    this.context.textAlign = "center";
    this.context.textBaseline = "middle";
    for (let cell = 0; cell < this.drawn.values.length; cell++) this.paint(cell);
    this.frameMarked();
  }

  /** Nothing is there and nothing is marked, until `wanted` is filled and shown. */
  blank() {
    this.wanted.values.fill(NaN);
    this.wanted.marks.fill(0);
    return this.wanted;
  }

  /** Shows what is wanted. */
  show() {
    const { drawn, wanted } = this, stale = [];
    const same = (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b));
    for (let cell = 0; cell < wanted.values.length; cell++)
      if (!same(wanted.values[cell], drawn.values[cell]) || wanted.marks[cell] !== drawn.marks[cell])
        stale.push(cell);
    [this.drawn, this.wanted] = [wanted, drawn];
    for (const cell of stale) this.paint(cell);
    if (stale.length) this.frameMarked();
  }

  corner(cell) {
    const row = Math.floor(cell / this.columns), column = cell % this.columns;
    return [this.gap + column * (this.width + this.gap), this.gap + row * (this.height + this.gap)];
  }

  paint(cell) {
    const { context, gap, width, height } = this, [x, y] = this.corner(cell), value = this.drawn.values[cell];
    TensorPicture.painted += 1;
    context.clearRect(x - gap, y - gap, width + 2 * gap, height + 2 * gap);
    context.fillStyle = Number.isNaN(value) ? shades.absent : shades.zero;
    context.fillRect(x, y, width, height);
    if (Number.isNaN(value)) return;
    const shade = Math.min(SHADES, Math.ceil((SHADES * Math.abs(value)) / this.most));
    context.fillStyle = shades[value < 0 ? "negative" : "positive"][shade];
    context.fillRect(x, y, width, height);
    if (!this.numbers) return;
    context.fillStyle = shades.ink;
    context.font = `${this.drawn.marks[cell] ? "700 " : ""}10.5px ${shades.mono}`;
    context.fillText(short(value), x + width / 2, y + height / 2 + 0.5, width);
  }

  /** A frame around the cells that have just changed, in the gaps, so that it hides no colour. */
  frameMarked() {
    const { context, gap, width, height, rows, columns } = this, { marks } = this.drawn;
    context.fillStyle = shades.changed;
    marks.forEach((mark, cell) => {
      if (!mark) return;
      const [x, y] = this.corner(cell), row = Math.floor(cell / columns), column = cell % columns;
      const tall = height + 2 * gap, wide = width + 2 * gap;
      if (column === 0 || !marks[cell - 1]) context.fillRect(x - gap, y - gap, gap, tall);
      if (column === columns - 1 || !marks[cell + 1]) context.fillRect(x + width, y - gap, gap, tall);
      if (row === 0 || !marks[cell - columns]) context.fillRect(x - gap, y - gap, wide, gap);
      if (row === rows - 1 || !marks[cell + columns]) context.fillRect(x - gap, y + height, wide, gap);
    });
  }

  /** The cell under a point of the window. */
  cellAt(x, y) {
    const box = this.canvas.getBoundingClientRect();
    const place = (from, size, count) =>
      Math.max(0, Math.min(count - 1, Math.floor((from - this.gap / 2) / (size + this.gap))));
    return {
      row: place(y - box.top, this.height, this.rows),
      column: place(x - box.left, this.width, this.columns),
    };
  }
}

function short(value) {
  const size = Math.abs(value);
  const text = size === 0 ? "0" : size < 0.005 ? value.toExponential(0)
    : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return text.replaceAll("-", "−");
}
