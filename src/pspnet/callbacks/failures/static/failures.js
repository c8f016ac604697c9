"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const VIEWS = ["image", "label", "prediction", "difference"];
const SORTS = {
  worst: ["IoU, lowest first", (one) => one.miou],
  labels: ["likely label errors first", (one) => one.rank],
  boundary: ["boundary IoU, lowest first", (one) => one.boundary[0]],
  best: ["IoU, highest first", (one) => -one.miou],
  name: ["name", null],
};
const ABOUT = {
  labels: "The quality of a label is low where the network gives what is labeled little " +
    "probability: the label is wrong, or the network is. Look at both.",
};
const KEY = {
  label: "Striped pixels are ignored.",
  difference: "Magenta pixels are wrong, striped ones are ignored.",
};
const find = (id) => document.getElementById(id);
const state = { view: "image", sort: "worst", chosen: "" };
let listed = [];

function element(name, content = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...[content].flat());
  return made;
}

const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)}\u00a0%`);

function layer(one, part, kind = "") {
  const type = part === "image" ? "jpeg" : "png";
  const src = `data:image/${type};base64,${one[part]}`;
  const given = { src, className: kind, alt: "", loading: "lazy", decoding: "async" };
  return element("img", "", given);
}

function picture(one, view) {
  const layers = view === "difference"
    ? [layer(one, "image", "pale"), layer(one, "difference", "ids")]
    : [layer(one, view, view === "image" ? "" : "ids")];
  const made = element("div", layers, { className: "picture" });
  made.style.setProperty("--ratio", one.size[0] / one.size[1]);
  return made;
}

const nameOf = (index) => data.classes[index][0];

function confused(one) {
  if (!one.confused) return "";
  const [label, predicted, share] = one.confused;
  return `labeled ${nameOf(label)}, predicted ${nameOf(predicted)}: ${percent(share)} of the pixels`;
}

function scoreOf(one) {
  if (state.sort === "labels") return [`label quality ${percent(one.quality)}`, `IoU ${percent(one.miou)}`];
  if (state.sort === "boundary") return [`boundary IoU ${percent(one.boundary[0])}`, `IoU ${percent(one.miou)}`];
  if (state.chosen !== "") return [`${nameOf(state.chosen)} ${percent(one.iou[state.chosen])}`, `IoU ${percent(one.miou)}`];
  return [`IoU ${percent(one.miou)}`, `pixels ${percent(one.accuracy)}`];
}

function card(one, index) {
  const button = element("button", picture(one, state.view), { type: "button", title: "all four" });
  button.setAttribute("aria-label", `${one.name}, all four`);
  button.onclick = () => open(index);
  const [first, second] = scoreOf(one);
  const lines = [element("b", first), ` · ${second}`, element("br"), one.name, element("br"), confused(one)];
  return element("figure", [button, element("figcaption", lines)]);
}

function ordered() {
  const { sort, chosen } = state;
  const kept = data.images.filter((one) => chosen === "" || chosen in one.iou);
  let value = SORTS[sort][1];
  if (chosen !== "" && sort === "worst") value = (one) => one.iou[chosen];
  if (chosen !== "" && sort === "best") value = (one) => -one.iou[chosen];
  if (value === null) return kept.sort((a, b) => (a.name < b.name ? -1 : 1));
  return kept.sort((a, b) => value(a) - value(b));
}

function show() {
  listed = ordered();
  find("images").replaceChildren(...listed.map(card));
  find("count").textContent = `${listed.length} of ${data.count} images; images.csv has all`;
  find("about").textContent = [ABOUT[state.sort], KEY[state.view]].filter(Boolean).join(" ");
}

function open(index) {
  const one = listed[index];
  const step = (text, to) => element("button", text, { type: "button", disabled: !listed[to], onclick: () => open(to) });
  const close = element("button", "close", { type: "button", onclick: () => find("large").close() });
  const line = `IoU ${percent(one.miou)} · pixels ${percent(one.accuracy)} · label quality ` +
    `${percent(one.quality)}, ${one.rank} of ${data.count} · boundary IoU ` +
    one.boundary.map(percent).join(", ");
  const header = element("header", [element("h2", one.name), element("p", line), step("previous", index - 1), step("next", index + 1), close]);
  const four = VIEWS.map((view) => element("figure", [picture(one, view), element("figcaption", view)]));
  const classes = Object.entries(one.iou).sort((a, b) => a[1] - b[1]).map(([number, iou]) => {
    const chip = element("span", "", { className: "chip" });
    chip.style.background = data.classes[number][1];
    return element("li", [chip, `${nameOf(number)} ${percent(iou)}`]);
  });
  const parts = [header, element("p", confused(one)), element("div", four, { className: "four" }), element("ul", classes)];
  find("large").replaceChildren(...parts);
  find("large").dataset.index = index;
  if (!find("large").open) find("large").showModal();
}

function summarize() {
  const entry = (name, value) => element("div", [element("dt", name), element("dd", value)]);
  const most = Math.max(1, ...data.histogram);
  const bars = data.histogram.map((count, bin) => {
    const [low, high] = [bin, bin + 1].map((edge) => Math.round((100 * edge) / data.histogram.length));
    const bar = element("i", "", { title: `${low} to ${high} %: ${count} images` });
    bar.style.height = `${(100 * count) / most}%`;
    return bar;
  });
  find("conditions").textContent = data.conditions;
  find("summary").append(
    entry("mIoU", percent(data.miou)),
    entry("mean of the images' IoU", percent(data.image_miou)),
    ...data.boundary.map(([width, iou]) => entry(`boundary IoU, ${width} of diagonal`, percent(iou))),
    entry("images by IoU, 0 to 100 %", element("div", bars, { id: "histogram" })),
  );
}

function build() {
  for (const view of VIEWS) {
    const input = element("input", "", { type: "radio", name: "view", value: view, checked: view === state.view });
    input.onchange = () => { state.view = view; show(); };
    find("views").append(element("label", [input, element("span", view)]));
  }
  for (const [key, [text]] of Object.entries(SORTS)) find("sort").append(new Option(text, key));
  find("class").append(new Option("all", ""));
  data.classes.forEach(([name], index) => {
    const count = data.images.filter((one) => index in one.iou).length;
    if (count) find("class").append(new Option(`${name} (${count})`, index));
  });
  find("sort").onchange = (event) => { state.sort = event.target.value; show(); };
  find("class").onchange = (event) => { state.chosen = event.target.value; show(); };
  find("controls").onsubmit = (event) => event.preventDefault();
  find("large").onclick = (event) => { if (event.target === find("large")) find("large").close(); };
  document.onkeydown = (event) => {
    if (!find("large").open) return;
    const to = Number(find("large").dataset.index) + { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (listed[to]) open(to);
  };
}

build();
summarize();
show();
