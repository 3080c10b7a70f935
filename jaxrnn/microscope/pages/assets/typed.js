"use strict";

/* ---- Text that the reader types, read by the model itself ------------------------------------ */

function startTyping(id, unitOf, mostOf) {
  const holder = document.getElementById(id);
  if (!holder) return { show() {} };
  const model = JSON.parse(holder.textContent), runner = new CharacterModel(model);
  const ids = new Map(model.alphabet.map((character, k) => [character, k]));
  const input = document.getElementById("typed"), out = document.getElementById("typed-shown");
  input.value = model.start;

  function show() {
    const unit = unitOf(), most = mostOf(), unknown = new Set();
    runner.reset();
    out.replaceChildren();
    for (const character of input.value) {
      const k = ids.get(character);
      if (k === undefined) {
        unknown.add(character);
        out.append(element("span", { class: "unknown", title: "The model never saw this character and skips it" }, character === "\n" ? "↵\n" : character));
        continue;
      }
      const value = runner.read(k)[model.layer].h[unit];
      const span = element("span", { title: `${shown(value)}` }, model.readable[k]);
      span.style.backgroundColor = tint(value, most);
      span.dataset.value = value;
      out.append(span);
    }
    document.getElementById("typed-unknown").textContent = unknown.size
      ? `Not among the model’s ${model.alphabet.length} characters, marked and skipped: ${[...unknown].map((c) => (c === "\n" ? "a line break" : c === "\t" ? "a tab" : c)).join(" ")}` : "";
    const expected = [...runner.expected()].map((p, k) => [p, k]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    document.getElementById("typed-expected").replaceChildren("It expects next: ", ...expected.flatMap(([p, k]) =>
      [element("b", {}, element("bdi", {}, model.shown[k])), ` ${Math.round(100 * p)} %  `]));
    document.getElementById("typed-unit").textContent = data.labels[unit];
  }
  input.addEventListener("input", () => { show(); address.changed(); });
  address.add("typed", () => input.value, (text) => { input.value = text; show(); });
  return { show };
}
