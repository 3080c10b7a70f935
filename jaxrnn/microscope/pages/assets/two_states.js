"use strict";

const data = readData("states");
const byId = (id) => document.getElementById(id);
const T = data.steps;
for (const name of Object.keys(data.fields)) data.fields[name] = unpack(data.fields[name]).values;
const ROWS = [["i", "write"], ["f", "keep"], ["c", "memory"], ["o", "show"], ["h", "output"]];
const at = { line: 0, unit: 0, step: 1 };
let timer = null;

/** One number: of a field, at a step of the line, of the unit. */
function value(name, step) {
  return data.fields[name][at.unit * data.lines.length * T + at.line * T + step];
}

function colour(name, number) {
  if (name === "c") return tint(number, data.most[at.unit]);
  return tint(number, 1);
}

function draw() {
  const letters = data.lines[at.line];
  const table = element("table");
  const head = element("tr", { class: "letters" }, element("th", { scope: "row" }, element("span", {}, "character")));
  letters.forEach((letter, step) => {
    const cell = element("td", { "data-step": step }, letter);
    if (step === 1 || step === T - 2) cell.classList.add("marked");
    head.append(cell);
  });
  table.append(head);
  for (const [name, words] of ROWS) {
    const row = element("tr", {}, element("th", { scope: "row" }, element("b", {}, name), element("span", {}, ` ${words}`)));
    for (let step = 0; step < T; step++) {
      const cell = element("td", { "data-step": step });
      cell.style.backgroundColor = colour(name, value(name, step));
      row.append(cell);
    }
    table.append(row);
  }
  byId("strips").replaceChildren(table);
  byId("line").value = at.line;
  byId("unit").value = at.unit;
  point(at.step);
  address.changed();
}

/** Works the column's numbers out. */
function point(step) {
  at.step = Math.max(0, Math.min(T - 1, step));
  for (const cell of byId("strips").querySelectorAll("td"))
    cell.classList.toggle("here", Number(cell.dataset.step) === at.step);
  const n = (name, where = at.step) => value(name, where).toFixed(2).replace("-", "−");
  const before = at.step ? n("c", at.step - 1) : null;
  const line = byId("readout");
  const math = (...parts) => element("span", {}, ...parts);
  const it = (text) => element("i", {}, text);
  line.replaceChildren(
    math("After ", element("b", {}, element("bdi", {}, data.lines[at.line][at.step])), `, character ${at.step + 1} of the line, unit ${data.units[at.unit]}:`),
    before === null
      ? math(it("c"), ` = ${n("c")}; the line begins here`)
      : math(it("c"), " = ", it("f"), "·", it("c"), " before + ", it("i"), "·", it("g"), ` = ${n("f")} · ${before} + ${n("i")} · ${n("g")} = `, element("b", {}, n("c"))),
    math(it("h"), " = ", it("o"), " tanh ", it("c"), ` = ${n("o")} · ${Math.tanh(value("c", at.step)).toFixed(2).replace("-", "−")} = `, element("b", {}, n("h"))),
  );
  line.dataset.step = at.step;
}

const stepOf = (event) => event.target.closest?.("[data-step]")?.dataset.step;
for (const kind of ["pointermove", "click"])
  byId("strips").addEventListener(kind, (event) => {
    const step = stepOf(event);
    if (step === undefined) return;
    play(false);
    point(Number(step));
    if (kind === "click") address.changed();
  });
byId("strips").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1, Home: -T, End: T }[event.key];
  if (!by) return;
  event.preventDefault();
  play(false);
  point(at.step + by);
  address.changed();
});
byId("line").addEventListener("change", (event) => { at.line = Number(event.target.value); draw(); });
byId("unit").addEventListener("change", (event) => { at.unit = Number(event.target.value); draw(); });

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  if (on) {
    if (at.step === T - 1) point(0);
    timer = setInterval(() => {
      point(at.step + 1);
      if (at.step === T - 1) play(false);
    }, 350);
  }
  byId("play").textContent = timer === null ? "▶ Read" : "❚❚ Pause";
}
byId("play").addEventListener("click", () => play(timer === null));

address.add("line", () => at.line, wholeNumber(0, data.lines.length - 1, (line) => { at.line = line; draw(); }));
address.add("unit", () => data.units[at.unit], oneOf(data.units.map(String), (place) => { at.unit = place; draw(); }));
address.add("step", () => at.step, wholeNumber(0, T - 1, (step) => { play(false); point(step); }));

whenPlotted(() => { draw(); address.begin(); });
