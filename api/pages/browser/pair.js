// The page of one pair: both trials' curves over each other, their difference below, growing while they train.
import { follow } from "./following.js";
import uPlot from "./libraries/uplot.js";

const place = document.getElementById("curves");
const HEIGHT = 240;
const HEIGHT_BELOW = 130;
let plots = [];
let shown = "";
let isBusy = false;
let isDirty = false;

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

async function load(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** One row of values per curve, over all epochs that any has. */
function joined(curves) {
  const epochs = [...new Set(curves.flatMap((curve) => curve?.epochs ?? []))].sort((a, b) => a - b);
  const rows = curves.map((curve) => {
    const values = new Map((curve?.epochs ?? []).map((epoch, index) => [epoch, curve.values[index]]));
    return epochs.map((epoch) => values.get(epoch) ?? null);
  });
  return [epochs, ...rows];
}

function options(height, series, axis) {
  const line = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  return {
    width: place.clientWidth,
    height,
    series: [{ label: "epoch" }, ...series],
    scales: { x: { time: false } },
    axes: [{ ...line, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] }, { ...line, size: 70, label: axis, labelSize: 22 }],
    cursor: { sync: { key: "pair" } },
  };
}

function told(value) { return value === null || value === undefined ? "-" : Number(value.toPrecision(5)).toString(); }
const value = (_, raw) => told(raw);

function draw(control, treatment, metric) {
  const [epochs, first, second] = joined([control[metric], treatment[metric]]);
  const differences = epochs.map((_, index) => first[index] === null || second[index] === null ? null : second[index] - first[index]);
  const data = [[epochs, first, second], [epochs, differences, epochs.map(() => 0)]];
  // The same metric again: points are added in place, and the view stays.
  if (plots.length && shown === metric) {
    plots.forEach((plot, index) => plot.setData(data[index]));
    return;
  }
  plots.forEach((plot) => plot.destroy());
  shown = metric;
  const points = { show: epochs.length < 30 };
  const lines = [
    { label: place.dataset.controlName, stroke: colour("--soft"), width: 2, dash: [6, 4], points, value },
    { label: place.dataset.name, stroke: colour("--blue"), width: 2, points, value },
  ];
  const below = [
    { label: "difference", stroke: colour("--ink"), width: 2, points, value },
    { label: "0", stroke: colour("--zero"), width: 1, points: { show: false }, value: () => "" },
  ];
  plots = [
    new uPlot(options(HEIGHT, lines, metric), data[0], place),
    new uPlot(options(HEIGHT_BELOW, below, "difference"), data[1], place),
  ];
}

let choice = null;

function choose(control, treatment) {
  const metrics = [...new Set([...Object.keys(control), ...Object.keys(treatment)])].sort();
  if (choice === null) {
    const label = document.createElement("label");
    label.className = "choice";
    label.append("Curve of ");
    choice = document.createElement("select");
    choice.addEventListener("change", () => {
      const address = new URL(location.href);
      address.searchParams.set("metric", choice.value);
      history.replaceState(null, "", address);
      show();
    });
    label.append(choice);
    place.append(label);
  }
  if (choice.options.length !== metrics.length) {
    const asked = choice.value || new URL(location.href).searchParams.get("metric");
    const wanted = [asked, place.dataset.metric, "val/loss", metrics[0]].find((name) => metrics.includes(name));
    choice.replaceChildren(...metrics.map((name) => new Option(name, name, false, name === wanted)));
  }
  return choice.value;
}

async function show() {
  if (isBusy) { isDirty = true; return; }
  isBusy = true;
  const [control, treatment] = await Promise.all([load(place.dataset.control), load(place.dataset.treatment)]);
  isBusy = false;
  if (control && treatment) {
    const metric = choose(control, treatment);
    if (metric) draw(control, treatment, metric);
  }
  place.dataset.points = plots.length ? plots[0].data[0].length : 0;
  if (isDirty) { isDirty = false; show(); }
}

if (place) {
  const trials = place.dataset.trials.split(" ").map(Number);
  show();
  new ResizeObserver(() => {
    plots.forEach((plot) => { if (plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: plot.height }); });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { shown = ""; show(); });
  follow((epoch) => { if (epoch === null || trials.includes(epoch.trial_id)) show(); });
} else {
  follow();
}
