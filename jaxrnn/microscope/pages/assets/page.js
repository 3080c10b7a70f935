"use strict";

/** The data that Python put into the page (`embedded_json` in html.py). */
function readData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** Bytes of a base64 text. */
function bytesOf(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The inverse of `packed` in html.py: {shape, values}. */
function unpack(array) {
  return { shape: array.shape, values: new Float32Array(bytesOf(array.f4).buffer) };
}

/** A number for reading: four digits, a true minus. */
function shown(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(2) : value.toFixed(size >= 100 ? 1 : 4);
  return text.replaceAll("-", "−");
}

/** An element with text or children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/* ---- The page's state, in the fragment of its address ---------------------------------------- */

/**
 * A page names the parts of its state: `address.add(name, get, set)`, where `get()` returns a value
 * and `set(text)` takes one over, and returns false where it does not fit. `address.begin()` then
 * takes over what the address says; `address.changed()`, after any change, writes whatever is no
 * longer as the page opened. Links such as `#unit=3` set the parts they name and put the others
 * back. What does not fit is left out, with a note.
 */
const address = {
  /** Where the fragment is kept: in the page's own address, or by the page that frames this one. */
  home: window.frameElement?.dataset.chapter
    ? parent.chapterAddress(window.frameElement.dataset.chapter)
    : {
      read: () => location.hash,
      write(hash, push) { history[push ? "pushState" : "replaceState"](null, "", hash); },
      listen(take) { window.addEventListener("hashchange", () => take(location.hash)); },
    },
  parts: new Map(),
  opened: new Map(),
  timer: 0,

  add(name, get, set) { address.parts.set(name, { get, set }); },

  begin() {
    for (const [name, { get }] of address.parts) address.opened.set(name, String(get()));
    address.home.listen(address.apply);
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#"]');
      if (!link?.hash.includes("=") || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      if (link.hash !== address.home.read()) address.home.write(link.hash, true);
      address.apply(link.hash);
    });
    if (address.home.read()) address.apply(address.home.read());
  },

  /** Takes a fragment over. */
  apply(hash) {
    clearTimeout(address.timer);
    const text = hash.replace(/^#/, "");
    let anchor = null;
    try { anchor = document.getElementById(decodeURIComponent(text)); } catch { /* No anchor, then. */ }
    if (anchor) return;
    const given = new URLSearchParams(text);
    const wrong = [...given].filter(([name]) => !address.parts.has(name));
    for (const [name, { set }] of address.parts) {
      const value = given.get(name);
      if (value !== null && set(value) !== false) continue;
      if (value !== null) wrong.push([name, value]);
      set(address.opened.get(name));
    }
    address.note(wrong.map(([name, value]) => (value ? `${name}=${value}` : name)));
  },

  /** The fragment of the state as it is, without `#`: what is not as the page opened. */
  fragment() {
    const now = new URLSearchParams();
    for (const [name, { get }] of address.parts) {
      const value = String(get());
      if (value !== address.opened.get(name)) now.set(name, value);
    }
    return now.toString();
  },

  /** Writes the state into the address, a moment later: browsers refuse hundreds of changes at once. */
  changed() {
    if (!address.opened.size) return;
    clearTimeout(address.timer);
    address.timer = setTimeout(() => {
      const now = address.fragment();
      if (now !== address.home.read().replace(/^#/, "")) address.home.write(`#${now}`, false);
    }, 250);
  },

  note(wrong) {
    let line = document.getElementById("address-note");
    if (!line && !wrong.length) return;
    if (!line) {
      line = element("p", { id: "address-note", class: "note", role: "status" });
      (document.querySelector("header") ?? document.body).append(line);
    }
    line.hidden = !wrong.length;
    line.textContent = `The address names a view that this page does not have, and it was left out: ${wrong.join(", ")}.`;
  },
};

/** For `address`: a set function for whole numbers from `low` to `high`. */
function wholeNumber(low, high, take) {
  return (text) => {
    if (!/^-?\d+$/.test(text) || Number(text) < low || Number(text) > high) return false;
    take(Number(text));
    return true;
  };
}

/** For `address`: a set function for one of several names, taken over by its place. */
function oneOf(names, take) {
  return (text) => {
    const place = names.indexOf(text);
    if (place < 0) return false;
    take(place);
    return true;
  };
}
