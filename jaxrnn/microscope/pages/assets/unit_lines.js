"use strict";

/* ---- Every unit as a line over a stretch of the text, and matches over all of the text ------- */

/** A canvas's context in CSS pixels, with the page's colours; `size` is its width and height. */
function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height };
}

const EDGE = { left: 44, right: 8, top: 10, character: 13 };

/** How the drawing lies: characters shown, and where they and the values stand. */
function linesLayout(width, height) {
  const columns = Math.max(10, Math.floor((width - EDGE.left - EDGE.right) / EDGE.character));
  const pitch = (width - EDGE.left - EDGE.right) / columns;
  const bottom = height - 36 - 18 * data.tracks.length;
  const { most, signed } = data.fields[at.field];
  const y = (v) => EDGE.top + (bottom - EDGE.top) * (signed ? (most - v) / (2 * most) : (most - v) / most);
  return { columns, pitch, bottom, y, x: (t) => EDGE.left + (t - at.window + 0.5) * pitch };
}

function drawLines() {
  const { context, width, height } = prepared(byId("lines"));
  const { columns, pitch, bottom, y, x } = linesLayout(width, height);
  at.window = Math.max(0, Math.min(at.window, T - columns));
  const end = Math.min(T, at.window + columns), { most, signed } = data.fields[at.field];
  const { on, threshold } = unitsOn(), signs = new Map(on);
  const ink = cssColour("--ink"), quiet = cssColour("--quiet"), line = cssColour("--line");
  const positive = `rgb(${cssColour("--positive")})`, negative = `rgb(${cssColour("--negative")})`;
  context.font = "12px sans-serif";
  context.textBaseline = "middle";

  const level = (v, words, dashed) => {
    context.setLineDash(dashed ? [4, 3] : []);
    context.strokeStyle = dashed ? quiet : line;
    context.beginPath(); context.moveTo(EDGE.left, y(v)); context.lineTo(width - EDGE.right, y(v)); context.stroke();
    context.setLineDash([]);
    context.fillStyle = quiet;
    context.textAlign = "right";
    context.fillText(words, EDGE.left - 4, y(v));
  };
  for (const v of signed ? [-most, 0, most] : [0, most]) level(v, v.toFixed(1).replace("-", "−"), false);
  level(threshold, "", true);
  if (signed) level(-threshold, "", true);
  context.save();
  context.translate(9, (EDGE.top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = quiet;
  context.fillText(`Value of ${data.fields[at.field].name}`, 0, 0);
  context.restore();

  const draw = (unit, colour, thickness, alpha) => {
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.globalAlpha = alpha;
    context.beginPath();
    for (let t = at.window; t < end; t++) context[t === at.window ? "moveTo" : "lineTo"](x(t), y(value(t, unit)));
    context.stroke();
    context.globalAlpha = 1;
  };
  for (let unit = 0; unit < H; unit++) if (!signs.has(unit)) draw(unit, quiet, 1, H > 40 ? 0.12 : 0.3);
  for (const [unit, sign] of on) draw(unit, sign > 0 ? positive : negative, 1.2, on.length > 20 ? 0.4 : 0.8);
  draw(at.unit, value(at.from, at.unit) < 0 ? negative : positive, 3, 1);

  context.strokeStyle = cssColour("--changed");
  context.lineWidth = 1.5;
  for (const edge of [at.from - 0.5, at.to - 0.5]) {
    if (edge < at.window - 0.5 || edge > end - 0.5) continue;
    context.beginPath(); context.moveTo(x(edge), EDGE.top); context.lineTo(x(edge), bottom + 18); context.stroke();
  }
  context.textAlign = "center";
  context.font = "13px monospace";
  for (let t = at.window; t < end; t++) {
    context.fillStyle = t >= at.from && t < at.to ? ink : quiet;
    context.fillText([...data.characters[t]][0], x(t), bottom + 10);
  }
  context.font = "11px sans-serif";
  context.fillStyle = quiet;
  for (let t = at.window; t < end; t++)
    if ((data.first + t) % 10 === 0) context.fillText(String(data.first + t), x(t), bottom + 25);
  data.tracks.forEach(({ name, parts }, row) => {
    const top = bottom + 36 + 18 * row;
    for (let t = at.window; t < end; t++) {
      context.fillStyle = ink;
      context.globalAlpha = 0.05 + 0.75 * parts[t];
      context.fillRect(x(t) - pitch / 2, top, pitch - 0.5, 12);
    }
    context.globalAlpha = 1;
    context.textAlign = "left";
    context.lineWidth = 4;
    context.strokeStyle = cssColour("--panel");
    context.fillStyle = ink;
    context.strokeText(name, EDGE.left + 3, top + 6.5);
    context.fillText(name, EDGE.left + 3, top + 6.5);
  });
}

/** The place and the unit whose line is nearest to a point of the canvas. */
function nearestLine(event) {
  const box = byId("lines").getBoundingClientRect(), { pitch, y } = linesLayout(box.width, box.height);
  const place = Math.max(0, Math.min(T - 1, at.window + Math.floor((event.clientX - box.left - EDGE.left) / pitch)));
  let unit = at.unit, least = Infinity;
  for (let other = 0; other < H; other++) {
    const far = Math.abs(y(value(place, other)) - (event.clientY - box.top));
    if (far < least) [unit, least] = [other, far];
  }
  return { place, unit, near: least < 8 };
}

/* ---- The whole text: half a byte a number, see whole_text.py --------------------------------- */
const whole = data.whole && { ...data.whole, length: data.whole.text.length, bytes: bytesOf(data.whole.levels) };

function wholeLevel(unit, t) {
  const place = unit * whole.length + t, byte = whole.bytes[place >> 1];
  return (place & 1 ? byte >> 4 : byte & 15) - 7;
}

/** Scores of every stretch of the whole text: the mean share of the units that are on. */
function wholeScores(on, length, eighths) {
  const sum = new Float64Array(whole.length + 1);
  const count = new Uint16Array(whole.length);
  for (const [unit, sign] of on)
    for (let t = 0; t < whole.length; t++) if (sign * wholeLevel(unit, t) >= eighths) count[t] += 1;
  for (let t = 0; t < whole.length; t++) sum[t + 1] = sum[t] + count[t] / on.length;
  const scores = new Float64Array(Math.max(0, whole.length - length + 1));
  for (let t = 0; t < scores.length; t++) scores[t] = (sum[t + length] - sum[t]) / length;
  return scores;
}

/** Stretches, none overlapping another, over which all units stay on. */
function fullMatches(scores, length) {
  const places = [];
  for (let t = 0; t < scores.length; t++) if (scores[t] > 1 - 1e-9) { places.push(t); t += length - 1; }
  return places;
}

function drawWhole(scores, length) {
  const { context, width, height } = prepared(byId("whole")), bars = Math.max(1, Math.floor(width / 2));
  const per = scores.length / bars, floor = height - 16;
  context.fillStyle = `rgb(${cssColour("--positive")})`;
  for (let bar = 0; bar < bars; bar++) {
    let matches = 0;
    for (let t = Math.floor(bar * per); t < Math.max(Math.floor(bar * per) + 1, Math.floor((bar + 1) * per)); t++)
      matches = Math.max(matches, scores[t] ?? 0);
    // The upper half of the scale only: below it less than half of the units are on.
    const part = Math.max(0, 2 * matches - 1);
    context.globalAlpha = 0.15 + 0.85 * part;
    context.fillRect(2 * bar, floor - part * (floor - 2), 1.5, part * (floor - 2));
  }
  context.globalAlpha = 1;
  context.fillStyle = cssColour("--changed");
  const here = data.first + at.from - whole.first;
  if (here >= 0 && here < whole.length) context.fillRect((here / whole.length) * width - 1, 0, 2, floor);
  context.fillStyle = cssColour("--quiet");
  context.font = "11px sans-serif";
  context.textBaseline = "bottom";
  const last = String(whole.first + whole.length - 1);
  context.fillText(`Place ${whole.first}`, 4, height - 2);
  context.textAlign = "right";
  context.fillText(last, width - 4, height - 2);
  context.textAlign = "center";
  context.fillText("Share of the units that are on, from a half up", width / 2, height - 2);
}
