"use strict";

const data = readData("activations");
const T = data.characters.length, H = data.units;
const box = document.getElementById("text");
const spans = fillText(box, data.text);
const at = { field: 0, unit: data.unit, place: 0, from: 0, to: Math.min(T, 5) };
let steps = []; // For each field its integers, [H, T], in the model's order of units.
let order = data.orders[0].units;
let found = [];

const byId = (id) => document.getElementById(id);
const value = (t, unit, field = at.field) => steps[field][unit * T + t] * data.fields[field].scale;

/** The value with as many digits as it was kept with. */
function digits(number) {
  return number.toFixed(data.fields[at.field].digits).replace("-", "−");
}

function setField(field) {
  at.field = field;
  const source = model("activations").data_source, name = data.fields[field].name;
  const into = source.data[name][0];
  order.forEach((unit, row) => into.set(steps[field].subarray(unit * T, (unit + 1) * T), row * T));
  model("activations").glyph.image = { field: name };
  // What cannot be negative, e.g. a gate, has colours from 0 up.
  const { most, signed } = data.fields[field], colours = model("activations").glyph.color_mapper;
  setSigned(colours, signed, colours.high);
  setSigned(model("activations bar"), signed, most);
  source.change.emit();
  showUnit();
  search();
}

function showUnit() {
  const most = data.fields[at.field].most;
  spans.forEach((span, t) => { span.style.backgroundColor = tint(value(t, at.unit), most); });
  byId("unit").value = data.labels[at.unit];
  const row = order.indexOf(at.unit);
  model("row").setv({ bottom: row, top: row + 1 });
  point(at.place, at.unit);
}

/** Writes about one character and one unit. */
function point(place, unit) {
  spans[at.place]?.classList.remove("here");
  at.place = place;
  spans[place].classList.add("here");
  const meaning = data.meanings[unit];
  const line = byId("readout");
  line.replaceChildren(
    element("b", {}, element("bdi", {}, data.characters[place])),
    ` at place ${data.first + place} · unit ${data.labels[unit]} · `,
    element("b", {}, `${data.fields[at.field].name} = ${digits(value(place, unit))}`),
    meaning ? ` · ${meaning}` : "",
  );
  line.dataset.value = value(place, unit);
  line.dataset.place = place;
  line.dataset.unit = unit;
  model("place").location = place + 0.5;
}

window.hovered = (_, { geometry }) => {
  const place = Math.floor(geometry.x), row = Math.floor(geometry.y);
  if (place >= 0 && place < T && row >= 0 && row < H) point(place, order[row]);
};
window.tapped = (event) => {
  const row = Math.floor(event.y);
  if (row >= 0 && row < H) { at.unit = order[row]; showUnit(); }
  window.hovered(null, { geometry: event });
};

/* ---- A stretch of text, and the other places where the same units are on --------------------- */
function chooseStretch(from, to) {
  at.from = Math.max(0, Math.min(from, to));
  at.to = Math.min(T, Math.max(from, to, at.from + 1));
  byId("from").value = data.first + at.from;
  byId("to").value = data.first + at.to - 1;
  search();
}

/** Units that stay on all through the stretch: +1 above the threshold, −1 below its negative. */
function unitsOn() {
  const threshold = Number(byId("threshold").value) * data.fields[at.field].most, on = [];
  for (let unit = 0; unit < H; unit++) {
    let low = Infinity, high = -Infinity;
    for (let t = at.from; t < at.to; t++) {
      const v = value(t, unit);
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    if (low >= threshold) on.push([unit, 1]);
    else if (high <= -threshold) on.push([unit, -1]);
  }
  return { on, threshold };
}

/** The units of one sign by their numbers, after what they have in common. */
function named(on, wanted, words) {
  const units = on.filter(([, sign]) => sign === wanted).map(([unit]) => data.labels[unit]);
  if (!units.length) return "";
  const more = units.length > 12 ? ` and ${units.length - 12} more` : "";
  return `${words}: unit${units.length > 1 ? "s" : ""} ${units.slice(0, 12).join(", ")}${more}`;
}

function search() {
  const { on, threshold } = unitsOn(), length = at.to - at.from;
  byId("threshold-value").textContent = threshold.toFixed(2);
  spans.forEach((span, t) => span.classList.toggle("chosen", t >= at.from && t < at.to));
  model("stretch").setv({ left: at.from, right: at.to });
  const share = new Float64Array(T + 1); // Summed over time, so that a window is a difference.
  for (let t = 0; t < T; t++) {
    let count = 0;
    for (const [unit, sign] of on) if (sign * value(t, unit) >= threshold) count++;
    share[t + 1] = share[t] + (on.length ? count / on.length : 0);
  }
  const windows = [];
  for (let t = 0; t + length <= T; t++) windows.push([(share[t + length] - share[t]) / length, t]);
  windows.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  found = [];
  const taken = [at.from];
  for (const [score, t] of windows) {
    if (found.length === 10 || score <= 0) break;
    if (taken.some((other) => Math.abs(other - t) < length)) continue;
    taken.push(t);
    found.push({ score, t });
  }
  byId("on").textContent = on.length === 0
    ? "No unit stays on all through the stretch: take a shorter one, or a lower threshold."
    : [`${on.length} of ${H} units stay on all through the stretch`,
      named(on, 1, `above ${threshold.toFixed(2)}`), named(on, -1, `below −${threshold.toFixed(2)}`)].filter(Boolean).join(" · ");
  byId("places").hidden = found.length === 0;
  byId("found").replaceChildren(...found.map(({ score, t }) => {
    const text = (from, to) => data.text.slice(Math.max(0, from), Math.min(T, to)).join("").replaceAll("\n", "");
    const button = element("button", { type: "button" }, String(data.first + t));
    button.addEventListener("click", () => goTo(t));
    return element("tr", {}, element("td", {}, button),
      element("td", { class: "number" }, `${Math.round(100 * score)} %`),
      element("td", { class: "text-cell" }, text(t - 15, t), element("b", {}, text(t, t + length)), text(t + length, t + length + 15)));
  }));
}

/** Brings a place into view, in the map and in the text. */
function goTo(t) {
  const range = model("map").x_range, width = range.end - range.start;
  const start = Math.max(0, Math.min(T - width, t - width / 2));
  range.setv({ start, end: start + width });
  box.scrollTop = spans[t].offsetTop - box.offsetTop - box.clientHeight / 2;
  point(t, at.unit);
}

let dragging = null;
const placeOf = (event) => event.target.dataset?.t;
box.addEventListener("pointerdown", (event) => {
  const t = placeOf(event);
  if (t === undefined) return;
  dragging = Number(t);
  chooseStretch(dragging, dragging + 1);
});
box.addEventListener("pointermove", (event) => {
  const t = placeOf(event);
  if (t === undefined) return;
  point(Number(t), at.unit);
  if (dragging !== null) chooseStretch(Math.min(dragging, Number(t)), Math.max(dragging, Number(t)) + 1);
});
addEventListener("pointerup", () => { dragging = null; });
box.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
  if (!by) return;
  event.preventDefault();
  goTo(Math.max(0, Math.min(T - 1, at.place + by)));
  if (event.shiftKey) chooseStretch(Math.min(at.from, at.place), Math.max(at.from, at.place) + 1);
  else chooseStretch(at.place, at.place + 1);
});

byId("field").addEventListener("change", (event) => setField(Number(event.target.value)));
byId("order").addEventListener("change", (event) => {
  order = data.orders[Number(event.target.value)].units;
  setField(at.field);
});
byId("unit").addEventListener("change", (event) => {
  const unit = data.labels.indexOf(Number(event.target.value));
  if (unit >= 0) at.unit = unit;
  showUnit();
});
for (const id of ["from", "to"])
  byId(id).addEventListener("change", () =>
    chooseStretch(Number(byId("from").value) - data.first, Number(byId("to").value) - data.first + 1));
byId("threshold").addEventListener("input", search);

/** Characters under the map, as long as there is room for them. */
window.ranged = () => {
  const range = model("map").x_range, room = model("map").inner_width / (range.end - range.start);
  model("characters").visible = room >= 7.5;
};

whenPlotted(() => {
  const source = model("activations").data_source;
  steps = data.fields.map(({ name }) => Int16Array.from(source.data[name][0]));
  const places = Array.from({ length: T }, (_, t) => t + 0.5);
  const glyphs = data.characters.map((character) => (character === "␣" ? "" : !data.words && [...character].length > 1 ? "▯" : character));
  model("characters").data_source.data = { place: places, height: places.map(() => 0.5), character: glyphs };
  const fit = Math.min(T, Math.max(20, Math.floor(innerWidth / 11)));
  model("map").x_range.setv({ start: 0, end: fit });
  setField(0);
  chooseStretch(at.from, at.to);
  window.ranged();
});
