"use strict";

const data = readData("flow");
const T = data.steps;
const byId = (id) => document.getElementById(id);
for (const one of data.models)
  for (const name of ["counts", "norms", "means"]) one[name] = unpack(one[name]).values;
// Opens at the last moment, the trained model.
const at = { model: 0, moment: data.models[0].moments.length - 1, back: 0 };
let timer = null;


/** A number in powers of ten, as people write it. */
function scientific(value) {
  return value === 0 ? "0" : value.toExponential(2).replaceAll("-", "−");
}

const norm = (s, t) => data.models[at.model].norms[(at.moment * T + s) * T + t];

function showCurves() {
  for (const one of data.models) {
    const mean = Array.from(one.means.subarray(at.moment * T, (at.moment + 1) * T), (v) => (v > 0 ? v : NaN));
    model(`curve ${one.name}`).data = { distance: mean.map((_, d) => d), mean };
  }
}

const [LOW, HIGH] = data.bins, BINS = data.edges.length - 1;
const LEFT = 34, RIGHT = 296, TOP = 34, BOTTOM = 296;
const SHOWN = Array.from({ length: Math.min(T, 11) }, (_, k) => Math.round((k * (T - 1)) / Math.max(1, Math.min(T, 11) - 1)));
const svg = (tag, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const xOf = (bin) => LEFT + ((RIGHT - LEFT) * (bin - LOW)) / (HIGH + 1 - LOW);
const yOf = (back) => TOP + ((BOTTOM - TOP) * back) / Math.max(1, T - 1);

/** The histogram so many steps back, at a moment: counts by bin. */
function histogram(one, moment, back) {
  const from = (moment * T + T - 1 - back) * BINS;
  return one.counts.subarray(from, from + BINS);
}

/** The outline of a histogram as a hill on its line. */
function hill(counts, base) {
  const all = counts.reduce((sum, n) => sum + n, 0) || 1;
  const high = (bin) => base - Math.min(60, (150 * counts[bin]) / all);
  let path = `M${LEFT},${base}`;
  // What is smaller than the scale stands at its left end.
  const below = counts.subarray(0, LOW).reduce((sum, n) => sum + n, 0);
  if (below) path += `L${LEFT},${base - Math.min(60, (150 * below) / all)}`;
  for (let bin = LOW; bin <= HIGH; bin++) path += `L${xOf(bin + 0.5).toFixed(1)},${high(bin).toFixed(1)}`;
  return `${path}L${RIGHT},${base}`;
}

/** The middle of the sizes: a power of ten; −Infinity where most are 0 or lost. */
function median(counts) {
  const all = counts.reduce((sum, n) => sum + n, 0);
  let sum = 0;
  for (let bin = 0; bin < BINS; bin++) {
    sum += counts[bin];
    if (2 * sum >= all) return bin ? 10 ** ((data.edges[bin] + data.edges[bin + 1]) / 2) : 0;
  }
  return 0;
}

function showRidges() {
  data.models.forEach((one, number) => {
    const place = byId(`ridge-${number}`), parts = [];
    for (let power = Math.ceil(data.edges[LOW]); power <= data.edges[HIGH + 1]; power++) {
      const x = xOf((power - data.edges[0]) / (data.edges[1] - data.edges[0]));
      parts.push(svg("line", { x1: x, x2: x, y1: TOP - 20, y2: BOTTOM, class: "grid" }));
      if (power % 3 === 0 || data.edges[HIGH + 1] - data.edges[LOW] < 7)
        parts.push(svg("text", { x, y: BOTTOM + 14, "text-anchor": "middle" }, "10", svg("tspan", { dy: -4, "font-size": 8 }, String(power).replace("-", "−"))));
    }
    parts.push(svg("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 29, "text-anchor": "middle" }, "Size of an entry"));
    parts.push(svg("text", { x: 9, y: (TOP + BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 9 ${(TOP + BOTTOM) / 2})` }, "Steps back"));
    for (const back of SHOWN) {
      const base = yOf(back);
      parts.push(svg("text", { x: LEFT - 4, y: base + 3, "text-anchor": "end" }, String(back)));
      parts.push(svg("path", { d: hill(histogram(one, at.moment, back), base), class: "hill" }));
      if (at.moment > 0) parts.push(svg("path", { d: hill(histogram(one, 0, back), base), class: "before" }));
    }
    parts.push(svg("path", { d: hill(histogram(one, at.moment, at.back), yOf(at.back)), class: "hill chosen" }));
    place.replaceChildren(...parts);
    const middle = median(histogram(one, at.moment, at.back));
    byId(`median-${number}`).textContent = `${at.back} back: half of the entries below ${middle ? scientific(middle) : "what float32 keeps"}`;
  });
  byId("back-name").textContent = `${at.back} back: t = ${T - 1 - at.back}`;
}

let walking = null;
function walk(on) {
  if (walking !== null) clearInterval(walking);
  walking = null;
  if (on) {
    if (at.back === T - 1) at.back = 0;
    walking = setInterval(() => {
      at.back += 1;
      byId("back").value = at.back;
      showRidges();
      address.changed();
      if (at.back === T - 1) walk(false);
    }, 120);
  }
  byId("walk").textContent = walking === null ? "▶ Step back" : "❚❚ Pause";
}
byId("walk").addEventListener("click", () => walk(walking === null));

function showMatrix() {
  const into = model("matrix").data_source.data.norms[0], top = Math.log10(data.largest);
  for (let s = 0; s < T; s++)
    for (let t = 0; t < T; t++) {
      const value = norm(s, t);
      into[s * T + t] = value > 0 ? Math.round(127 * Math.max(0, 1 - (top - Math.log10(value)) / data.powers)) : 0;
    }
  model("matrix").data_source.change.emit();
}

function showWords() {
  const one = data.models[at.model];
  byId("moment-name").textContent = one.moments[at.moment];
  // What was found is about the trained model.
  const found = at.moment === one.moments.length - 1 ? one.words : "";
  byId("words").textContent = `Model ${one.name}, ${one.moments[at.moment]}: the gradient changes by a factor of ` +
    `${one.factors[at.moment].toFixed(3)} with each step back, and stays above 1 % of its largest for ` +
    `${one.reaches[at.moment]} of ${T} steps. ${found}`;
}

function show() {
  byId("moment").value = at.moment;
  byId("back").value = at.back;
  showCurves();
  showRidges();
  showMatrix();
  showWords();
  address.changed();
}

window.hovered = (_, { geometry }) => {
  const t = Math.floor(geometry.x), s = Math.floor(geometry.y);
  if (t < 0 || s < 0 || s >= T || t >= T) return;
  const line = byId("readout");
  line.textContent = t > s
    ? `The loss at ${s} does not depend on the state at ${t}, which comes later`
    : `‖∂L/∂h‖ of the loss at ${s} at the state of ${t}, ${s - t} back: ${scientific(norm(s, t))}`;
  Object.assign(line.dataset, { loss: s, state: t, value: norm(s, t) });
};
window.tapped = (event) => window.hovered(null, { geometry: event });

byId("model").addEventListener("change", (event) => { at.model = Number(event.target.value); show(); });
byId("moment").addEventListener("input", (event) => { play(false); at.moment = Number(event.target.value); show(); });
byId("back").addEventListener("input", (event) => { walk(false); at.back = Number(event.target.value); showRidges(); address.changed(); });

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  const last = Number(byId("moment").max);
  if (on) {
    if (at.moment === last) at.moment = 0;
    show();
    timer = setInterval(() => {
      at.moment += 1;
      show();
      if (at.moment === last) play(false);
    }, 900);
  }
  byId("play").textContent = timer === null ? "▶ Train" : "❚❚ Pause";
}
byId("play").addEventListener("click", () => play(timer === null));

address.add("model", () => data.models[at.model].name, oneOf(data.models.map((one) => one.name), (place) => { at.model = place; byId("model").value = place; show(); }));
address.add("moment", () => at.moment, wholeNumber(0, data.models[0].moments.length - 1, (moment) => { play(false); at.moment = moment; show(); }));
address.add("back", () => at.back, wholeNumber(0, T - 1, (back) => { walk(false); at.back = back; show(); }));

whenPlotted(() => { show(); address.begin(); });
