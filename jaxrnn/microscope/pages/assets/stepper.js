"use strict";

const data = readData("recordings");
const UNSEEN = -2; // The time index of a tensor that has no times; -1 is "before the first step".

/* The picture's state: for each side, for each tensor, a value for each time index. */
const sides = data.sides.map((side) => {
  const state = new Map(data.tensors.map((tensor) => [tensor.name, new Map()]));
  const write = ([name, index, array]) => ({ name, index: index ?? UNSEEN, array: unpack(array) });
  const first = side.initial.map(write);
  for (const { name, index, array } of first) state.get(name).set(index, array);
  const events = side.events.map((event) => ({ ...event, writes: event.writes.map(write) }));
  // Going back needs what was there before: found once, by walking forward once.
  const walk = new Map([...state].map(([name, times]) => [name, new Map(times)]));
  for (const event of events)
    for (const item of event.writes) {
      item.before = walk.get(item.name).get(item.index);
      walk.get(item.name).set(item.index, item.array);
    }
  return { ...side, first, state, events, cards: new Map() };
});
const count = sides[0].events.length;
let place = 0; // Executed lines.
let timer = null;

/* ---- The program ---------------------------------------------------------------------------- */
const program = document.getElementById("program");
const lines = [];
let phase = "";
for (const block of data.blocks) {
  const first = block.lines[0].phase;
  if (first !== phase) program.append(element("div", { class: "phase" }, data.phases[(phase = first)]));
  if (block.head) program.append(element("div", { class: "head" }, block.head));
  for (const line of block.lines) {
    const button = element("button", { class: `line${block.head ? " inside" : ""}`, type: "button" });
    button.innerHTML = `<span class="code">${line.code}</span><span class="equation">${line.equation}</span>`;
    const number = lines.length;
    button.addEventListener("click", () => go(next((event) => event.line === number)));
    program.append(button);
    lines.push({ ...line, button });
  }
}

/** The next place, going round, at which an event of this kind has just run. */
function next(wanted) {
  const events = sides[0].events;
  for (let k = 1; k <= count; k++) {
    const i = (place - 1 + k + count) % count;
    if (wanted(events[i])) return i + 1;
  }
  return place;
}

for (const button of document.querySelectorAll("[data-notation]"))
  button.addEventListener("click", () => {
    program.className = button.dataset.notation;
    press(button);
    keepInView(lines[current()?.line ?? 0].button);
  });

function press(button) {
  for (const other of button.parentElement.children)
    other.setAttribute("aria-pressed", String(other === button));
}

const tensorOf = new Map(data.tensors.map((tensor) => [tensor.name, tensor]));

/* ---- The tensors ---------------------------------------------------------------------------- */
const scale = new Map(); // The largest size of each tensor, over all sides and times.
for (const side of sides)
  for (const { name, array } of [...side.events.flatMap((event) => event.writes), ...side.first]) {
    let most = scale.get(name) ?? 1e-12;
    for (const value of array.values) most = Math.max(most, Math.abs(value));
    scale.set(name, most);
  }

function makeCard(tensor) {
  const picture = new TensorPicture(tensor.shape, scale.get(tensor.name) ?? 1, data.columnsWithNumbers);
  const { canvas, columns, width, height, gap } = picture;
  canvas.setAttribute("aria-label", `${tensor.name}, ${tensor.label}`);
  const here = element("div", { class: "here", hidden: "" });
  here.style.width = `${width}px`;
  const grid = element("div", { class: "grid" });
  const card = element("div", { class: "card", "data-name": tensor.name }, element("div", { class: "name" }), grid);
  card.firstChild.innerHTML =
    `<span class="symbol" data-name="${tensor.name}">${tensor.symbol}</span><span class="shape">${tensor.label}</span>`;
  if (tensor.timed && width >= 11) {
    const times = element("div", { class: "times" });
    times.style.cssText = `grid-template-columns: repeat(${columns}, ${width}px); gap: ${gap}px; padding-left: ${gap}px`;
    for (let column = 0; column < columns; column++)
      times.append(element("span", { class: "label" }, String(tensor.first + column).replace("-", "−")));
    grid.append(times);
  }
  if (tensor.rowLabels && height >= 11) {
    const rows = element("div", { class: "rows" });
    rows.style.cssText = `grid-auto-rows: ${height}px; gap: ${gap}px; padding-top: ${gap}px`;
    for (const label of tensor.rowLabels) rows.append(element("bdi", { class: "label" }, label));
    grid.append(rows);
  }
  grid.append(element("div", { class: "picture" }, canvas, here));
  return { card, picture, here };
}

const frame = document.getElementById("sides");
sides.forEach((side, number) => {
  const tokens = element("table", { class: "tokens" });
  const row = (label, texts) => {
    const cells = texts.map((text) => element("td", {}, element("bdi", {}, text)));
    tokens.append(element("tr", {}, element("th", {}, label), ...cells));
    return cells;
  };
  side.tokenRows = [row("reads", data.inputs), row("should expect", data.targets)];
  side.chances = row("p of it", data.inputs.map(() => ""));
  side.lossText = element("span", { class: "loss" });
  side.section = element("section", { class: "side", "data-side": number },
    element("h2", {}, element("span", {}, side.name), side.lossText),
    element("div", { class: "tokens-frame" }, tokens));
  for (const group of data.groups) {
    const box = element("div", { class: "cards" });
    for (const names of group.pairs) {
      const pair = element("div", { class: "pair" });
      for (const name of names) {
        const card = makeCard(tensorOf.get(name));
        side.cards.set(name, card);
        pair.append(card.card);
      }
      box.append(pair);
    }
    side.section.append(element("h2", { class: "quiet" }, group.title), box);
  }
  frame.append(side.section);
});

function valueAt(side, tensor, row, column) {
  const times = side.state.get(tensor.name);
  const array = times.get(tensor.timed ? tensor.first + column : UNSEEN);
  if (!array) return undefined;
  return array.values[tensor.timed ? row : row * tensor.shape[1] + column];
}

/** What the line that has just run wrote of a tensor. */
function writesOf(side, name) {
  return place > 0 ? side.events[place - 1].writes.filter((item) => item.name === name) : [];
}

/** Draws one tensor; what its line has changed is marked. */
function draw(side, name) {
  const tensor = tensorOf.get(name), { card, picture } = side.cards.get(name), times = side.state.get(name);
  const { values, marks } = picture.blank(), { rows, columns } = picture;
  // A tensor with times has one array a column; another one has one array in all.
  const fill = (into, index, valueOf) => {
    if (!tensor.timed) for (let i = 0; i < into.length; i++) into[i] = valueOf(i);
    else for (let row = 0; row < rows; row++) into[row * columns + index - tensor.first] = valueOf(row);
  };
  for (const [index, array] of times) fill(values, index, (i) => array.values[i]);
  const writes = writesOf(side, name);
  for (const { index, array, before } of writes)
    fill(marks, index, (i) => before === undefined || before.values[i] !== array.values[i]);
  picture.show();
  card.classList.toggle("absent", times.size === 0);
  card.classList.toggle("written", writes.length > 0);
}

/* ---- Moving --------------------------------------------------------------------------------- */
const current = () => (place === 0 ? undefined : sides[0].events[place - 1]);

function go(target) {
  target = Math.max(0, Math.min(count, target));
  const dirty = new Set(current()?.writes.map((item) => item.name)); // Their marks go.
  while (place !== target) {
    const forward = place < target;
    for (const side of sides) {
      const items = side.events[forward ? place : place - 1].writes;
      for (const { name, index, array, before } of items) {
        dirty.add(name);
        const value = forward ? array : before;
        if (value === undefined) side.state.get(name).delete(index);
        else side.state.get(name).set(index, value);
      }
    }
    place += forward ? 1 : -1;
  }
  show(dirty);
}

let shownAt = { line: undefined, t: undefined }; // What is lit in the program and in the text.

function show(dirty) {
  const event = current();
  for (const side of sides) {
    for (const name of dirty) if (side.cards.has(name)) draw(side, name);
    const loss = side.state.get("loss").get(UNSEEN).values[0];
    side.lossText.textContent = place === count
      ? `loss ${shown(side.loss)} → ${shown(side.lossAfter)} ${side.unit} after the update`
      : `loss so far ${shown(loss)} ${side.unit}`;
    if (event?.t !== shownAt.t)
      for (const cells of side.tokenRows) {
        cells[shownAt.t]?.classList.remove("here");
        cells[event?.t]?.classList.add("here");
      }
    if (dirty.has("p")) showChances(side);
  }
  lines[shownAt.line]?.button.classList.remove("active");
  lines[event?.line]?.button.classList.add("active");
  shownAt = { line: event?.line, t: event?.t };
  const line = event && lines[event.line];
  if (line) keepInView(line.button);
  document.getElementById("badge").textContent = line ? data.phases[line.phase] : "ready";
  document.getElementById("time").textContent = line && data.inLoop[event.line] ? `t = ${event.t}` : "";
  document.getElementById("now-equation").innerHTML = line ? line.equation : "";
  document.getElementById("note").textContent = line
    ? [line.note, scalarsWritten()].filter(Boolean).join("; ")
    : "Nothing has run yet: the parameters and the state before the first step.";
  document.getElementById("place").textContent = `line ${place} of ${count}`;
  const scrubber = document.getElementById("scrubber");
  scrubber.value = place;
  scrubber.setAttribute("aria-valuetext", line
    ? `${place} of ${count}: ${line.phase}, ${line.button.querySelector(".code").textContent}` : "start");
  document.getElementById("back").disabled = place === 0;
  document.getElementById("next").disabled = place === count;
  followTensor();
  if (event)
    for (const { tokenRows } of sides) {
      const cell = tokenRows[0][event.t], box = cell.closest(".tokens-frame");
      box.scrollLeft = cell.offsetLeft - box.clientWidth / 2;
    }
}

/** The probability that each right character got. */
function showChances(side) {
  side.chances.forEach((cell, t) => {
    const p = side.state.get("p").get(t)?.values[data.targetIds[t]];
    cell.textContent = p === undefined ? "" : p.toFixed(data.length > 8 ? 2 : 3);
    cell.style.backgroundColor = p === undefined ? "" : `rgb(var(--positive) / ${0.6 * p})`;
  });
}

/** The numbers that the line wrote and that have no card, e.g. the gradient's norm. */
function scalarsWritten() {
  const event = current();
  const names = event.writes.map(({ name }) => name).filter((name) => name !== "loss" && !sides[0].cards.has(name));
  return names.map((name) => `${name} = ${scalarOf(name)}`).join(", ");
}

/** A tensor of one number, on all sides. */
function scalarOf(name) {
  return sides.map((side) => {
    const value = side.state.get(name).get(UNSEEN)?.values[0];
    return `${value === undefined ? "not there yet" : shown(value)}${sides.length > 1 ? ` (${side.name})` : ""}`;
  }).join(", ");
}

/** Scrolls the program's own box only, so that the page does not jump. */
function keepInView(button) {
  const line = button.getBoundingClientRect(), box = program.getBoundingClientRect();
  if (line.top < box.top + 30) program.scrollTop += line.top - box.top - 60;
  else if (line.bottom > box.bottom - 30) program.scrollTop += line.bottom - box.bottom + 60;
}

/** Brings the first tensor that the line wrote between the bar above and the player below. */
function followTensor() {
  const card = document.querySelector(".side:not([hidden]) .card.written");
  if (!card) return;
  const box = card.getBoundingClientRect();
  const top = document.getElementById("now").getBoundingClientRect().bottom;
  const bottom = document.getElementById("player").getBoundingClientRect().top;
  const down = box.top < top ? box.top - top - 8 : box.bottom > bottom ? box.bottom - bottom + 8 : 0;
  if (down) scrollBy({ top: down, behavior: "instant" });
}

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  if (on) {
    if (place === count) go(0);
    const each = 1000 / Number(document.getElementById("speed").value);
    timer = setInterval(() => {
      go(place + 1);
      if (place === count) play(false);
    }, each);
  }
  const button = document.getElementById("play");
  button.textContent = timer === null ? "▶ Play" : "❚❚ Pause";
  button.setAttribute("aria-pressed", String(timer !== null));
}

const onClick = (id, action) => document.getElementById(id).addEventListener("click", action);
onClick("play", () => play(timer === null));
onClick("back", () => { play(false); go(place - 1); });
onClick("next", () => { play(false); go(place + 1); });
document.getElementById("speed").addEventListener("change", () => play(timer !== null));
document.getElementById("scrubber").addEventListener("input", (event) => {
  play(false);
  go(Number(event.target.value));
});
for (const button of document.querySelectorAll("[data-phase]"))
  button.addEventListener("click", () => {
    play(false);
    go(sides[0].events.findIndex((event) => lines[event.line].phase === button.dataset.phase) + 1);
  });
for (const button of document.querySelectorAll("[data-show]"))
  button.addEventListener("click", () => chooseSide(button));

function chooseSide(button) {
  press(button);
  const wanted = button.dataset.show;
  sides.forEach((side, i) => { side.section.hidden = wanted !== "all" && wanted !== String(i); });
  frame.style.setProperty("--sides", wanted === "all" ? sides.length : 1);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input")) return;
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -count, End: count }[event.key];
  if (step !== undefined) { play(false); go(place + step); event.preventDefault(); }
  if (event.key === " " && !event.target.matches("button")) { play(timer === null); event.preventDefault(); }
});

/* ---- Hovering: symbols light tensors, tensors light symbols ---------------------------------- */
const readout = document.getElementById("readout");

function timeOf(index) {
  const t = current()?.t ?? 0;
  return { t, "t-1": t - 1, "T-1": data.length - 1 }[index];
}

function light(name, index) {
  for (const other of document.querySelectorAll(".symbol"))
    other.classList.toggle("lit", other.dataset.name === name);
  for (const side of sides)
    for (const [other, { card, here, picture }] of side.cards) {
      card.classList.toggle("lit", other === name);
      const tensor = tensorOf.get(other);
      const column = tensor.timed && other === name && index ? timeOf(index) - tensor.first : -1;
      here.hidden = column < 0;
      here.style.left = `${picture.gap + column * (picture.width + picture.gap)}px`;
    }
}

function point(target, x, y) {
  const symbol = target.closest?.(".symbol");
  const card = target.closest?.(".card");
  if (!symbol && !card) { light(null); readout.hidden = true; return; }
  const name = (symbol ?? card).dataset.name;
  light(name, symbol?.dataset.index);
  const tensor = tensorOf.get(name);
  readout.innerHTML = `<span class="equation">${tensor.symbol}</span> `;
  delete readout.dataset.value;
  if (target.matches("canvas")) {
    const side = sides[Number(card.closest(".side").dataset.side)];
    const { row, column } = side.cards.get(name).picture.cellAt(x, y);
    const value = valueAt(side, tensor, row, column);
    const mark = writesOf(side, name).find((item) => !tensor.timed || item.index === tensor.first + column);
    const before = mark?.before?.values[tensor.timed ? row : row * tensor.shape[1] + column];
    const at = tensor.timed ? `t = ${tensor.first + column}, ${tensor.rowName(row)}` : tensor.place(row, column);
    readout.append(`${at}: ${value === undefined ? "not there yet" : shown(value)}`,
      before !== undefined && before !== value ? ` (was ${shown(before)})` : "");
    readout.dataset.value = value ?? "";
  } else if (tensor.label) readout.append(`${name}, ${tensor.label}`);
  else readout.append(`${name}: ${scalarOf(name)}`);
  readout.hidden = false;
  const box = readout.getBoundingClientRect();
  readout.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
  readout.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18}px`;
}

for (const tensor of data.tensors) {
  const label = (labels, i) => (labels ? `“${labels[i]}”` : String(i));
  tensor.rowName = (row) => (tensor.rowLabels ? label(tensor.rowLabels, row) : `unit ${row}`);
  tensor.place = (row, column) => tensor.vector
    ? label(tensor.columnLabels, column)
    : `row ${label(tensor.rowLabels, row)}, column ${label(tensor.columnLabels, column)}`;
}
document.addEventListener("pointermove", (event) => point(event.target, event.clientX, event.clientY));
document.addEventListener("pointerdown", (event) => point(event.target, event.clientX, event.clientY));

/* Another colour scheme or another zoom: all pictures anew. */
const everyPicture = (action) => sides.forEach((side) => side.cards.forEach(({ picture }) => action(picture)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readShades();
  everyPicture((picture) => picture.restart());
});
let ratio = devicePixelRatio;
addEventListener("resize", () => {
  if (ratio === devicePixelRatio) return;
  ratio = devicePixelRatio;
  everyPicture((picture) => picture.restart());
});

document.getElementById("scrubber").max = count;
if (sides.length > 1 && innerWidth < 640)
  chooseSide(document.querySelector(`[data-show="${sides.length - 1}"]`));
else frame.style.setProperty("--sides", sides.length);
show(new Set(data.tensors.map((tensor) => tensor.name)));
