"use strict";

const data = readData("activations");
const T = data.characters.length, H = data.units;
const box = document.getElementById("text");
const spans = fillText(box, data.text);
const at = { field: 0, unit: data.unit, place: data.from, from: data.from, to: data.to, window: 0 };
let steps = []; // For each field its integers, [H, T], in the model's order of units.
let orderName = 0;
let order = data.orders[0].units;
let found = [];
let typing = { show() {} };

const byId = (id) => document.getElementById(id);
const value = (t, unit, field = at.field) => steps[field][unit * T + t] * data.fields[field].scale;

/** The value with as many digits as it was kept with. */
function digits(number) {
  return number.toFixed(data.fields[at.field].digits).replace("-", "−");
}

function setField(field) {
  at.field = field;
  byId("field").value = field;
  const source = model("activations").data_source, name = data.fields[field].name;
  const into = source.data[name][0];
  order.forEach((unit, row) => into.set(steps[field].subarray(unit * T, (unit + 1) * T), row * T));
  model("activations").glyph.image = { field: name };
  // What cannot be negative, e.g. a gate, has colours from 0 up.
  const { most, signed } = data.fields[field], colours = model("activations").glyph.color_mapper;
  setSigned(colours, signed, colours.high);
  setSigned(model("activations bar"), signed, most);
  source.change.emit();
  model("rows").ticker.change.emit();
  showUnit();
  search();
}

function setOrder(number) {
  orderName = number;
  byId("order").value = number;
  order = data.orders[number].units;
  setField(at.field);
}
window.rowName = (tick) => String(data.labels[order[Math.floor(tick)]] ?? "");

function setUnit(unit) {
  at.unit = unit;
  showUnit();
  drawLines();
  typing.show();
}

function showUnit() {
  const { most, name, signed } = data.fields[at.field], label = data.labels[at.unit];
  spans.forEach((span, t) => { span.style.backgroundColor = tint(value(t, at.unit), most); });
  byId("unit").value = label;
  byId("key-words").textContent = `${name} of unit ${label}`;
  byId("key-low").textContent = signed ? digits(-most) : "0";
  byId("key-high").textContent = digits(most);
  byId("key-bar").className = `bar ${signed ? "signed" : "sizes"}`;
  // A meaning is that of h; a gate of the same unit has its own.
  byId("meaning").textContent = at.field > 0
    ? `Unit ${label}, ${name}`
    : `Unit ${label}: ${data.meanings[at.unit] ?? "no name found for it"}`;
  for (const card of document.querySelectorAll("#gallery a"))
    card.setAttribute("aria-current", String(Number(card.dataset.column) === at.unit));
  const row = order.indexOf(at.unit);
  model("row").setv({ bottom: row, top: row + 1 });
  point(at.place, at.unit);
  address.changed();
}

/** Writes about one character and one unit. */
function point(place, unit) {
  spans[at.place]?.classList.remove("here");
  at.place = place;
  spans[place].classList.add("here");
  const meaning = at.field === 0 && unit !== at.unit ? data.meanings[unit] : "";
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
  if (row >= 0 && row < H) setUnit(order[row]);
  window.hovered(null, { geometry: event });
};

/* ---- The gallery ------------------------------------------------------------------------------ */
function fillGallery() {
  const most = data.fields[0].most;
  byId("gallery").replaceChildren(...data.gallery.map(({ column, meaning, correlation, alike, start, end }) => {
    const facts = [
      correlation === null ? "" : `r = ${correlation.toFixed(2).replace("-", "−")}`,
      alike ? `and ${alike} more unit${alike > 1 ? "s" : ""} like it` : "",
    ].filter(Boolean).join(", ");
    const snippet = element("span", { class: "snippet" });
    for (const [k, character] of data.text.slice(start, end).entries()) {
      const span = element("span", {}, character);
      span.style.backgroundColor = tint(value(start + k, column, 0), most);
      snippet.append(span);
    }
    return element("a", { href: `#unit=${data.labels[column]}`, "data-column": column },
      element("b", {}, `Unit ${data.labels[column]}. `), meaning, " ", element("small", {}, facts), snippet);
  }));
}

/* ---- A stretch of text, and the other places where the same units are on --------------------- */
function chooseStretch(from, to) {
  at.from = Math.max(0, Math.min(from, to, T - 1));
  at.to = Math.min(T, Math.max(from, to, at.from + 1));
  byId("from").value = data.first + at.from;
  byId("to").value = data.first + at.to - 1;
  search();
  address.changed();
}

const eighths = () => Math.round(8 * Number(byId("threshold").value));

/** Units that stay on all through the stretch: +1 above the threshold, −1 below its negative. */
function unitsOn() {
  const threshold = eighths() / 8 * data.fields[at.field].most, on = [];
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

/** The best stretches of as many characters, none overlapping another; the page's own, or of the whole text. */
function best(scores, length, taken) {
  const places = Array.from(scores, (score, t) => [score, t]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  const chosen = [];
  for (const [score, t] of places) {
    if (chosen.length === 10 || score <= 0) break;
    if (taken.some((other) => Math.abs(other - t) < length)) continue;
    taken.push(t);
    chosen.push({ score, t });
  }
  return chosen;
}

function search() {
  const { on, threshold } = unitsOn(), length = at.to - at.from;
  byId("threshold-value").textContent = threshold.toFixed(2);
  spans.forEach((span, t) => span.classList.toggle("chosen", t >= at.from && t < at.to));
  model("stretch").setv({ left: at.from, right: at.to });
  byId("on").textContent = on.length === 0
    ? "No unit stays on all through the stretch: take a shorter one, or a lower threshold."
    : [`${on.length} of ${H} units stay on all through the stretch`,
      named(on, 1, `above ${threshold.toFixed(2)}`), named(on, -1, `below −${threshold.toFixed(2)}`)].filter(Boolean).join(" · ");
  drawLines();
  // Over the whole text only h is kept.
  const everywhere = whole && at.field === 0;
  let scores, text = data.text, first = 0;
  if (everywhere) {
    [text, first] = [whole.text, whole.first - data.first];
    scores = on.length ? wholeScores(on, length, eighths()) : new Float64Array(0);
    drawWhole(scores, length);
    const matches = fullMatches(scores, length).length;
    const part = whole.length < whole.total ? `${whole.length.toLocaleString("en")} of the text’s ${whole.total.toLocaleString("en")} ${data.words ? "tokens" : "characters"}` : `all ${whole.length.toLocaleString("en")} ${data.words ? "tokens" : "characters"} of the text`;
    byId("whole-count").textContent = `In ${part} there ${matches === 1 ? "is 1 stretch" : `are ${matches.toLocaleString("en")} stretches`} of ${length} ` +
      `${data.words ? "token" : "character"}${length > 1 ? "s" : ""} over which all of these units stay on.`;
  } else {
    const share = new Float64Array(T + 1); // Summed over time, so that a window is a difference.
    for (let t = 0; t < T; t++) {
      let count = 0;
      for (const [unit, sign] of on) if (sign * value(t, unit) >= threshold) count++;
      share[t + 1] = share[t] + (on.length ? count / on.length : 0);
    }
    scores = Float64Array.from({ length: Math.max(0, T - length + 1) }, (_, t) => (share[t + length] - share[t]) / length);
    if (whole) byId("whole-count").textContent = "Over the whole text only h is kept; these are the places on this page.";
  }
  found = best(scores, length, [at.from - first]).map(({ score, t }) => ({ score, t: t + first, in: t }));
  byId("places").hidden = found.length === 0;
  byId("found").replaceChildren(...found.map(({ score, t, in: place }) => {
    const part = (from, to) => text.slice(Math.max(0, from), Math.min(text.length, to)).join("").replaceAll("\n", "");
    const here = t >= 0 && t + length <= T;
    const label = here ? element("button", { type: "button", "aria-label": `Go to place ${data.first + t}` }, String(data.first + t)) : String(data.first + t);
    if (here) label.addEventListener("click", () => goTo(t));
    return element("tr", {}, element("td", {}, label),
      element("td", { class: "number" }, `${Math.round(100 * score)} %`),
      element("td", { class: "text-cell" }, part(place - 15, place), element("b", {}, part(place, place + length)), part(place + length, place + length + 15)));
  }));
}

/** Brings a place into view, in the lines, the map and the text. */
function goTo(t) {
  const range = model("map").x_range, width = range.end - range.start;
  const start = Math.max(0, Math.min(T - width, t - width / 2));
  range.setv({ start, end: start + width });
  box.scrollTop = spans[t].offsetTop - box.offsetTop - box.clientHeight / 2;
  centreLines(t);
  point(t, at.unit);
}

function centreLines(t) {
  const { width, height } = byId("lines").getBoundingClientRect(), { columns } = linesLayout(width, height);
  at.window = Math.max(0, Math.min(T - columns, Math.round(t - columns / 2)));
  drawLines();
}

let dragging = null;
/** The place under the pointer: a finger stays with the character that it began on, so ask the page. */
const placeOf = (event) => {
  const t = document.elementFromPoint(event.clientX, event.clientY)?.closest?.("#text span")?.dataset.t;
  return t === undefined ? undefined : Number(t);
};
function extend(place) {
  point(place, at.unit);
  if (dragging !== null) chooseStretch(Math.min(dragging, place), Math.max(dragging, place) + 1);
}
function begin(place) {
  dragging = place;
  chooseStretch(place, place + 1);
}
box.addEventListener("pointerdown", (event) => { const t = placeOf(event); if (t !== undefined) begin(t); });
box.addEventListener("pointermove", (event) => { const t = placeOf(event); if (t !== undefined) extend(t); });
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { dragging = null; });
byId("lines").addEventListener("pointerdown", (event) => begin(nearestLine(event).place));
byId("lines").addEventListener("pointermove", (event) => {
  const { place, unit, near } = nearestLine(event);
  extend(place);
  if (dragging === null) point(place, near ? unit : at.unit);
});
byId("lines").addEventListener("click", (event) => {
  const { unit, near } = nearestLine(event);
  if (near && at.to - at.from === 1) setUnit(unit);
});
for (const [id, sign] of [["pan-left", -1], ["pan-right", 1]])
  byId(id).addEventListener("click", () => { at.window += sign * 30; drawLines(); });
box.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
  if (!by) return;
  event.preventDefault();
  goTo(Math.max(0, Math.min(T - 1, at.place + by)));
  if (event.shiftKey) chooseStretch(Math.min(at.from, at.place), Math.max(at.from, at.place) + 1);
  else chooseStretch(at.place, at.place + 1);
});

byId("field").addEventListener("change", (event) => setField(Number(event.target.value)));
byId("order").addEventListener("change", (event) => setOrder(Number(event.target.value)));
byId("unit").addEventListener("change", (event) => {
  const unit = data.labels.indexOf(Number(event.target.value));
  setUnit(unit >= 0 ? unit : at.unit);
});
for (const id of ["from", "to"])
  byId(id).addEventListener("change", () => {
    chooseStretch(Number(byId("from").value) - data.first, Number(byId("to").value) - data.first + 1);
    centreLines(at.from);
  });
byId("threshold").addEventListener("input", () => { search(); address.changed(); });

/** Characters under the map, as long as there is room for them. */
window.ranged = () => {
  const range = model("map").x_range, room = model("map").inner_width / (range.end - range.start);
  model("characters").visible = room >= 7.5;
};

const lastPlace = data.first + T - 1;
address.add("field", () => data.fields[at.field].name, oneOf(data.fields.map(({ name }) => name), setField));
address.add("order", () => data.orders[orderName].name, oneOf(data.orders.map(({ name }) => name), setOrder));
address.add("unit", () => data.labels[at.unit], oneOf(data.labels.map(String), setUnit));
address.add("threshold", () => byId("threshold").value, (text) => {
  const fits = Number.isInteger(8 * Number(text)) && Number(text) > 0 && Number(text) < 1;
  if (fits) { byId("threshold").value = text; search(); }
  return fits;
});
address.add("from", () => data.first + at.from, wholeNumber(data.first, lastPlace, (place) => {
  chooseStretch(place - data.first, Math.max(at.to, place - data.first + 1));
}));
address.add("to", () => data.first + at.to - 1, wholeNumber(data.first, lastPlace, (place) => {
  chooseStretch(at.from, place - data.first + 1);
  goTo(at.from);
}));

whenPlotted(() => {
  const source = model("activations").data_source;
  // Copies, since sorting writes into Bokeh's own.
  steps = data.fields.map(({ name }) => { const own = new Int16Array(T * H); own.set(source.data[name][0]); return own; });
  const places = Array.from({ length: T }, (_, t) => t + 0.5);
  const glyphs = data.characters.map((character) => (character === "␣" ? "" : !data.words && [...character].length > 1 ? "▯" : character));
  model("characters").data_source.data = { place: places, height: places.map(() => 0.5), character: glyphs };
  const fit = Math.min(T, Math.max(20, Math.floor(innerWidth / 11)));
  model("map").x_range.setv({ start: 0, end: fit });
  fillGallery();
  setField(0);
  chooseStretch(at.from, at.to);
  goTo(at.from);
  typing = startTyping("typed-model", () => at.unit, () => data.fields[0].most);
  typing.show();
  window.ranged();
  addEventListener("resize", () => { drawLines(); search(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", search);
  address.begin();
});
