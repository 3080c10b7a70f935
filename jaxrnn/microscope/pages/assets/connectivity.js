"use strict";

const data = readData("connectivity");
const T = data.steps;
const byId = (id) => document.getElementById(id);
const box = byId("text");
const spans = fillText(box, data.text);
const at = { model: 0, definition: 0, step: 0, fixed: false };
let shares = []; // For each model and definition [T, T], parts of the row's largest.

/** How much the token at t mattered for what was expected after step s. */
function value(s, t) {
  const { scale, largest } = chosen();
  return shares[at.model][at.definition][s * T + t] * scale * largest[s];
}
const chosen = () => data.models[at.model].definitions[at.definition];

function precise(number) {
  return number.toPrecision(3).replaceAll("-", "−");
}

/** Shows the prediction after step s, of the token at s + 1. */
function showStep(s) {
  at.step = Math.max(0, Math.min(T - 1, s));
  address.changed();
  const { step } = at, definition = chosen(), top = 1 / definition.scale;
  spans.forEach((span, t) => {
    span.style.backgroundColor = t <= step ? tint(shares[at.model][at.definition][step * T + t] / top, 1) : "";
    span.classList.toggle("target", t === step + 1);
    span.style.opacity = t > step + 1 ? 0.45 : 1;
  });
  const { predictions, chances, losses } = data.models[at.model];
  byId("readout").replaceChildren("What mattered for ",
    element("b", {}, element("bdi", {}, data.characters[step + 1])),
    ` at place ${data.first + step + 1}: 90 % of it within ${definition.reach[step]} ${data.token}s`,
    ` · largest ${precise(definition.largest[step])}`, at.fixed ? " · fixed" : "");
  byId("readout").dataset.step = step;
  byId("predictions").replaceChildren(...predictions[step].map(([character, p, right]) =>
    element("tr", right ? { class: "right" } : {},
      element("td", { class: "text-cell" }, element("bdi", {}, character)),
      element("td", { class: "number" }, p.toFixed(4)),
      element("td", { class: "bar" }, element("span", { style: `width:${(100 * p).toFixed(1)}%` })))));
  byId("chance").textContent =
    `p = ${chances[step].toFixed(4)}, ${losses[step].toFixed(4)} nats`;
  model("row").setv({ bottom: step, top: step + 1 });
}

/** Says how much one token mattered. */
function showOne(s, t) {
  if (t > s) return;
  const line = byId("readout");
  line.replaceChildren(element("b", {}, element("bdi", {}, data.characters[t])),
    ` at place ${data.first + t}, ${s - t} before, for `,
    element("b", {}, element("bdi", {}, data.characters[s + 1])), ` at place ${data.first + s + 1}: `,
    element("b", {}, precise(value(s, t))));
  Object.assign(line.dataset, { step: s, place: t, value: value(s, t) });
}

function choose(number, definition) {
  Object.assign(at, { model: number, definition });
  model("map").glyph.image = { field: chosen().column };
  // What cannot be negative has colours from 0 up.
  const { signed } = chosen(), colours = model("map").glyph.color_mapper;
  setSigned(colours, signed, colours.high);
  setSigned(model("map bar"), signed, 1);
  byId("meaning").textContent = chosen().meaning;
  byId("model").value = number;
  byId("definition").value = definition;
  byId("key-low").textContent = signed ? "against" : "0";
  byId("key-high").textContent = signed ? "for" : "most";
  byId("key-bar").className = `bar ${signed ? "signed" : "sizes"}`;
  byId("key-words").textContent = `How much it mattered to ${data.names.models[number]}`;
  if (data.models.length > 1)
    for (const one of everyModel())
      if (String(one.tags[0]).startsWith("definition ")) one.visible = one.tags[0] === `definition ${definition}`;
  showStep(at.step);
}

function pointAt(k) {
  if (at.fixed) showOne(at.step, k);
  else if (k >= 1) showStep(k - 1);
}
const placeOf = (event) => event.target.dataset?.t;
box.addEventListener("pointermove", (event) => {
  const t = placeOf(event);
  if (t !== undefined && event.pointerType !== "touch") pointAt(Number(t));
});
box.addEventListener("click", (event) => {
  const t = placeOf(event);
  if (t === undefined) return;
  const k = Number(t);
  if (at.fixed && k === at.step + 1) fix(false);
  else if (at.fixed && k <= at.step) showOne(at.step, k);
  else if (k >= 1) { showStep(k - 1); fix(true); }
});
function fix(on) {
  at.fixed = on;
  address.changed();
  byId("fixed").checked = on;
  showStep(at.step);
}
byId("fixed").addEventListener("change", (event) => fix(event.target.checked));
box.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
  if (by) { event.preventDefault(); showStep(at.step + by); }
  if (event.key === "Enter") fix(!at.fixed);
});
byId("definition").addEventListener("change", (event) => choose(at.model, Number(event.target.value)));
byId("model").addEventListener("change", (event) => choose(Number(event.target.value), at.definition));

window.hovered = (_, { geometry }) => {
  const t = Math.floor(geometry.x), s = Math.floor(geometry.y);
  if (t < 0 || s < 0 || s >= T || t > s) return;
  if (!at.fixed) showStep(s);
  showOne(s, t);
};
window.tapped = (event) => window.hovered(null, { geometry: event });

whenPlotted(() => {
  const source = model("map").data_source;
  shares = data.models.map(({ definitions }) =>
    definitions.map(({ column }) => Int16Array.from(source.data[column][0])));
  at.step = data.start;
  choose(data.models.length - 1, 0);
  box.scrollTop = spans[data.start].offsetTop - box.offsetTop - box.clientHeight / 2;
  address.add("model", () => data.names.models[at.model], oneOf(data.names.models, (place) => choose(place, at.definition)));
  address.add("definition", () => data.names.definitions[at.definition], oneOf(data.names.definitions, (place) => choose(at.model, place)));
  address.add("kept", () => (at.fixed ? "yes" : "no"), oneOf(["no", "yes"], (place) => fix(place === 1)));
  address.add("place", () => data.first + at.step + 1, wholeNumber(data.first + 1, data.first + T, (place) => {
    showStep(place - data.first - 1);
    box.scrollTop = spans[at.step + 1].offsetTop - box.offsetTop - box.clientHeight / 2;
  }));
  address.begin();
});
