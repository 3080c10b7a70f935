"use strict";

const data = readData("models");
const byId = (id) => document.getElementById(id);
const T = data.steps;
const at = { step: data.start, moment: 1, definition: 0 };
let timer = null;
for (const { moments } of data.models)
  for (const moment of moments) moment.maps = moment.maps.map((map) => unpack(map).values);
const boxes = data.models.map((_, number) => {
  const box = byId(`text-${number}`);
  return { box, spans: fillText(box, data.text) };
});
data.models.forEach(({ name }, number) => { byId(`name-${number}`).textContent = name; });

const rounded = (p) => (p < 0.001 ? p.toExponential(0).replace("-", "−") : p.toFixed(p < 0.1 ? 3 : 2));

/** Shows the prediction after step s, of the character at s + 1, in every panel. */
function show(s) {
  at.step = Math.max(0, Math.min(T - 1, s));
  const { step } = at, target = data.characters[step + 1];
  data.models.forEach(({ moments }, number) => {
    const moment = moments[at.moment], map = moment.maps[at.definition];
    boxes[number].spans.forEach((span, t) => {
      span.style.backgroundColor = t <= step ? tint(map[step * T + t], 1) : "";
      span.classList.toggle("target", t === step + 1);
      span.style.opacity = t > step + 1 ? 0.45 : 1;
    });
    const line = byId(`said-${number}`);
    line.replaceChildren("p of ", element("b", {}, element("bdi", {}, target)), ` = ${rounded(moment.chances[step])}`,
      `; 90 % lies within ${moment.reaches[at.definition][step]} characters`);
    Object.assign(line.dataset, { step, chance: moment.chances[step] });
    byId(`ways-${number}`).replaceChildren(...moment.completions[step].map(([text, p]) =>
      element("tr", text.startsWith(target) ? { class: "right" } : {},
        element("td", { class: "text-cell" }, element("bdi", {}, text)),
        element("td", { class: "number" }, rounded(p)),
        element("td", { class: "bar" }, element("span", { style: `width:${(100 * p).toFixed(1)}%` })))));
  });
  address.changed();
}

function choose(moment, definition) {
  Object.assign(at, { moment, definition });
  for (const button of document.querySelectorAll("[data-moment]"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.moment) === moment));
  byId("definition").value = definition;
  byId("meaning").textContent = data.definitions[definition].meaning;
  for (const one of everyModel())
    if (String(one.tags[0]).startsWith("definition ")) one.visible = one.tags[0] === `definition ${definition}`;
  show(at.step);
}

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  if (on) {
    if (at.step === T - 1) show(0);
    timer = setInterval(() => {
      show(at.step + 1);
      if (at.step === T - 1) play(false);
    }, 250);
  }
  byId("play").textContent = timer === null ? "▶ Read" : "❚❚ Pause";
}

for (const { box } of boxes) {
  const point = (event) => {
    const t = Number(event.target.dataset?.t);
    if (!(t >= 1)) return;
    play(false);
    show(t - 1);
  };
  box.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") point(event); });
  box.addEventListener("click", point);
  box.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!by) return;
    event.preventDefault();
    play(false);
    show(at.step + by);
  });
}
for (const button of document.querySelectorAll("[data-moment]"))
  button.addEventListener("click", () => choose(Number(button.dataset.moment), at.definition));
byId("definition").addEventListener("change", (event) => choose(at.moment, Number(event.target.value)));
byId("play").addEventListener("click", () => play(timer === null));

address.add("place", () => at.step + 1, wholeNumber(1, T, (place) => { play(false); show(place - 1); }));
address.add("training", () => ["before", "after"][at.moment], oneOf(["before", "after"], (moment) => choose(moment, at.definition)));
address.add("definition", () => data.definitions[at.definition].name, oneOf(data.definitions.map(({ name }) => name), (place) => choose(at.moment, place)));

whenPlotted(() => { choose(1, 0); address.begin(); });
