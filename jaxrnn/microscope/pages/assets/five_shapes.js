"use strict";

/* In each section one drawing of several is shown: that of the chosen example and moment. */

const SECONDS_A_STEP = 0.7;

for (const section of document.querySelectorAll("section[id]")) {
  // Where there is one step only, there is nothing to play.
  const play = section.querySelector(".play") ?? element("button");
  const chosen = { label: "0", moment: "trained" };
  let timer = 0;

  /** Shows the steps before `end`. */
  const reveal = (end) => {
    for (const step of section.querySelectorAll(".step")) step.classList.toggle("later", step.dataset.t >= end);
  };

  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ Play";
    reveal(Infinity);
  };

  const show = () => {
    stop();
    for (const part of section.querySelectorAll("figure, p[data-moment]"))
      part.hidden = Object.entries(part.dataset).some(([kind, value]) => chosen[kind] !== value);
    for (const button of section.querySelectorAll("button:not(.play)"))
      button.setAttribute("aria-pressed", Object.entries(button.dataset).every(([kind, value]) => chosen[kind] === value));
    address.changed();
  };

  address.add(section.id, () => `${chosen.label}.${chosen.moment.replaceAll(" ", "-")}`, (text) => {
    const [label, moment] = [text.split(".")[0], text.split(".").slice(1).join(".").replaceAll("-", " ")];
    const fits = [...section.querySelectorAll("figure")].some(
      ({ dataset }) => dataset.label === label && dataset.moment === moment);
    if (fits) { Object.assign(chosen, { label, moment }); show(); }
    return fits;
  });

  for (const button of section.querySelectorAll("button:not(.play)"))
    button.addEventListener("click", () => { Object.assign(chosen, button.dataset); show(); });

  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    const steps = section.querySelectorAll("figure:not([hidden]) .step").length;
    let end = 1;
    play.textContent = "■ Stop";
    reveal(end);
    timer = setInterval(() => {
      if (end === steps) { stop(); return; }
      reveal(++end);
    }, 1000 * SECONDS_A_STEP);
  });
}

address.begin();
document.body.dataset.ready = "yes";
