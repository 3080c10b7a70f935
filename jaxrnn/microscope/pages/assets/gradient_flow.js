"use strict";

const data = readData("flow");
const T = data.steps;
const byId = (id) => document.getElementById(id);
for (const one of data.models)
  for (const name of ["edges", "counts", "norms", "means"]) one[name] = unpack(one[name]).values;
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

function showHistogram() {
  const one = data.models[at.model], bins = one.edges.length - 1, t = T - 1 - at.back;
  const from = (at.moment * T + t) * bins;
  const count = Array.from(one.counts.subarray(from, from + bins));
  const left = Array.from(one.edges.subarray(0, bins)), right = Array.from(one.edges.subarray(1));
  model("bars").data = { left, right, count };
  byId("back-name").textContent = `${at.back} back: t = ${t}`;
}

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
  showHistogram();
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
byId("back").addEventListener("input", (event) => { at.back = Number(event.target.value); showHistogram(); address.changed(); });

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
address.add("back", () => at.back, wholeNumber(0, T - 1, (back) => { at.back = back; show(); }));

whenPlotted(() => { show(); address.begin(); });
