"use strict";

/* Paints a layout: arrows below, cells with numbers above them. */

const SHADES = 96;
let shades = {};

/** Takes the colours of the page's scheme. */
function readShades() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const ramp = (name) => Array.from({ length: SHADES + 1 }, (_, i) =>
    `rgb(${colour(name)} / ${((0.74 * i) / SHADES).toFixed(3)})`);
  shades = { positive: ramp("positive"), negative: ramp("negative") };
  for (const name of ["ink", "quiet", "line", "panel", "ground", "changed", "accent", "mono", "sans", "flow", "back", "lit"]) shades[name] = colour(name);
}

/** A number in a cell: as many digits as fit. */
function short(value, room) {
  const size = Math.abs(value);
  let text = Number.isInteger(value) && size < 100 ? String(value) : size >= 1000 ? value.toExponential(0) : size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1)
    : size >= 0.005 ? value.toFixed(2) : value.toExponential(0);
  if (text.length > room) text = text.replace(/^(-?)0\./, "$1.");
  if (text.length > room && size >= 0.005) text = value.toFixed(1).replace(/^(-?)0\./, "$1.");
  if (text.length > room && size < 0.005) text = value.toFixed(2).replace(/^(-?)0\./, "$1.");
  return text.replaceAll("-", "−");
}

class Drawing {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    readShades();
  }

  /**
   * side: its state and scale; show: {event's line, reads, writes: Set of name@time; changed: name@time ->
   * 1 for each entry that is no longer what it was; chosen: {name, time, entry}; touched: [name,
   * time, entry] of what went into it}.
   */
  paint(layout, side, show) {
    const { canvas, context } = this, ratio = Math.min(2, devicePixelRatio * (show.zoom || 1));
    const width = Math.ceil(layout.width), height = Math.ceil(layout.height);
    const pixels = [Math.ceil(width * ratio), Math.ceil(height * ratio)];
    if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.translate(0, layout.above);
    Object.assign(this, { layout, side, show });
    context.lineJoin = "round";
    for (const arrow of layout.arrows) this.arrow(arrow);
    for (const word of layout.words) this.word(word);
    for (const box of layout.boxes) this.box(box);
    this.frames();
  }

  value(name, time) {
    return this.side.state.get(name)?.get(this.layout.tensors.get(name).timed ? time : UNSEEN);
  }

  /** Which way an arrow points, and how strongly it is drawn. */
  arrow(arrow) {
    const { context, layout, show } = this;
    let { points } = arrow, back = Boolean(arrow.back), lively = false;
    if (arrow.thin) {
      const name = arrow.state ?? layout.layer.carries[0];
      back = layout.line.phase !== "forward" && Boolean(this.value(`d_${name}`, arrow.time));
    } else {
      const named = (names, among) => names.some((name) => among.has(name) || among.has(`d_${name}`));
      lively = back ? named(arrow.to, show.readNames) && named(arrow.from, show.writtenNames)
        : named(arrow.from, show.readNames) && named(arrow.to, show.writtenNames);
    }
    if (back) points = [...points].reverse();
    const [x, y] = points[points.length - 1], [fromX, fromY] = points[points.length - 2];
    const angle = Math.atan2(y - fromY, x - fromX), head = arrow.thin ? 6 : 8;
    context.strokeStyle = context.fillStyle = back ? shades.back : lively ? shades.accent : shades.flow;
    if (back && !lively && !arrow.thin) context.globalAlpha = 0.55;
    context.lineWidth = lively ? 3.5 : arrow.thin ? 1.5 : 2;
    context.beginPath();
    points.forEach(([px, py], k) => {
      const last = k === points.length - 1;
      const end = last ? [px - Math.cos(angle) * head * 0.8, py - Math.sin(angle) * head * 0.8] : [px, py];
      if (k === 0) context.moveTo(...end); else context.lineTo(...end);
    });
    context.stroke();
    context.beginPath();
    context.moveTo(x, y);
    for (const side of [0.5, -0.5])
      context.lineTo(x - Math.cos(angle + side) * head, y - Math.sin(angle + side) * head);
    context.fill();
    context.globalAlpha = 1;
    if (arrow.mini) this.mini(arrow.mini, points);
  }

  /** The weights on an arrow between other steps, too small for numbers. */
  mini(name, points) {
    const { context, layout } = this, value = this.value(name), [rows, columns] = layout.tensors.get(name).shape;
    if (!value) return;
    const [[x1, y1], [x2, y2]] = points, cell = Math.max(1, Math.min(7, Math.floor(24 / Math.max(rows, columns))));
    const x = (x1 + x2) / 2 - (columns * cell) / 2, y = (y1 + y2) / 2 - (rows * cell) / 2;
    context.fillStyle = shades.ground;
    context.fillRect(x - 2, y - 2, columns * cell + 4, rows * cell + 4);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      context.fillStyle = this.shade(name, value.values[i * columns + j]);
      context.fillRect(x + j * cell, y + i * cell, cell, cell);
    }
  }

  word({ text, x, y, token, target, here, above, most }) {
    if (!text) return;
    const { context, layout } = this;
    context.textBaseline = "middle";
    context.fillStyle = here ? shades.ink : shades.quiet;
    if (above) {
      context.textAlign = "left";
      context.font = `600 12.5px ${shades.sans}`;
      context.fillText(text, x, y);
      return;
    }
    context.textAlign = "center";
    context.font = `${here ? "700 " : ""}${target !== undefined ? 11.5 : 13}px ${shades.mono}`;
    if (token !== undefined) {
      const wide = Math.max(20, context.measureText(text).width + 10);
      context.fillStyle = here ? shades.ink : shades.line;
      context.beginPath();
      context.roundRect(x - wide / 2, y - 10, wide, 20, 4);
      context.fill();
      context.fillStyle = here ? shades.ground : shades.ink;
    }
    context.fillText(text, x, y + 0.5, most);
  }

  shade(name, value) {
    const most = this.side.scale.get(name) ?? 1;
    const k = Math.max(1, Math.min(SHADES, Math.ceil((SHADES * Math.abs(value)) / most)));
    return value === 0 ? "rgb(128 128 128 / .10)" : shades[value < 0 ? "negative" : "positive"][k];
  }

  box(box) {
    const { context, layout, show } = this, { size } = layout;
    const lit = box.kinds.some((name) => show.operands.has(this.key(name, box.time)));
    const dim = show.line && !lit ? (box.small ? 0.75 : 0.5) : 1;
    const numbers = box.font > 0 && box.cell >= 22 && !box.plain;
    const room = Math.floor((box.cell - 2) / ((box.font || 9) * 0.6));
    context.textAlign = "center";
    context.textBaseline = "middle";
    box.kinds.forEach((name, kind) => {
      const value = this.value(name, box.time), y0 = box.y + kind * (size.height + 1);
      const marked = show.operands.has(this.key(name, box.time)) || !show.line;
      context.globalAlpha = marked ? 1 : dim;
      for (let row = 0; row < box.rows; row++) for (let column = 0; column < box.columns; column++) {
        const x = box.x + box.lefts[column], y = y0 + row * box.rowHeight;
        if (!value) {
          context.fillStyle = "rgb(128 128 128 / .07)";
          context.fillRect(x, y, box.cell, size.height);
          continue;
        }
        const entry = box.entry ?? row * box.columns + column, number = value.values[entry];
        context.fillStyle = box.plain ? "rgb(128 128 128 / .10)" : this.shade(name, number);
        context.fillRect(x, y, box.cell, size.height);
        if (!numbers && !box.plain) continue;
        context.fillStyle = shades.ink;
        context.font = `${kind > 0 ? "italic " : ""}${box.plain ? Math.max(11, size.font) : box.font}px ${shades.mono}`;
        context.fillText(box.plain ? shown(number).slice(0, 7) : short(number, room), x + box.cell / 2, y + size.height / 2 + 0.5, box.cell);
      }
    });
    context.globalAlpha = 1;
    if (box.letters) this.letters(box);
  }

  letters(box) {
    const { context, layout } = this, labels = layout.tensors.get(box.name).labels;
    context.font = `11px ${shades.mono}`;
    context.fillStyle = shades.quiet;
    if (box.letters === "left") {
      context.textAlign = "right";
      labels[0].forEach((text, row) => {
        const here = row === layout.data.inputRows[layout.t];
        context.fillStyle = here ? shades.ink : shades.quiet;
        context.fillText(text, box.x - 6, box.y + row * box.rowHeight + layout.size.height / 2, 56);
      });
    } else
      labels[0].forEach((text, column) => {
        const here = column === layout.data.targetRows[layout.t];
        context.font = `${here ? "700 " : ""}11px ${shades.mono}`;
        context.fillStyle = here ? shades.ink : shades.quiet;
        context.fillText(this.shortened(text, box.cell + 2), box.x + box.lefts[column] + box.cell / 2, box.y - 8, box.cell + 2);
      });
  }

  /** As much of a word as has room, with a mark where it is cut. */
  shortened(text, room) {
    const { context } = this, fits = (some) => context.measureText(some).width <= room;
    if (fits(text)) return text;
    let length = text.length - 1;
    while (length > 1 && !fits(`${text.slice(0, length)}…`)) length--;
    return `${text.slice(0, length)}…`;
  }

  key(name, time) {
    return `${name}@${this.layout.tensors.get(name).timed ? time : ""}`;
  }

  /** Frames: blue around what was read, red around what was written, and the chosen sum's cells. */
  frames() {
    const { context, layout, show } = this;
    for (const box of layout.boxes) box.kinds.forEach((name) => {
      const key = this.key(name, box.time), read = show.reads.has(key), written = show.writes.has(key);
      if (box.small || (!read && !written && show.hovered !== name)) return;
      context.strokeStyle = written ? shades.changed : shades.accent;
      context.lineWidth = show.hovered === name ? 3 : 1.5;
      const first = layout.cellOf(box, name, 0), changed = written && show.changed.get(key);
      if (changed && changed.includes(0)) {
        // Only some of its entries: a frame around each of these.
        changed.forEach((one, entry) => {
          const spot = one && layout.cellOf(box, name, entry);
          if (spot) context.strokeRect(spot.x, spot.y - layout.above, spot.width, spot.height);
        });
      } else if (box.kinds.length === 1)
        context.strokeRect(box.x - 2, box.y - 2, box.width + 4, box.height + 3);
      else
        for (let row = 0; row < box.rows; row++)
          context.strokeRect(box.x - 1.5, first.y - layout.above + row * box.rowHeight - 0.5, box.width + 3, layout.size.height + 1);
    });
    const cell = (name, time, entry) => {
      const box = layout.find(name, time);
      return box && layout.cellOf(box, name, entry);
    };
    context.lineWidth = 2;
    for (const [name, time, entry] of show.touched) {
      const spot = cell(name, time, entry);
      if (!spot) continue;
      context.strokeStyle = shades.accent;
      context.strokeRect(spot.x, spot.y - layout.above, spot.width, spot.height);
    }
    if (show.chosen) {
      const spot = cell(show.chosen.name, show.chosen.time, show.chosen.entry);
      if (spot) {
        context.strokeStyle = shades.changed;
        context.lineWidth = 3;
        context.strokeRect(spot.x - 0.5, spot.y - layout.above - 0.5, spot.width + 1, spot.height + 1);
      }
    }
  }
}
