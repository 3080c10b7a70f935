"use strict";

const data = readData("training");
const byId = (id) => document.getElementById(id);
let sample = data.samples.length - 1;

function showSample(number) {
  if (!data.samples.length) return;
  sample = Math.max(0, Math.min(data.samples.length - 1, number));
  const { step, epoch, text } = data.samples[sample];
  byId("sample-text").replaceChildren();
  fillText(byId("sample-text"), text);
  byId("sample").value = sample;
  byId("sample-place").textContent = `Step ${step.toLocaleString("en")}${epoch == null ? "" : `, epoch ${Number(epoch.toFixed(2))}`}`;
  byId("earlier").disabled = sample === 0;
  byId("later").disabled = sample === data.samples.length - 1;
  address.changed();
}
byId("earlier").addEventListener("click", () => showSample(sample - 1));
byId("later").addEventListener("click", () => showSample(sample + 1));
byId("sample").addEventListener("input", (event) => showSample(Number(event.target.value)));

for (const button of document.querySelectorAll("[data-unit]"))
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-unit]"))
      other.setAttribute("aria-pressed", String(other === button));
    const unit = button.dataset.unit;
    for (const name of ["loss", "smoothed_loss", "validation_loss"]) {
      const source = model(`${name} source`);
      if (source) source.data = { ...source.data, shown: source.data[unit] };
    }
    for (const axis of model("losses").left) axis.axis_label = `Loss, ${unit} a ${data.token}`;
    address.changed();
  });

showSample(sample);
if (data.samples.length)
  address.add("sample", () => data.samples[sample].step, (text) => {
    const place = data.samples.findIndex(({ step }) => String(step) === text);
    if (place >= 0) showSample(place);
    return place >= 0;
  });
address.add("unit", () => document.querySelector('[data-unit][aria-pressed="true"]').dataset.unit, (text) => {
  const button = [...document.querySelectorAll("[data-unit]")].find((one) => one.dataset.unit === text);
  button?.click();
  return Boolean(button);
});
whenPlotted(() => address.begin());
