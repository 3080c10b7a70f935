"use strict";

/** Calls back once Bokeh has drawn everything. */
function whenPlotted(callback) {
  const ready = () => {
    const drawn = window.Bokeh?.documents?.[0];
    if (drawn?.roots().length && drawn.is_idle) {
      applyTheme();
      callback();
      nameTabStops();
      document.body.dataset.ready = "yes";
    } else setTimeout(ready, 10);
  };
  ready();
}

/** Says what each plot is, where the keyboard stops at it. */
function nameTabStops() {
  const layers = (root) => [...root.querySelectorAll("*")].flatMap((one) =>
    [...(one.shadowRoot ? layers(one.shadowRoot) : []), ...(one.matches(".bk-events") ? [one] : [])]);
  for (const view of Bokeh.index.roots) {
    const axis = (side) => view.model[side]?.map(({ axis_label }) => axis_label).find(Boolean);
    const name = [axis("left"), axis("below")].filter(Boolean).join(" over ") || "text along the map";
    for (const layer of layers({ querySelectorAll: () => [view.el] })) {
      layer.setAttribute("role", "application");
      layer.setAttribute("aria-label", `Plot: ${name}; arrow keys move it`);
    }
  }
}

/** The Bokeh model with this `name=`. */
function model(name) {
  return Bokeh.documents[0].get_model_by_name(name);
}

function everyModel() {
  const found = new Set();
  for (const root of Bokeh.documents[0].roots()) for (const one of root.references()) found.add(one);
  return found;
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Colours from negative over the ground's colour to positive, or from the ground to positive. */
function palette(diverging) {
  const parts = (name) => cssColour(name).split(/\s+/).map(Number);
  const hex = cssColour("--panel");
  const ground = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const mix = (to, part) =>
    "#" + ground.map((g, i) => Math.round(g + (to[i] - g) * part).toString(16).padStart(2, "0")).join("");
  const positive = parts("--positive"), negative = parts("--negative"), colours = [];
  for (let i = diverging ? -127 : 0; i <= 127; i++)
    colours.push(mix(i < 0 ? negative : positive, Math.abs(i) / 127));
  return colours;
}

/** Gives a colour mapper the range from −most (or from 0) to most, with colours to match. */
function setSigned(mapper, signed, most) {
  mapper.setv({
    low: signed ? -most : 0, high: most, tags: [signed ? "diverging" : "sequential"], palette: palette(signed),
  });
}

/** Gives the plots the colours of the page. */
function applyTheme() {
  const ink = cssColour("--ink"), quiet = cssColour("--quiet"), line = cssColour("--line");
  const panel = cssColour("--panel");
  const wanted = {
    background_fill_color: panel, border_fill_color: cssColour("--ground"), outline_line_color: line,
    axis_label_text_color: quiet, major_label_text_color: quiet, axis_line_color: line,
    major_tick_line_color: line, minor_tick_line_color: line, grid_line_color: line,
    text_color: ink, title_text_color: ink, label_text_color: ink, bar_line_color: null, border_line_color: null,
  };
  for (const one of everyModel()) {
    const type = one.type ?? "";
    if (type === "LinearColorMapper") one.palette = palette(one.tags.includes("diverging"));
    if (!/Figure|Axis|Grid|Title|Legend|ColorBar/.test(type)) continue;
    for (const [property, colour] of Object.entries(wanted))
      if (property in one.properties) one[property] = colour;
    if (/Axis/.test(type)) one.background_fill_color = null;
    if (/Title|Legend|ColorBar/.test(type)) one.background_fill_color = null;
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyTheme());

/** Fills a box with one span a character; newlines are shown and break. */
function fillText(box, characters) {
  const spans = characters.map((character) => element("span", {}, character));
  box.append(...spans);
  spans.forEach((span, t) => { span.dataset.t = t; });
  return spans;
}

/** The colour of a value between −most and most. */
function tint(value, most) {
  const part = Math.min(1, Math.abs(value) / most) * 0.72;
  return `rgb(var(--${value < 0 ? "negative" : "positive"}) / ${part.toFixed(3)})`;
}
