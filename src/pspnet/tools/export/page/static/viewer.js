/* A prediction to look at: classes over the image, legend, confidence, changes and downloads.

   showPrediction(element, {
     name, width, height, classes, colors,
     image,       // what a canvas can draw
     label,       // Uint8Array, class ids
     confidence,  // Uint16Array, 0 to 65535
     before,      // Uint8Array, the class ids with all bins; null if all are on
   })
   fills the element. Nothing is fetched. */
"use strict";

function showPrediction(root, p) {
  root.className = "viewer";
  root.innerHTML = `
    <div class="picture"><canvas class="image"></canvas><canvas class="top"></canvas>
      <output class="tip" hidden></output></div>
    <aside>
      <div class="views" role="radiogroup" aria-label="View"></div>
      <label class="opacity">Opacity <input type="range" min="0" max="100"></label>
      <p class="summary"></p>
      <table class="legend"></table>
      <div class="save">Save <button data-form="index">class ids</button>
        <button data-form="overlay">overlay</button>
        <button data-form="confidence">confidence</button></div>
    </aside>`;
  const find = (selector) => root.querySelector(selector);
  const [image, top] = [find(".image"), find(".top")];
  for (const canvas of [image, top]) [canvas.width, canvas.height] = [p.width, p.height];
  find(".picture").style = `aspect-ratio: ${p.width}/${p.height}; --ratio: ${p.width / p.height}`;
  image.getContext("2d").drawImage(p.image, 0, 0);

  const opacity = find(".opacity input");
  opacity.value = sessionStorage.getItem("opacity") ?? 60;
  opacity.oninput = () => {
    top.style.opacity = opacity.value / 100;
    sessionStorage.setItem("opacity", opacity.value);
  };
  opacity.oninput();

  const views = ["classes", "confidence", ...(p.before ? ["changes"] : [])];
  const show = (view) => {
    root.dataset.view = view;
    top.getContext("2d").putImageData(PAINTED[view](p), 0, 0);
    find(".legend").replaceChildren(...rows(p, view));
    find(".summary").textContent = summary(p, view);
  };
  for (const view of views) {
    const choice = document.createElement("label");
    choice.innerHTML = `<input type="radio" name="view" value="${view}"><span>${view}</span>`;
    choice.firstChild.onchange = () => show(view);
    choice.firstChild.checked = view === (p.before ? "changes" : "classes");
    find(".views").append(choice);
  }
  show(p.before ? "changes" : "classes");

  nameUnderPointer(find(".picture"), find(".tip"), p);
  for (const button of root.querySelectorAll("button")) {
    button.onclick = async () => save(p, button.dataset.form, await FILES[button.dataset.form](p, image, top));
  }
}

/* ---- what is painted ---- */

const PAINTED = {
  classes: (p) => painted(p, (i) => color(p.colors[p.label[i]])),
  confidence: (p) => painted(p, (i) => color(Array(3).fill(p.confidence[i] >> 8))),
  changes: (p) => painted(p, (i) =>
    p.label[i] === p.before[i] ? color([255, 255, 255], 190) : color(p.colors[p.label[i]])),
};

function painted(p, colorAt) {
  const pixels = new Uint32Array(p.width * p.height);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colorAt(i);
  return new ImageData(new Uint8ClampedArray(pixels.buffer), p.width, p.height);
}

function color([red, green, blue], alpha = 255) {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian RGBA
}

/* ---- what is written beside it ---- */

function shares(keys) {
  const counts = new Map();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function changed(p) {
  return p.label.reduce((count, id, i) => count + (id !== p.before[i]), 0);
}

function summary(p, view) {
  if (view === "changes") return `${percent(changed(p) / p.label.length)} of pixels change class`;
  if (view === "classes") return "";
  const mean = p.confidence.reduce((sum, value) => sum + value, 0) / p.confidence.length / 65535;
  return `Probability of each pixel's class, black 0 to white 1; mean ${mean.toFixed(2)}`;
}

function rows(p, view) {
  if (view === "confidence") return [];
  if (view === "classes") {
    return shares(p.label).map(([id, count]) => row(p, [id], count / p.label.length));
  }
  const moves = [];
  p.label.forEach((id, i) => id !== p.before[i] && moves.push(p.before[i] * 256 + id));
  return shares(moves).slice(0, 12).map(([move, count]) =>
    row(p, [move >> 8, move & 255], count / p.label.length));
}

function row(p, ids, share) {
  const line = document.createElement("tr");
  const names = line.insertCell();
  ids.forEach((id, place) => {
    const box = document.createElement("i");
    box.style.background = `rgb(${p.colors[id]})`;
    names.append(place ? " → " : "", box, p.classes[id]);
  });
  line.insertCell().textContent = share < 0.0005 ? "< 0.1 %" : percent(share);
  return line;
}

function nameUnderPointer(picture, tip, p) {
  picture.onpointermove = (event) => {
    const box = picture.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * p.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * p.height);
    tip.hidden = x < 0 || y < 0 || x >= p.width || y >= p.height;
    if (tip.hidden) return;
    const i = y * p.width + x;
    const move = p.before && p.before[i] !== p.label[i] ? `${p.classes[p.before[i]]} → ` : "";
    tip.textContent = `${move}${p.classes[p.label[i]]}  ${percent(p.confidence[i] / 65535)}`;
    tip.style.left = `${(100 * (event.clientX - box.left)) / box.width}%`;
    tip.style.top = `${event.clientY - box.top}px`;
    tip.classList.toggle("left", event.clientX - box.left > box.width / 2);
  };
  picture.onpointerleave = () => (tip.hidden = true);
}

/* ---- files ---- */

const FILES = {
  index: (p) => png(p, 8, 3, p.label, new Uint8Array(p.colors.flat())),
  confidence: (p) => {
    const bytes = new Uint8Array(2 * p.confidence.length);
    p.confidence.forEach((value, i) => bytes.set([value >> 8, value & 255], 2 * i));
    return png(p, 16, 0, bytes);
  },
  overlay: (p, image, top) => {
    const both = document.createElement("canvas");
    [both.width, both.height] = [p.width, p.height];
    const context = both.getContext("2d");
    context.drawImage(image, 0, 0);
    context.globalAlpha = top.style.opacity;
    context.drawImage(top, 0, 0);
    return new Promise((done) => both.toBlob(done, "image/png"));
  },
};

function save(p, form, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${p.name}_${form}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/* A PNG file of one channel, of class ids with a palette or of 16-bit gray. */
async function png({ width, height }, depth, kind, values, palette = null) {
  const stride = (width * depth) / 8;
  const lines = new Uint8Array(height * (stride + 1)); // a filter type, 0, begins each line
  for (let y = 0; y < height; y++) {
    lines.set(values.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  }
  const stream = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([depth, kind], 8);
  const parts = [["IHDR", header], ...(palette ? [["PLTE", palette]] : []), ["IDAT", packed]];
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const chunks = [...parts, ["IEND", new Uint8Array()]].map(([name, data]) => chunk(name, data));
  return new Blob([signature, ...chunks], { type: "image/png" });
}

function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  let sum = -1;
  for (const byte of bytes.subarray(4, data.length + 8)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  view.setUint32(data.length + 8, ~sum >>> 0);
  return bytes;
}
