/* A picture from the visitor, through the worker's network, into the viewer. */

const MANY = 4e6; // pixels, beyond which the visitor is told that it takes long
const SMALLEST = 32; // pixels per side that the network takes
const [drop, file, status, viewer, bins] = ["drop", "file", "status", "viewer", "bins"].map(
  (id) => document.getElementById(id));
const network = await (await fetch("network.json")).json();
const worker = new Worker("worker.js", { type: "module" });
let picture = null; // the one that is shown, with its class ids with all bins
let answer = null; // what the worker's next message is handed to
let asked = 0; // requests so far; only the latest one is shown

document.title = network.name;
document.querySelector("h1").textContent = network.name;
document.getElementById("about").textContent = network.about;
for (const bin of network.bins) {
  const choice = document.createElement("label");
  choice.innerHTML = `<input type="checkbox" checked> ${bin}×${bin}`;
  choice.firstChild.onchange = () => picture && predict();
  bins.append(choice);
}
bins.title = network.bins_off;

worker.onmessage = ({ data }) => answer(data);
worker.onerror = (event) => answer?.({ error: event.message ?? "the worker cannot start" });

file.onchange = () => file.files[0] && open(file.files[0]);
drop.onkeydown = (event) => ["Enter", " "].includes(event.key) && file.click();
document.ondragover = (event) => {
  event.preventDefault();
  drop.classList.add("over");
};
document.ondragleave = () => drop.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [dropped] = event.dataTransfer.files;
  if (dropped) open(dropped);
};
document.onpaste = (event) => event.clipboardData.files[0] && open(event.clipboardData.files[0]);

function say(line, { error = false } = {}) {
  status.textContent = line;
  status.classList.toggle("error", error);
}

async function open(chosen) {
  const opened = await read(chosen);
  if (!opened) return;
  picture = opened;
  for (const box of bins.querySelectorAll("input")) box.checked = true;
  await predict();
}

/* The picture at its own size, upright and without color management, as the network was trained. */
async function read(chosen) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(chosen, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    say(`${chosen.name} cannot be read as a picture; drop a PNG, JPEG or WebP file.`, { error: true });
    return null;
  }
  const { width, height } = bitmap;
  if (Math.min(width, height) < SMALLEST) {
    say(`${chosen.name} has ${width}×${height} pixels; the network takes ${SMALLEST} or more a side.`, { error: true });
    return null;
  }
  const image = new OffscreenCanvas(width, height);
  const context = image.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { name: chosen.name.replace(/\.[^.]*$/, ""), width, height, image, context, before: null };
}

async function predict() {
  const mine = ++asked;
  const shown = picture;
  const { width, height, context } = shown;
  const keep = [...bins.querySelectorAll("input")].map((box) => Number(box.checked));
  const size = (width * height) / 1e6;
  say(size > MANY / 1e6
    ? `Computing; ${size.toFixed(1)} megapixels take long and much memory …`
    : "Computing …");
  while (answer) await new Promise((done) => setTimeout(done, 30)); // the worker computes one at a time
  if (mine !== asked) return;
  const pixels = context.getImageData(0, 0, width, height).data;
  const found = await new Promise((done) => {
    answer = done;
    worker.postMessage({ pixels, width, height, keep }, [pixels.buffer]);
  });
  answer = null;
  if (found.error) {
    say(`The network cannot run: ${found.error}`, { error: true });
    return;
  }
  const all = keep.every(Boolean);
  if (all) shown.before = found.label;
  if (mine !== asked) return;
  say(`${width}×${height} pixels, ${(found.milliseconds / 1000).toFixed(1)} s`);
  showPrediction(viewer, { ...network, ...shown, ...found, name: shown.name, before: all ? null : shown.before });
  bins.hidden = network.bins.length === 0;
}
