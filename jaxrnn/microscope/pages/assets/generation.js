"use strict";

const data = readData("generation");
const byId = (id) => document.getElementById(id);
const last = data.moments.length - 1;
let moment = last, timer = null;

function show(number) {
  moment = Math.max(0, Math.min(last, number));
  byId("moment").value = moment;
  byId("moment-name").textContent = data.moments[moment];
  data.writers.forEach(({ samples, shares }, at) => {
    byId(`sample-${at}`).textContent = samples[moment];
    const percent = `${Math.round(100 * shares[moment])} %`;
    byId(`share-${at}`).textContent = percent;
    byId(`bar-${at}`).style.width = percent.replace(" ", "");
    for (const bar of byId(`steps-${at}`).children) bar.classList.toggle("here", Number(bar.dataset.moment) === moment);
  });
  address.changed();
}

function play(on) {
  if (timer !== null) clearInterval(timer);
  timer = null;
  if (on) {
    show(moment === last ? 0 : moment);
    timer = setInterval(() => {
      show(moment + 1);
      if (moment === last) play(false);
    }, 1500);
  }
  byId("play").textContent = timer === null ? "▶ Train" : "❚❚ Pause";
}
byId("play").addEventListener("click", () => play(timer === null));
byId("moment").addEventListener("input", (event) => { play(false); show(Number(event.target.value)); });

address.add("moment", () => moment, wholeNumber(0, last, (number) => { play(false); show(number); }));
show(last);
address.begin();
document.body.dataset.ready = "yes";
