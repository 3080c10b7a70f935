"use strict";

const data = readData("recordings");
document.body.dataset.fills = "window"; // For a page that frames this one.
const UNSEEN = -2; // The time index of a tensor that has no times; -1 is "before the first step".
const $ = (id) => document.getElementById(id);
const tensors = new Map(data.tensors.map((tensor) => [tensor.name, tensor]));

/* Each side's state: for each tensor, a value for each time index. */
const sides = data.sides.map((side) => {
  const state = new Map(data.tensors.map((tensor) => [tensor.name, new Map()]));
  const write = ([name, index, array]) => ({ name, index: index ?? UNSEEN, array: unpack(array) });
  const first = side.initial.map(write);
  for (const { name, index, array } of first) state.get(name).set(index, array);
  const events = side.events.map((event) => ({ ...event, writes: event.writes.map(write) }));
  // Going back needs what was there before: found once, by walking forward once.
  const walk = new Map([...state].map(([name, times]) => [name, new Map(times)]));
  const scale = new Map();
  for (const item of [...first, ...events.flatMap((event) => event.writes)]) {
    item.before = walk.get(item.name).get(item.index);
    walk.get(item.name).set(item.index, item.array);
    let most = scale.get(item.name) ?? 1e-12;
    for (const value of item.array.values) most = Math.max(most, Math.abs(value));
    scale.set(item.name, most);
  }
  for (const item of first) item.before = undefined;
  return { ...side, state, events, scale };
});
const count = sides[0].events.length;
let place = 0; // Executed lines.
let shownSide = sides.length - 1;
let timer = null;
let chosen = null; // The entry whose sum is told: {name, time, entry}; null: the line's largest.
let hovered = null; // A tensor whose symbol is under the pointer.
let hoveredEntry = false; // Whether the chosen entry is under the pointer for the moment.
let pinned = null; // What was chosen by a click or a key; a pointer that passes by chooses for the moment.
const current = () => (place === 0 ? undefined : sides[0].events[place - 1]);

/* ---- The program ---------------------------------------------------------------------------- */
const program = $("program");
const lines = [];
let phase = "";
for (const block of data.blocks) {
  const first = block.lines[0].phase;
  if (first !== phase) program.append(element("div", { class: "phase" }, data.phases[(phase = first)]));
  if (block.head) program.append(element("div", { class: "head" }, block.head));
  for (const line of block.lines) {
    const button = element("button", { class: `line${block.head ? " inside" : ""}`, type: "button", tabindex: "-1" });
    button.innerHTML = `<span class="code">${line.code}</span><span class="equation">${line.equation}</span>`;
    const number = lines.length;
    button.addEventListener("click", () => { play(false); go(next((event) => event.line === number)); });
    program.append(button);
    lines.push({ ...line, button, inLoop: Boolean(block.head) });
  }
}
data.lines = lines;
data.forwardNames = new Set(lines.filter((line) => line.phase === "forward").flatMap((line) => line.targets.map(([name]) => name))
  .concat(data.sides[0].initial.map(([name]) => name)));
data.used = new Set(lines.filter((line) => line.phase === "backward").flatMap((line) => [...line.targets, ...line.reads].map(([name]) => name)));
data.scalars = data.tensors.filter((tensor) => tensor.shape.length === 0 && tensor.name !== "loss").map((tensor) => tensor.name);

/** The next place, going round, at which an event of this kind has just run. */
function next(wanted) {
  for (let k = 1; k <= count; k++) {
    const i = (place - 1 + k + count) % count;
    if (wanted(sides[0].events[i])) return i + 1;
  }
  return place;
}

for (const button of document.querySelectorAll("[data-notation]"))
  button.addEventListener("click", () => {
    program.className = button.dataset.notation;
    press(button);
    showLine();
  });

function press(button) {
  for (const other of button.parentElement.children)
    other.setAttribute("aria-pressed", String(other === button));
}

/** Scrolls the program's own box only, so that the page does not jump. */
function keepInView(button) {
  const line = button.getBoundingClientRect(), box = program.getBoundingClientRect();
  if (line.top < box.top + 30) program.scrollTop += line.top - box.top - 60;
  else if (line.bottom > box.bottom - 30) program.scrollTop += line.bottom - box.bottom + 60;
}

/* ---- The text, the chances, the losses ------------------------------------------------------ */
const tokens = $("tokens");
const tokenRows = [];
tokens.classList.toggle("many", data.length > 6);
function row(label, texts, last) {
  const cells = texts.map((text) => element("td", {}, element("bdi", {}, text)));
  tokens.append(element("tr", {}, element("th", { scope: "row" }, label), ...cells, last));
  return cells;
}
tokenRows.push(row("Reads", data.inputs, element("td", { class: "loss" })));
tokenRows.push(row("Expected", data.targets, element("th", { class: "loss", scope: "col" }, "Loss, nats")));
for (const side of sides) {
  side.loss_ = element("td", { class: "loss" });
  side.chances = row(sides.length > 1 ? `p, ${side.name}` : "p of it", data.inputs.map(() => ""), side.loss_);
}
data.inputs.forEach((_, t) => tokenRows[0][t].addEventListener("click", () =>
  go(next((event) => event.t === t && event.line === (current()?.line ?? 0)))));

function showText() {
  const t = current()?.t;
  for (const cells of [...tokenRows, ...sides.map((side) => side.chances)])
    cells.forEach((cell, k) => cell.classList.toggle("here", k === t));
  for (const side of sides) {
    side.chances.forEach((cell, k) => {
      const p = side.state.get("p").get(k)?.values[data.targetRows[k]];
      cell.textContent = p === undefined || !data.targets[k] ? "" : p.toFixed(2);
      cell.style.background = p === undefined ? "" : `rgb(var(--positive) / ${(0.55 * p).toFixed(2)})`;
    });
    const loss = side.state.get("loss").get(UNSEEN).values[0];
    side.loss_.textContent = place === count ? `${shown(side.loss)} → ${shown(side.lossAfter)}` : shown(loss);
    side.loss_.title = place === count ? "before and after the update" : side.unit;
  }
  if (t === undefined) return;
  const frame = $("tokens-frame"), cell = tokenRows[0][t];
  if (frame.scrollWidth > frame.clientWidth) frame.scrollLeft = cell.offsetLeft - frame.clientWidth / 2;
}

/* ---- The picture ---------------------------------------------------------------------------- */
const picture = $("picture"), frame = $("window");
const drawing = new Drawing(picture.querySelector("canvas"));
let layout = null, fitted = null, zoom = { scale: 1, left: 0, top: 0 };

/** Whether a tensor could be there while a line of this phase runs. */
const possible = (name, phase) => phase !== "forward" || !name.startsWith("d_");

function fit() {
  const narrow = innerWidth < 640;
  const bottom = $("player").offsetHeight + $("worked").offsetHeight + 10;
  const height = Math.max(260, innerHeight - (frame.getBoundingClientRect().top + scrollY) - bottom);
  const room = { width: frame.clientWidth, height, narrow };
  fitted = { sizes: fittingSizes(data, tensors, room, possible), room, window: [innerWidth, innerHeight] };
  const tallest = Math.max(...Object.values(fitted.sizes).map(({ above, below }) => above + below));
  frame.style.height = `${Math.min(height, Math.ceil(tallest))}px`;
}

const timeOf = (index, t) => ({ t, "t-1": t - 1, "T-1": data.length - 1 })[index];
const keyOf = (name, index, t) => `${name}@${tensors.get(name).timed ? timeOf(index, t) : ""}`;

function showPicture() {
  const event = current(), side = sides[shownSide];
  const line = event ? lines[event.line] : lines[0], t = event?.t ?? 0;
  const has = (name, time) => side.state.get(name)?.has(tensors.get(name).timed ? time : UNSEEN);
  const most = fitted.sizes[`${line.phase} ${line.layer}`];
  layout = new Layout(data, tensors, line, t, has, most.size, fitted.room);
  layout.above = Math.max(layout.above, most.above);
  layout.below = Math.max(layout.below, most.below);
  layout.height = layout.above + layout.below;
  const keys = (list) => new Set(list.map(([name, index]) => keyOf(name, index, t)));
  const reads = event ? keys(line.reads) : new Set(), writes = event ? keys(line.targets) : new Set();
  let told = null, sum = { text: "", touched: [] };
  if (event) {
    told = toldEntry(event);
    sum = formulaOf(event).tell(told.which, told.entry);
  }
  const show = {
    line: event && line, reads, writes, operands: new Set([...reads, ...writes]), hovered, chosen: told,
    readNames: new Set(line.reads.map(([name]) => name)), writtenNames: new Set(line.targets.map(([name]) => name)),
    touched: sum.touched.map(([name, index, entry]) => [name, tensors.get(name).timed ? timeOf(index, t) : undefined, entry]),
  };
  show.changed = new Map((event ? side.events[place - 1].writes : []).map(({ name, index, array, before }) => [
    `${name}@${tensors.get(name).timed ? index : ""}`,
    Array.from(array.values, (value, k) => Number(!before || before.values[k] !== value)),
  ]));
  camera(show.operands);
  show.zoom = zoom.scale;
  drawing.paint(layout, side, show);
  overlay(show);
  worked(event, told, sum);
}

/** Where the picture is larger than its window: what the line reads and writes is in it. */
function camera(operands) {
  const { width, height } = fitted.room, tall = Math.min(height, frame.clientHeight || height);
  const boxes = layout.boxes.filter((box) => !box.small && box.kinds.some((name) => operands.has(`${name}@${tensors.get(name).timed ? box.time : ""}`)));
  const edge = (pick, most) => (boxes.length ? pick(...boxes.map(most)) : 0);
  const left = edge(Math.min, (box) => box.x) - 18, right = edge(Math.max, (box) => box.x + box.width) + 6;
  const top = edge(Math.min, (box) => box.y + layout.above) - 20, bottom = edge(Math.max, (box) => box.y + layout.above + box.height) + 6;
  const scale = Math.min(1, width / Math.max(1, right - left), tall / Math.max(1, bottom - top));
  const shift = (size, room, from, to) => {
    const inner = room / scale;
    if (size <= inner) return (inner - size) / 2;
    if (from >= 0 && to <= inner) return 0;
    if (from >= size - inner) return inner - size;
    return Math.min(0, Math.max(inner - size, inner / 2 - (from + to) / 2));
  };
  zoom = { scale, left: shift(layout.width, width, left, right) * scale, top: shift(layout.height, tall, top, bottom) * scale };
  picture.style.transform = `translate(${zoom.left}px, ${zoom.top}px) scale(${scale})`;
  picture.style.width = `${layout.width}px`;
  picture.style.height = `${layout.height}px`;
}

/* Names over the boxes, and the boxes themselves for the pointer: made once, then moved. */
const overlays = [];
function overlay(show) {
  const labelled = layout.boxes.filter((box) => box.label);
  labelled.forEach((box, k) => {
    overlays[k] ??= picture.appendChild(element("div", { class: "tensor" }, element("span", { class: "name" })));
    const node = overlays[k], operand = box.kinds.filter((name) => show.operands.has(drawing.key(name, box.time)));
    const key = box.kinds.join() + (box.time ?? "");
    if (node.dataset.key !== key) {
      node.dataset.key = key;
      const time = tensors.get(box.name).timed ? String(box.time).replace("-", "−") : "";
      node.firstChild.innerHTML = box.kinds.map((name) =>
        `<span class="symbol" data-name="${name}">${tensors.get(name).symbol}${time && name === box.name ? `<sub class="time">${tensors.get(name).symbol.includes("<sub>") ? ", " : ""}${time}</sub>` : ""}</span>`).join(" ");
      node.dataset.names = box.kinds.map((name) => `${name}@${time && box.time}`).join(" ");
    }
    node.hidden = false;
    node.className = `tensor ${box.label}${operand.length ? " lit" : ""}`;
    node.style.cssText = `left:${box.x - 1}px;top:${box.y + layout.above}px;width:${box.width + 2}px;height:${box.height}px`;
  });
  for (let k = labelled.length; k < overlays.length; k++) overlays[k].hidden = true;
}

/* ---- Moving --------------------------------------------------------------------------------- */
function go(target) {
  target = Math.max(0, Math.min(count, target));
  while (place !== target) {
    const forward = place < target;
    for (const side of sides)
      for (const { name, index, array, before } of side.events[forward ? place : place - 1].writes) {
        const value = forward ? array : before;
        if (value === undefined) side.state.get(name).delete(index);
        else side.state.get(name).set(index, value);
      }
    place += forward ? 1 : -1;
  }
  show();
}

let activeLine = null;
function showLine() {
  const event = current(), line = event && lines[event.line];
  activeLine?.classList.remove("active");
  activeLine?.removeAttribute("aria-current");
  activeLine?.setAttribute("tabindex", "-1");
  activeLine = line?.button ?? null;
  activeLine?.setAttribute("tabindex", "0"); // One stop for the tab key; the arrows step.
  activeLine?.classList.add("active");
  activeLine?.setAttribute("aria-current", "step");
  if (line) keepInView(line.button);
  $("badge").textContent = line ? data.phases[line.phase].split(" ")[0] : "Before the first line";
  $("badge").dataset.phase = line?.phase ?? "";
  const layers = data.layers.length > 1 && line ? `layer ${line.layer + 1}/${data.layers.length}` : "";
  $("time").textContent = [line?.inLoop ? `t = ${event.t}` : "", layers].filter(Boolean).join(", ");
  $("now-equation").innerHTML = !line ? "" : program.className === "codes" ? `<code>${line.code}</code>` : line.equation;
  $("now-equation").classList.toggle("long", Boolean(line) && $("now-equation").textContent.length > 40);
  $("note").textContent = line ? line.note : "The parameters and the state before the first step.";
}

function show() {
  showLine();
  showText();
  showPicture();
  $("place").textContent = `Line ${place} of ${count}`;
  const scrubber = $("scrubber"), event = current();
  scrubber.value = place;
  scrubber.setAttribute("aria-valuetext", event
    ? `${place} of ${count}: ${lines[event.line].phase}, ${lines[event.line].button.querySelector(".code").textContent}` : "start");
  $("back").disabled = place === 0;
  $("next").disabled = place === count;
  if (timer === null) remember();
}

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  if (on) {
    if (place === count) go(0);
    const each = 1000 / Number($("speed").value), began = performance.now(), from = place;
    // By the clock, so that a slow drawing makes a coarser and not a slower film.
    timer = setInterval(() => {
      const due = from + Math.floor((performance.now() - began) / each);
      if (due <= place) return;
      go(Math.min(due, place + 4));
      if (place === count) play(false);
    }, Math.min(each, 20));
  } else remember();
  $("play").textContent = on ? "■ Stop" : "▶ Play";
}

$("back").addEventListener("click", () => { play(false); go(place - 1); });
$("next").addEventListener("click", () => { play(false); go(place + 1); });
$("play").addEventListener("click", () => play(timer === null));
$("speed").addEventListener("change", () => { if (timer !== null) play(true); });
$("scrubber").addEventListener("input", (event) => { play(false); go(Number(event.target.value)); });
for (const button of document.querySelectorAll("[data-phase]"))
  if (button.tagName === "BUTTON") button.addEventListener("click", () => {
    play(false);
    go(sides[0].events.findIndex((event) => lines[event.line].phase === button.dataset.phase) + 1);
  });
for (const button of document.querySelectorAll("[data-side]"))
  button.addEventListener("click", () => { chooseSide(Number(button.dataset.side)); show(); });

function chooseSide(number) {
  shownSide = number;
  sides.forEach((side, k) => side.loss_.parentElement.classList.toggle("other", k !== number));
  const button = document.querySelector(`[data-side="${number}"]`);
  if (button) press(button);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input")) return;
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -count, End: count }[event.key];
  const aside = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (event.shiftKey && aside) { moveChosen(...aside); event.preventDefault(); return; }
  if (step !== undefined) { play(false); go(place + step); event.preventDefault(); }
  if (event.key === " " && !event.target.matches("button")) { play(timer === null); event.preventDefault(); }
});
