"use strict";
// Moves the marked place: the unit there in every map, and its receptive field on the input.
const form = document.querySelector(".place");
const [row, column] = form.querySelectorAll("input");
const said = form.querySelector("output");
const seen = JSON.parse(document.querySelector("#scores").textContent);

function unit(share, count) {
  return Math.min(Math.floor(share * count), count - 1);
}

function box(mark, rows, columns) {
  const percent = (value) => `${100 * value}%`;
  [mark.style.top, mark.style.height] = [percent(rows[0]), percent(rows[1] - rows[0])];
  [mark.style.left, mark.style.width] = [percent(columns[0]), percent(columns[1] - columns[0])];
}

// The shares of one side that a unit sees; an unknown extent, of stride 0, is the whole side.
function field(index, side, [stride, first, last]) {
  if (stride === 0) return [0, 1];
  const low = Math.max(index * stride + first, 0);
  return [low / side, Math.min(index * stride + last + 1, side) / side];
}

function move() {
  const shares = [row, column].map((it) => (Number(it.value) + 0.5) / (Number(it.max) + 1));
  for (const frame of document.querySelectorAll(".frame[data-rows]")) {
    const counts = [Number(frame.dataset.rows), Number(frame.dataset.columns)];
    const units = counts.map((count, axis) => unit(shares[axis], count));
    const mark = frame.querySelector(".unit, .field");
    if (frame.dataset.extents) {
      const given = frame.dataset.extents.split(" ").map(Number);
      box(mark, ...units.map((it, axis) =>
        field(it, seen.size[axis], given.slice(3 * axis, 3 * axis + 3))));
    } else {
      box(mark, ...units.map((it, axis) => [it / counts[axis], (it + 1) / counts[axis]]));
    }
  }
  const [down, across] = shares.map((share, axis) => unit(share, seen.units[axis]));
  const at = down * seen.units[1] + across;
  const best = seen.classes.map((it) => [it.logits[at], it.name]).sort((a, b) => b[0] - a[0]);
  said.textContent = "logits: " +
    best.slice(0, 3).map(([value, name]) => `${name} ${value.toFixed(1)}`).join(", ");
}

for (const input of [row, column]) input.addEventListener("input", move);
for (const frame of document.querySelectorAll(".frame[data-rows]")) {
  frame.addEventListener("click", (event) => {
    const area = frame.getBoundingClientRect();
    row.value = Math.floor((event.clientY - area.top) / area.height * (Number(row.max) + 1));
    column.value = Math.floor((event.clientX - area.left) / area.width * (Number(column.max) + 1));
    move();
  });
}
form.hidden = false;
move();
