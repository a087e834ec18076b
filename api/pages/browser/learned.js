// Maps as pictures: drawn from the numbers in the page, which hovering (or the arrow keys) tells one by one.
import { follow } from "./following.js";

const SIDE = 150;
const STOPS = {
  // Dark to light, readable without colour: viridis; and blue to orange through the paper for both signs.
  plain: [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]],
  signed: [[0, 73, 122], [92, 158, 204], [245, 245, 245], [224, 146, 86], [138, 52, 0]],
};

function colour(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  return stops[low].map((part, index) => Math.round(part + (at - low) * (stops[low + 1][index] - part)));
}

function draw(figure) {
  const [height, width] = figure.dataset.shape.split(" ").map(Number);
  const values = figure.dataset.values.split(" ").map(Number);
  const low = Number(figure.dataset.low);
  const high = Number(figure.dataset.high);
  const stops = figure.dataset.kind === "difference" ? STOPS.signed : STOPS.plain;
  const canvas = document.createElement("canvas");
  const scale = Math.max(1, Math.round(SIDE / Math.max(width, height)));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  values.forEach((value, index) => {
    context.fillStyle = `rgb(${colour(stops, high > low ? (value - low) / (high - low) : 0.5).join(" ")})`;
    context.fillRect((index % width) * scale, Math.floor(index / width) * scale, scale, scale);
  });
  if (figure.dataset.ellipse) {
    const [x, y, a, b] = figure.dataset.ellipse.split(" ").map((part) => Number(part) * scale);
    for (const [style, line] of [["#000", 4], ["#fff", 2]]) {
      context.beginPath();
      context.ellipse(x, y, a, b, 0, 0, 2 * Math.PI);
      context.strokeStyle = style;
      context.lineWidth = line;
      context.stroke();
    }
  }
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  const title = figure.querySelector("figcaption").textContent;
  canvas.setAttribute("aria-label", `${title}, ${height} by ${width}, from ${Math.min(...values)} to ${Math.max(...values)}`);
  const told = document.createElement("output");
  let place = [0, 0];
  const tell = () => {
    const [row, column] = place;
    told.textContent = `row ${row}, column ${column}: ${values[row * width + column]}`;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (part, whole, count) => Math.min(count - 1, Math.max(0, Math.floor((part / whole) * count)));
    place = [at(event.clientY - box.top, box.height, height), at(event.clientX - box.left, box.width, width)];
    tell();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    place = [Math.min(height - 1, Math.max(0, place[0] + step[0])), Math.min(width - 1, Math.max(0, place[1] + step[1]))];
    tell();
  });
  figure.querySelector("figcaption").after(canvas, told);
}

// Which moment was chosen of each place, so that it stays chosen when newer maps come.
const chosen = new Map();

/** A slider over the moments: the maps change in place, on the scale that they share. */
function slide(group) {
  const moments = [...group.querySelectorAll(".moment")];
  if (moments.length < 2) return;
  const title = group.querySelector("h3");
  const label = document.createElement("label");
  label.className = "choice";
  const slider = document.createElement("input");
  const before = moments.findIndex((moment) => moment.dataset.moment === chosen.get(title.textContent));
  Object.assign(slider, { type: "range", min: 0, max: moments.length - 1, step: 1, value: before < 0 ? moments.length - 1 : before });
  const choose = () => {
    moments.forEach((moment, index) => { moment.hidden = index !== Number(slider.value); });
    slider.setAttribute("aria-valuetext", moments[slider.value].dataset.moment);
  };
  slider.addEventListener("input", () => {
    chosen.set(title.textContent, moments[slider.value].dataset.moment);
    choose();
  });
  label.append("Moment ", slider);
  title.after(label);
  choose();
}

function dress(section) {
  section.querySelectorAll(".map").forEach(draw);
  section.querySelectorAll(".moments").forEach(slide);
}

for (const section of document.querySelectorAll("#position, #fields")) {
  dress(section);
  section.addEventListener("renewed", () => dress(section));
}

follow();
