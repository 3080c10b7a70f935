"use strict";

/* Where everything stands: boxes of cells, arrows and words, in pixels, for one line at one step.
   A layer is laid out upwards and downwards from the bottom of its recurrent weights, y = 0. */

const LABEL = 16; // Pixels above a box for its name.
const WIDTHS = [50, 46, 43, 40, 37, 34, 31, 28, 25, 22, 18, 14, 11, 8, 6, 4, 3];
const HEIGHTS = [26, 24, 22, 20, 18, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3];

/** Cells of this size; numbers where they can be read. Vectors that stand upright and the readout
    get more width than the narrowest weights. */
function cellSize(width, height) {
  // Five characters in a wide cell, −0.12, four in a narrow one, −.12.
  const narrow = width < 22, font = Math.min(13.5, width < 34 ? Math.min(10.3, width / 2.75) : width / 3.3, height - 4.5);
  return {
    width, height, font: !narrow && height >= 13 ? font : 0,
    state: narrow ? (height >= 13 ? 31 : Math.max(width, 11)) : width,
    stateFont: height >= 13 ? (narrow ? Math.min(9.5, height - 4.5) : font) : 0,
    out: narrow ? Math.max(width, 10) : width,
  };
}

class Layout {
  /**
   * data: of the page; line: of data; t: the step; has(name, time): whether it is there by now;
   * size: of SIZES; room: {width}; all: with everything that could be there at this line.
   */
  constructor(data, tensors, line, t, has, size, room) {
    Object.assign(this, { data, tensors, line, t, has, size, room });
    this.layer = data.layers[line.layer];
    this.isTop = line.layer === data.layers.length - 1;
    this.boxes = [];
    this.arrows = [];
    this.words = [];
    this.backward = line.phase === "backward";
    this.apart = room.narrow ? 3 : size.font ? 7 : 4;
    this.large = this.shape(this.layer.carries[0])[1] > 8;
    this.mentioned = new Set([...line.targets, ...line.reads].map(([name]) => name));
    this.place();
  }

  /** A tensor and what belongs to it that is there by now: value, gradient, the optimizer's means. */
  kinds(name, time) {
    const tensor = this.tensors.get(name), kinds = [name];
    if (this.line.phase === "forward") return kinds;
    for (const other of tensor.memories) {
      const gradient = other === `d_${name}`;
      if (!this.has(other, time)) continue;
      // Of large layers only the line's own gradients stand under their values.
      const wanted = this.mentioned.has(other) || (gradient && !this.large && (this.backward || !tensor.timed))
        || (!gradient && this.line.targets.some(([target]) => target === name));
      if (wanted) kinds.push(other);
    }
    return kinds;
  }

  rowHeight(kinds) {
    return kinds * (this.size.height + 1) + (kinds > 1 ? 2 : 0) + (this.size.font ? 1 : 0);
  }

  /** The left edge of a column of the layer's weights; gates stand a little apart. */
  column(k) {
    const apart = this.perBlock > 0 ? Math.floor(k / this.perBlock) : 0;
    return k * (this.size.width + 1) + apart * this.apart;
  }

  box(name, time, x, y, rows, columns, rowHeight, more = {}) {
    const kinds = this.kinds(name, time), upright = columns === 1 && !more.plain;
    const width = more.cell ?? (upright ? this.size.state : this.size.width);
    const lefts = Array.from({ length: columns }, (_, k) => (more.first === undefined
      ? k * (width + 1) : this.column(more.first + k) - this.column(more.first)));
    const box = { name, time, x, y: y - rows * rowHeight, rows, columns, rowHeight, kinds, lefts, cell: width,
      width: lefts[columns - 1] + width, height: rows * rowHeight - 1, label: "above", font: upright ? this.size.stateFont : this.size.font, ...more };
    this.boxes.push(box);
    return box;
  }

  shape(name) {
    const { shape } = this.tensors.get(name);
    return shape.length === 2 ? shape : [1, shape[0] ?? 1];
  }

  place() {
    const { data, layer, t, size, room } = this;
    const [inputs, columns] = this.shape(layer.weights), cell = size.width;
    this.perBlock = columns / this.tensors.get(layer.weights).blocks[1];
    const h = layer.carries[0], times = [t - 1, t], upright = size.state;
    const beside = this.large ? layer.carries.length : 1, stateWide = beside * upright + (beside - 1) * 3;
    const rowLabels = this.tensors.get(layer.input).labels[0], named = Boolean(rowLabels) && size.height >= 10 && layer.input === "x";

    // Across: the state before, the input, the weights, the state, the readout; the other steps beside.
    const used = Math.max(this.column(columns - 1) + cell, layer.matrices.reduce((sum, name) => sum + this.shape(name)[1], 0) * (cell + 1)
      + this.apart * (layer.matrices.length + Math.ceil(columns / this.perBlock) - 1));
    const gap = room.narrow ? 11 : size.font ? 18 : 14;
    const letters = named ? Math.min(64, 8 + 6.6 * Math.max(...rowLabels.map((text) => text.length))) : 0;
    const outColumns = this.isTop ? this.shape("w_hy")[1] : 0;
    const out = this.isTop ? Math.max(outColumns * (size.out + 1) + 30, 66) + gap + 8 : 0;
    // On a phone the input stands below the state before, and the readout out of sight until it is needed.
    const { narrow } = room, between = narrow ? letters : letters + upright + gap;
    this.step = stateWide + gap + between + used + gap + 10 + stateWide + (this.isTop ? gap : 0) + out;
    this.core = this.step - out;
    this.least = stateWide + gap + between + used + 12;
    const { shown, wide, apart } = this.others();
    const before = shown.filter((other) => other < t - 1), after = shown.filter((other) => other > t);
    const left = this.margin + (narrow ? letters : 0) + before.length * (wide + apart), input = narrow ? left : left + stateWide + gap + letters;
    const block = (narrow ? left + stateWide : input + upright) + gap;
    const state = block + used + gap + 10, readout = state + stateWide + gap;
    this.width = left + this.step + after.length * (wide + apart) + this.margin;

    // Up from the recurrent weights: rows of what is computed on the way; the state; the readout.
    const kindsAt = (name, when) => when.map((time) => this.kinds(name, time).length);
    const levelKinds = Math.max(...layer.matrices.map((name) => this.kinds(name).length), ...(this.large ? layer.carries : [h]).flatMap((name) => kindsAt(name, times)),
      ...(this.isTop ? [this.kinds("w_hy").length] : []), 1);
    const level = this.rowHeight(levelKinds);
    const stateRows = this.shape(h)[1];
    const levelRows = Math.max(stateRows, ...layer.matrices.map((name) => this.shape(name)[0]), 0);
    const floor = 0;
    let at = block;
    const matrices = layer.matrices.map((name, k) => {
      const [rows, wideAs] = this.shape(name);
      const first = k === 0 || this.perBlock === 0 ? 0 : Math.round(this.firstOf);
      this.firstOf = first + wideAs;
      const box = this.box(name, undefined, at, floor, rows, wideAs, level, k === 0 ? { first: 0 } : {});
      at = box.x + box.width + this.apart + 1;
      return box;
    });
    const top = -levelRows * level - LABEL;
    let rowsTop = layer.matrices.length ? top : 0;
    for (const row of this.bands(columns)) {
      const height = this.rowHeight(Math.max(...row.map(([name]) => this.kinds(name, t).length)));
      for (const [name, first] of row)
        this.box(name, this.tensors.get(name).timed ? t : undefined, block + this.column(first), rowsTop, 1, this.shape(name)[1], height, { first });
      rowsTop -= height + LABEL;
    }
    let stateTop = floor;
    const states = layer.carries.map((name, k) => {
      const rows = this.shape(name)[1], shift = this.large ? k * (upright + 3) : 0;
      if (this.large) stateTop = floor;
      const height = name === h || this.large ? level : this.rowHeight(Math.max(...kindsAt(name, times)));
      const pair = [this.box(name, t - 1, left + shift, stateTop, rows, 1, height), this.box(name, t, state + shift, stateTop, rows, 1, height)];
      const base = stateTop;
      stateTop -= (name === h ? levelRows : rows) * height + LABEL;
      return { name, rows, height, base, pair, shift };
    });
    for (const name of data.scalars.filter((one) => this.line.phase === "update" && this.has(one))) {
      this.box(name, undefined, block, rowsTop, 1, 1, this.rowHeight(1), { cell: 62, plain: true });
      rowsTop -= this.rowHeight(1) + LABEL;
    }

    // The readout, over its weights.
    let outTop = top, chance = top;
    const readouts = {};
    if (this.isTop) {
      readouts.w_hy = this.box("w_hy", undefined, readout, floor, ...this.shape("w_hy"), level, { cell: size.out });
      outTop = Math.min(top, -this.shape("w_hy")[0] * level - LABEL);
      for (const name of ["b_y", "y", "p"]) {
        const time = name === "b_y" ? undefined : t, height = this.rowHeight(this.kinds(name, time).length);
        const lettered = name === "p";
        readouts[name] = this.box(name, time, readout, outTop, 1, outColumns, height, { letters: lettered, label: "right", cell: size.out });
        if (name === "p") chance = outTop;
        outTop -= height + 5 + (lettered ? 13 : 0);
      }
      this.expected = outTop - 8;
      outTop -= 20;
      this.box("loss", undefined, readout, outTop, 1, 1, this.rowHeight(1), { cell: Math.max(cell, 50), plain: true, label: "right" });
      outTop -= this.rowHeight(1) + 4;
    }

    // Down: what the input brings, its weights, the embedding, the token.
    let low = 7;
    const down = (name, time) => {
      const height = this.rowHeight(this.kinds(name, time).length);
      low += height;
      const box = this.box(name, time, block, low, 1, this.shape(name)[1], height, { first: 0, label: "left" });
      low += 7;
      return box;
    };
    const a = down(layer.a, t);
    if (layer.bias) down(layer.bias);
    const inputKinds = Math.max(this.kinds(layer.weights).length, this.kinds(layer.input, t).length);
    const inputHeight = this.rowHeight(inputKinds);
    low += LABEL - 5 + inputs * inputHeight;
    const weights = this.box(layer.weights, undefined, block, low, inputs, columns, inputHeight, { first: 0 });
    const given = this.box(layer.input, t, input, low, inputs, 1, inputHeight, { letters: named ? "left" : false });
    if (layer.embedding) {
      const [rows, wideAs] = this.shape("embedding"), height = this.rowHeight(this.kinds("embedding").length);
      low += LABEL + rows * height;
      this.box("embedding", undefined, block, low, rows, wideAs, height, { letters: size.font ? "left" : false });
    }
    const token = low + 22;
    low = token + 10;

    this.connect({ stateEnd: left + stateWide, left, input, block, used, state, readout, matrices, states, weights, given, a, readouts, token, top, rowsTop, level, h, outTop });
    this.beside({ before, after, wide, apart, left, states, token, chance, h, end: left + this.step, level });
    this.above = -Math.min(rowsTop, stateTop, outTop, top, this.highest ?? 0) + 6;
    this.below = low;
    this.height = this.above + this.below;
    this.byKey = new Map();
    for (const box of this.boxes) for (const name of box.kinds) {
      const key = `${name}@${this.tensors.get(name).timed ? box.time : ""}`;
      if (!this.byKey.has(key)) this.byKey.set(key, box);
    }
  }

  /** What is computed on the way, row by row from the bottom: [name, first column]. */
  bands(columns) {
    const bands = [];
    // Going back, what no line reads any more takes no room; in the update only parameters do.
    const { phase } = this.line, { used } = this.data;
    const wanted = this.layer.rows.filter(([name]) => {
      if (phase === "update") return !this.tensors.get(name).timed;
      if (phase === "forward") return this.data.forwardNames.has(name);
      return (used.has(name) || used.has(`d_${name}`)) && this.has(name, this.t);
    });
    for (const [name, first, rank] of [...wanted].sort((a, b) => a[2] - b[2])) {
      const wide = this.shape(name)[1], from = Math.max(0, Math.min(first, columns - wide));
      const free = (row) => row.every(([, start, , end]) => start >= from + wide || end <= from);
      const level = bands.findIndex((row, k) => (row.rank >= rank || (row.rank === rank - 1 && k === bands.length - 1)) && free(row));
      if (level >= 0) bands[level].push([name, from, rank, from + wide]);
      else bands.push(Object.assign([[name, from, rank, from + wide]], { rank }));
    }
    return bands;
  }

  /** Which other steps are drawn beside, how wide, and how far apart. */
  others() {
    const { t, data, room, size } = this, all = [];
    for (let other = 0; other < data.length; other++) if (other !== t && other !== t - 1) all.push(other);
    // Letters below the columns must not touch.
    const pitch = 15 + 8.5 * Math.max(...data.inputs.map((text) => text.length));
    this.margin = Math.max(6, (pitch - 6) / 2);
    const free = room.width - this.step - 2 * this.margin, count = data.length - 1;
    for (const [wide, least] of [[size.state, 34], [30, 26], [16, 16], [9, 11], [6, 6]]) {
      if (wide > size.state) continue;
      const apart = Math.max(least, pitch - wide);
      if (count * (wide + apart) <= free || wide === 6) {
        const most = Math.max(0, Math.floor(free / (wide + apart)));
        const near = [...all].sort((a, b) => Math.abs(a - t) - Math.abs(b - t)).slice(0, most);
        return { shown: all.filter((other) => near.includes(other)), wide, apart };
      }
    }
    return { shown: [], wide: 6, apart: 6 };
  }

  /** Arrows of the step at hand; `from` and `to` are the tensors between which something flows. */
  connect(p) {
    const { layer, backward, size } = this, cell = size.state, [first] = p.states;
    const middle = first.base - (first.rows * first.height) / 2;
    const inner = layer.rows.map(([name]) => name);
    const arrow = (points, from, to) => this.arrows.push({ points, from, to, back: backward });
    const h = layer.carries[0];
    const weightsEnd = p.matrices.length ? p.matrices[p.matrices.length - 1] : null;
    const blockRight = p.block + p.used;
    // x to its weights, up to a, along the weights' right side to where it is added.
    const inputMiddle = p.given.y + p.given.height / 2;
    arrow([[p.given.x + cell + 3, inputMiddle], [p.weights.x - 4, inputMiddle]], [layer.input], [layer.a]);
    arrow([[p.given.x + cell / 2, p.token - 16], [p.given.x + cell / 2, p.given.y + p.given.height + 3]], ["embedding"], ["x"]);
    const lane = blockRight + 9, aMiddle = p.a.y + p.a.height / 2;
    if (inner.length) {
      const rowBottom = p.top + LABEL - 3;
      arrow([[p.a.x + p.a.width + 3, aMiddle], [lane, aMiddle], [lane, rowBottom - LABEL - this.rowHeight(1) / 2], [blockRight + 2, rowBottom - LABEL - this.rowHeight(1) / 2]], [layer.a], inner);
    } else arrow([[p.a.x + p.a.width + 3, aMiddle], [lane, aMiddle], [lane, middle], [p.state - 4, middle]], [layer.a], [h]);
    // The state before, through its weights.
    if (weightsEnd) arrow([[p.stateEnd + 3, middle], [p.matrices[0].x - 4, middle]], [h], [...inner, h]);
    else arrow([[p.stateEnd + 3, middle], [p.state - 4, middle]], [h], [h]);
    if (inner.length && weightsEnd) {
      const x = p.matrices[0].x + p.matrices[0].width / 2;
      arrow([[x, p.matrices[0].y - 2], [x, p.matrices[0].y - LABEL + 1]], [h], inner);
      const memory = this.large ? undefined : p.states[1], from = blockRight + 4, highest = p.rowsTop + LABEL + this.rowHeight(1) / 2;
      if (memory) {
        const y = memory.base - (memory.rows * memory.height) / 2;
        arrow([[from, y], [p.state - 4, y]], inner, layer.carries);
      } else arrow([[from, highest], [p.state + cell * 0.3, highest], [p.state + cell * 0.3, first.pair[1].y - LABEL]], inner, [h]);
    } else if (weightsEnd) arrow([[weightsEnd.x + weightsEnd.width + 3, middle], [p.state - 4, middle]], [h], [h]);
    for (const { base, rows, height, name } of this.large ? [] : p.states.slice(1)) {
      const y = base - (rows * height) / 2;
      arrow([[p.left + cell + 3, y], [p.block - 6, y]], [name], [name]);
    }
    if (!this.isTop) {
      const { x, y } = p.states[p.states.length - 1].pair[1];
      arrow([[x + cell * 0.85, y - LABEL - 4], [x + cell * 0.85, y - LABEL - 26]], [h], [`a_L${this.line.layer + 2}`]);
      this.words.push({ text: `to layer ${this.line.layer + 2}`, x: x + cell * 0.85 + 9, y: y - LABEL - 18, above: true });
      this.highest = y - LABEL - 46;
      return;
    }
    const out = p.readouts;
    arrow([[p.state + p.stateEnd - p.left + 3, middle], [out.w_hy.x - 4, middle]], [h], ["y"]);
    const up = out.w_hy.x + out.w_hy.width / 2;
    arrow([[up, out.w_hy.y - 2], [up, out.w_hy.y - LABEL + 1]], [h], ["y"]);
  }

  /** The other steps, small: their states, arrows, letters and chances. */
  beside({ before, after, wide, apart, left, states, token, chance, h, end, level }) {
    const { data, size, isTop, t } = this, cell = size.state;
    const column = (time, x, width, kind) => {
      if (time >= 0 && kind !== "step") {
        this.words.push({ text: data.inputs[time], x: x + width / 2, y: token, token: time });
        const low = token - 15, base = states[0].base;
        this.arrows.push({ points: [[x + width / 2, low], [x + width / 2, base + 5]], time, thin: true, mini: width >= 26 ? this.layer.weights : "" });
        if (isTop) {
          const highest = states[states.length - 1], top = highest.base - highest.rows * highest.height - LABEL;
          const high = Math.min(chance, top - 26);
          this.chances(time, x, width, high);
          this.arrows.push({ points: [[x + width / 2, top], [x + width / 2, high + 5]], time, thin: true, mini: width >= 26 && top - high > 40 ? "w_hy" : "" });
        }
      }
      if (kind !== "small") return;
      const share = this.large ? (width - states.length + 1) / states.length : width;
      states.forEach(({ name, rows, height, base }, k) =>
        this.box(name, time, x + (this.large ? k * (share + 1) : 0), base, rows, 1, height, { cell: share, small: true, label: false }));
    };
    before.forEach((time, k) => {
      const x = this.margin + k * (wide + apart);
      column(time, x, wide, "small");
      const next = k + 1 < before.length ? x + wide + apart : left;
      this.between(time, x + wide, next, states, apart, before[k + 1] ?? t - 1);
    });
    if (!this.room.narrow) column(t - 1, left, cell, "before");
    this.words.push({ text: data.inputs[t], x: this.boxes.find((box) => box.name === this.layer.input && box.time === t).x + cell / 2, y: token, token: t, here: true });
    const last = states[states.length - 1].pair[1], stateRight = Math.max(states[0].pair[1].x, last.x) + cell;
    after.forEach((time, k) => {
      const x = end + apart + k * (wide + apart);
      column(time, x, wide, "small");
      const from = k === 0 ? (isTop ? end : stateRight) : x - apart;
      this.between(time - 1, from, x, states, apart, time, k === 0 && isTop ? states[0].pair[1].x + cell / 2 : null);
    });
    if (isTop) {
      const p = this.boxes.find((box) => box.name === "p");
      this.words.push({ text: data.targets[t] && `expected ${data.targets[t]}`, x: p.x, y: this.expected, above: true, here: true });
    }
  }

  /** Arrows of the state from step to step; from the step at hand one goes round its readout. */
  between(time, from, to, states, apart, into, around = null) {
    for (const { base, rows, height, name } of this.large ? states.slice(0, 1) : states) {
      const y = base - (rows * height) / 2, first = name === states[0].name;
      const turn = to - apart / 2;
      const points = first && around !== null ? [[around, 4], [around, 15], [turn, 15], [turn, y], [to - 3, y]] : [[from + 3, y], [to - 3, y]];
      const mini = first && around === null && apart >= 26 ? this.layer.matrices[0] ?? "" : "";
      this.arrows.push({ points, time, into, state: name, thin: true, mini });
    }
  }

  /** The chance that the right character got, as one cell, and the character over it. */
  chances(time, x, width, y) {
    if (!this.data.targets[time]) return;
    this.highest = Math.min(this.highest ?? 0, y - this.rowHeight(1) - 18);
    this.words.push({ text: this.data.targets[time], x: x + width / 2, y: y - this.rowHeight(1) - 10, target: time, most: width + 2 * this.margin });
    this.boxes.push({ name: "p", time, x, y: y - this.rowHeight(1), rows: 1, columns: 1, rowHeight: this.rowHeight(1), kinds: ["p"], lefts: [0], cell: width,
      width, height: this.rowHeight(1) - 1, small: true, label: false, font: this.size.stateFont, entry: this.data.targetRows[time] });
  }

  /** The box of a tensor at a time, if it is drawn. */
  find(name, time) {
    return this.byKey.get(`${name}@${this.tensors.get(name).timed ? time : ""}`);
  }

  /** The edges of an entry's cell, in the picture; y = 0 is the picture's upper edge. */
  cellOf(box, name, entry) {
    const at = box.entry !== undefined ? 0 : entry, row = Math.floor(at / box.columns), column = at % box.columns;
    const kind = box.kinds.indexOf(name), { height } = this.size;
    return { x: box.x + box.lefts[column], y: box.y + this.above + row * box.rowHeight + kind * (height + 1), width: box.cell, height };
  }

  /** What is under a point of the picture: {box, name, entry}. */
  under(x, y) {
    y -= this.above;
    for (const box of this.boxes) {
      if (x < box.x - 1 || x > box.x + box.width + 1 || y < box.y || y >= box.y + box.rows * box.rowHeight) continue;
      const row = Math.floor((y - box.y) / box.rowHeight);
      let column = box.lefts.findIndex((left) => box.x + left + box.cell + 1 > x);
      if (column < 0) column = box.columns - 1;
      const kind = Math.floor((y - box.y - row * box.rowHeight) / (this.size.height + 1));
      const name = box.kinds[Math.min(kind, box.kinds.length - 1)];
      return { box, name, time: box.time, entry: box.entry ?? row * box.columns + column };
    }
    return null;
  }
}

/** For each phase and layer the largest size at which every line's picture fits into the room. */
function fittingSizes(data, tensors, room, has) {
  const trial = (size, lines, part) => {
    const most = { size, width: 0, above: 0, below: 0 };
    for (const line of lines) {
      const t = Math.min(1, data.length - 1);
      const layout = new Layout(data, tensors, line, t, (name, time) => has(name, line.phase, time), size, { width: 0, narrow: room.narrow });
      most.width = Math.max(most.width, room.narrow ? layout[part] : layout.step);
      most.above = Math.max(most.above, layout.above);
      most.below = Math.max(most.below, layout.below);
    }
    return most;
  };
  const others = room.narrow ? 0 : data.length - 1, sizes = {};
  data.layers.forEach((_, layer) => {
    // Lines of very many tensors are looked at from farther away.
    const all = data.lines.filter((line) => line.layer === layer && line.reads.length <= 4);
    const widest = (aside, part = "least") => WIDTHS.find((one) => trial(cellSize(one, 20), all, part).width <= room.width - aside) ?? WIDTHS[WIDTHS.length - 1];
    // The other steps get room for numbers where that leaves this one room for them, else less.
    let width = widest(Math.min(0.4 * room.width, 62 * others), "core");
    if (width < 36) width = widest(Math.min(0.25 * room.width, 26 * others));
    if (width < 26) width = widest(Math.min(0.12 * room.width, 14 * others));
    // Numbers that can be read come first: where not all fits, what the line needs is brought into sight.
    const heights = HEIGHTS.filter((one) => one >= (width < 22 ? 8 : room.narrow ? 14 : 13));
    for (const phase of new Set(all.map((line) => line.phase))) {
      const lines = all.filter((line) => line.phase === phase);
      const fits = ({ above, below }) => above + below <= room.height;
      const height = heights.find((one) => fits(trial(cellSize(width, one), lines, "least"))) ?? heights[heights.length - 1];
      sizes[`${phase} ${layer}`] = trial(cellSize(width, Math.min(height, Math.max(10, width * 0.62))), lines, "least");
    }
  });
  return sizes;
}
