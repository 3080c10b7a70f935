"use strict";

/* Which entry is worked out: by the line, the pointer, keys or the address; and the start. */

/** What stands at the line just executed: for sums the target's own value is that before it. */
function formulaOf(event) {
  const side = sides[shownSide], line = lines[event.line], { writes } = side.events[place - 1];
  const tensor = (name, index) => {
    const at = tensors.get(name).timed ? timeOf(index, event.t) : UNSEEN;
    const written = writes.find((item) => item.name === name && item.index === at);
    const value = written ? written.before : side.state.get(name).get(at);
    return value && { shape: value.shape, values: value.values, full: tensors.get(name).full };
  };
  const known = { inputsRow: data.inputRows[event.t], targetsRow: data.targetRows[event.t] };
  return new Formula(line, tensor, known);
}

/** The entry that is told: the one chosen, if this line writes it, else the largest it wrote. */
function toldEntry(event) {
  const { writes } = sides[shownSide].events[place - 1], line = lines[event.line];
  const timed = ({ name, index }) => (tensors.get(name).timed ? index : undefined);
  const mine = chosen && writes.find((item) => item.name === chosen.name && timed(item) === chosen.time);
  if (mine) return { which: writes.indexOf(mine), ...chosen };
  if (chosen && !hoveredEntry) {
    const which = writes.findIndex((item) => item.array.values.length > chosen.entry && chosen.keep);
    if (which >= 0) return { which, name: writes[which].name, time: timed(writes[which]), entry: chosen.entry };
  }
  const moved = ({ array, before }, k) => Math.abs(array.values[k] - (line.sign === "=" || !before ? 0 : before.values[k]));
  let best = { which: 0, entry: 0, size: -1 };
  const first = writes[0];
  for (let k = 0; k < first.array.values.length; k++)
    if (moved(first, k) > best.size) best = { which: 0, entry: k, size: moved(first, k) };
  return { which: best.which, name: first.name, time: timed(first), entry: best.entry };
}

/** The line's sum for one entry, in numbers, with what came of it. */
function worked(event, told, sum) {
  const box = $("worked");
  if (!event) { box.innerHTML = ""; return; }
  const item = sides[shownSide].events[place - 1].writes[told.which], value = item.array.values[told.entry];
  const result = brief(value), changed = item.before !== undefined && item.before.values[told.entry] !== value;
  const time = told.time === undefined ? "" : `<sub>${String(told.time).replace("-", "−")}</sub>`, where = placeName(told.name, told.entry);
  const name = `${tensors.get(told.name).symbol}${time}<span class="entry">${where}</span>`;
  box.innerHTML = `<span class="equation">${name}</span> = <span class="terms"></span> = <b></b>`;
  box.querySelector(".terms").textContent = sum.text;
  box.querySelector("b").textContent = shown(value);
  if (sum.text === result || sum.text === shown(value)) box.querySelector(".terms").nextSibling.remove(), box.querySelector("b").remove();
  if (changed && lines[event.line].sign === "=") box.append(element("span", { class: "quiet" }, ` (was ${shown(item.before.values[told.entry])})`));
  box.dataset.value = value;
  box.dataset.entry = `${told.name}:${told.entry}`;
  box.setAttribute("aria-live", timer === null ? "polite" : "off");
}

/** Which entry of a tensor, by what its rows and columns are called. */
function placeName(name, entry) {
  const { shape, labels, blocks, gates, kinds } = tensors.get(name);
  if (shape.length === 0) return "";
  const columns = shape[shape.length - 1];
  const word = (axis, k) => (kinds[axis] === "token" ? `“${labels[axis][k]}”` : `${kinds[axis]} ${labels[axis][k]}`);
  const label = (axis, k) => (blocks[axis] > 1 ? `${word(axis, k)} of ${gates[Math.floor((k * blocks[axis]) / shape[axis])]}` : word(axis, k));
  return shape.length === 1 ? label(0, entry) : `${label(0, Math.floor(entry / columns))} → ${label(1, entry % columns)}`;
}

/* ---- Choosing entries: by pointer, touch and keys -------------------------------------------- */
function moveChosen(down, right) {
  const event = current();
  if (!event) return;
  const told = toldEntry(event), box = layout.find(told.name, told.time);
  if (!box) return;
  const row = Math.floor(told.entry / box.columns) + down, column = (told.entry % box.columns) + right;
  if (row < 0 || row >= box.rows || column < 0 || column >= box.columns) return;
  pinned = chosen = { name: told.name, time: told.time, entry: row * box.columns + column, keep: true };
  showPicture();
  remember();
}

const spotOf = (event) => {
  const box = picture.getBoundingClientRect();
  return layout.under((event.clientX - box.left) / zoom.scale, (event.clientY - box.top) / zoom.scale);
};

const readout = document.body.appendChild(element("div", { id: "readout", "aria-hidden": "true", hidden: "" }));
function tell(html, event) {
  readout.hidden = !html;
  if (!html) return;
  readout.innerHTML = html;
  const box = readout.getBoundingClientRect();
  readout.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 4))}px`;
  readout.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
}

picture.addEventListener("pointermove", (event) => {
  const spot = spotOf(event);
  light(spot?.name ?? null);
  hoveredEntry = Boolean(spot);
  chosen = spot ? { name: spot.name, time: spot.time, entry: spot.entry } : pinned;
  showPicture();
  if (!spot) { tell("", event); return; }
  const tensor = tensors.get(spot.name), value = drawing.value(spot.name, spot.time)?.values[spot.entry];
  tell(`<span class="equation">${tensor.symbol}${spot.time === undefined ? "" : `<sub>${spot.time}</sub>`}</span> `
    + `${placeName(spot.name, spot.entry)}: ${value === undefined ? "not there yet" : shown(value)}`, event);
  readout.dataset.value = value ?? "";
});
picture.addEventListener("pointerleave", () => {
  hoveredEntry = false;
  chosen = pinned;
  light(null);
  readout.hidden = true;
  showPicture();
});
picture.addEventListener("click", (event) => {
  const spot = spotOf(event);
  pinned = chosen = spot && { name: spot.name, time: spot.time, entry: spot.entry, keep: true };
  showPicture();
  remember();
});

function light(name) {
  if (hovered === name) return;
  hovered = name;
  for (const other of document.querySelectorAll(".symbol")) other.classList.toggle("lit", other.dataset.name === name);
}
document.addEventListener("pointerover", (event) => {
  if (picture.contains(event.target)) return;
  const symbol = event.target.closest?.(".symbol"), before = hovered;
  light(symbol?.dataset.name ?? null);
  if (before !== hovered) showPicture();
});

/* ---- The address: step, entry, side ---------------------------------------------------------- */
let pending = 0;
/** A moment later: browsers refuse hundreds of changes at once. */
function remember() {
  clearTimeout(pending);
  pending = setTimeout(writeAddress, 250);
}

function writeAddress() {
  const parts = [`step=${place}`];
  if (sides.length > 1) parts.push(`side=${encodeURIComponent(sides[shownSide].name)}`);
  const entry = pinned ?? (chosen?.keep ? chosen : null);
  if (entry) parts.push(`entry=${entry.name}${entry.time === undefined ? "" : `@${entry.time}`}:${entry.entry}`);
  const text = `#${parts.join("&")}`;
  if (location.hash !== text) history.replaceState(null, "", text);
}

/** Takes what the address says; what in it does not fit this page is left out, with a note. */
function recall() {
  const given = location.hash.slice(1), wrong = [];
  let target = opening();
  pinned = chosen = null;
  chooseSide(shownSide);
  for (const part of given ? given.split("&") : []) {
    const [name, value = ""] = part.split("=");
    let text = value;
    try { text = decodeURIComponent(value); } catch { /* It is then no name of a side. */ }
    const side = sides.findIndex((one) => one.name === text);
    const entry = /^(\w+)(?:@(-?\d+))?:(\d+)$/.exec(text);
    const tensor = entry && tensors.get(entry[1]);
    const size = tensor ? sizeOf(tensor.shape) : 0;
    if (name === "step" && /^\d+$/.test(text) && Number(text) <= count) target = Number(text);
    else if (name === "side" && side >= 0) chooseSide(side);
    else if (name === "entry" && tensor && Number(entry[3]) < size && tensor.timed === (entry[2] !== undefined))
      pinned = chosen = { name: entry[1], time: entry[2] === undefined ? undefined : Number(entry[2]), entry: Number(entry[3]), keep: true };
    else wrong.push(part);
  }
  const note = $("fragment-note");
  note.hidden = wrong.length === 0;
  note.textContent = wrong.length ? `The address says ${wrong.map((part) => `“${part.slice(0, 60)}”`).join(", ")}, which does not fit this page and was left out.` : "";
  fit(); // The note takes room.
  go(target);
}
addEventListener("hashchange", () => { play(false); recall(); });

/** The place that the page opens at: where the second step multiplies its state. */
function opening() {
  const t = Math.min(1, data.length - 1);
  const product = sides[0].events.findIndex((event) => event.t === t && lines[event.line].reads.some(([name]) => data.layers[0].matrices.includes(name)));
  const state = sides[0].events.findIndex((event) => event.t === t && event.writes.some((item) => item.name === data.layers[0].carries[0]));
  return (product >= 0 ? product : state) + 1;
}

/* Another colour scheme, another window. */
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readShades(); showPicture(); });
addEventListener("resize", () => {
  // A phone's bars come and go while one scrolls; that is no other window.
  const known = fitted.window;
  if (innerWidth === known[0] && innerHeight < known[1] + 120 && innerHeight > known[1] - 120 && innerWidth < 640) return;
  fit();
  showPicture();
});
$("scrubber").max = count;
recall();
