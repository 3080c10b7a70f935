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
