// The state of the view, which is kept in the URL's fragment, and the drawing of it.

const tools = element(SVG, "foreignObject", { class: "tools" });
const tip = element(SVG, "foreignObject", { class: "tip", width: 1, height: 1, "aria-hidden": "true" });
const graph = svg.querySelector(".graph");
const ring = element(SVG, "rect", { class: "ring", rx: 2, display: "none" });
const boxes = element(SVG, "g", { role: "tree", class: "boxes" });
const coarse = window.matchMedia("(pointer: coarse)").matches;
const ROW = coarse ? 26 : 19;

const DEFAULTS = {
  view: "merged", zoom: "", q: "", fold: "", up: "",
  colours: everythingBefore ? "diff" : "state", widths: "now",
};
let state = { ...DEFAULTS };
let drawn = []; // [element, box] of all boxes on the screen
let focused = null; // the box with the keyboard's focus, and its position in time
let width = 0;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) if (given.has(key)) state[key] = given.get(key);
  if (!["merged", "time"].includes(state.view)) state.view = "merged";
  if (!["state", "kind", "diff"].includes(state.colours)) state.colours = DEFAULTS.colours;
  if (!everythingBefore && (state.colours === "diff" || state.widths === "before")) {
    state.colours = "state";
    state.widths = "now";
  }
}

function writeAddress(isStep) {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of Object.entries(state)) {
    if (value === DEFAULTS[key]) kept.delete(key);
    else kept.set(key, value);
  }
  const hash = `#${kept}`;
  if (hash === (location.hash || "#")) return;
  if (isStep) location.hash = hash; // so that Back undoes a zoom
  else location.replace(hash);
}

function change(values, isStep = false) {
  Object.assign(state, values);
  writeAddress(isStep);
  draw();
}

// The zoom for this view: a box of the tree, or a range of time.
function zoomed(tree) {
  if (state.view === "time") {
    const range = state.zoom.split("-").map(Number);
    const [low, high] = wholeTime();
    const fits = range.length === 2 && range[0] < range[1] && range[0] >= low - 1 && range[1] <= high + 1;
    return fits ? range : null;
  }
  const base = /^\d+$/.test(state.zoom) ? Number(state.zoom) : 0;
  const box = base < full.size ? tree.to[base] : 0;
  return (state.widths === "before" ? tree.before : tree.now)[box] ? box : 0;
}

function draw() {
  const tree = treeOf(state.fold === "1");
  const inTime = state.view === "time";
  const zoom = zoomed(tree);
  const { low, high, found } = inTime ? timeBoxes(tree, zoom) : mergedBoxes(tree, state.widths, zoom);
  const inner = width - 2 * PAD;
  const { scale, drawn: wide, rest } = parted(found, low, high, inner);
  const rows = 1 + wide.reduce((most, each) => Math.max(most, each.depth), 0);
  const top = inTime ? 27 : 0; // axis and strip of states
  const search = find(state.q);
  const hits = search && new Uint8Array(tree.size);
  if (search) search.hits.forEach((hit, box) => { hits[tree.to[box]] |= hit; });
  const shape = {
    low, scale, row: ROW,
    colours: state.colours,
    rowAt: (depth) => top + (state.up ? rows - 1 - depth : depth) * ROW,
    shareOf: (each) => {
      if (state.widths === "before") return tree.before[each.box] / everythingBefore;
      return (inTime ? each.to - each.from : tree.now[each.box]) / Math.max(1, everything);
    },
    hit: (box) => Boolean(hits && hits[box]),
    isAbove: (each) => !inTime && zoom > 0 && each.depth < tree.depth[zoom],
  };
  const hadFocus = boxes.contains(document.activeElement);
  drawn = wide.map((each) => [drawBox(tree, each, shape), each]);
  const path = strips(rest.filter((each) => each.depth < rows), low, scale)
    .map(({ depth, left, right }) => `M${left.toFixed(1)},${shape.rowAt(depth)}h${(right - left).toFixed(1)}v${ROW - 1}H${left.toFixed(1)}z`);
  boxes.replaceChildren(
    ...(path.length ? [element(SVG, "path", { class: "small", d: path.join("") })] : []),
    ...drawn.map((pair) => pair[0]),
  );
  boxes.setAttribute("aria-label", inTime ? "Calls in the order of time" : "Calls by time");
  const height = top + rows * ROW;
  graph.replaceChildren(...(inTime ? [axis(low, high, inner, height), stateStrip(low, scale, 17)] : []), boxes, ring);
  graph.classList.toggle("searching", Boolean(search));
  hideTip();
  const pair = setTabStop(focused);
  if (hadFocus && pair) pair[0].focus({ preventScroll: true });
  updateStatus(tree, zoom, search);
  arrange(height);

}

// Tab reaches one box of the tree, the arrow keys the others from there.
function setTabStop(wanted) {
  const pair = (wanted && drawn.find(([, each]) => each.box === wanted.box && each.from === wanted.from))
    || (wanted && drawn.find(([, each]) => each.box === wanted.box)) || drawn[0];
  for (const [made] of drawn) made.setAttribute("tabindex", "-1");
  if (pair) pair[0].setAttribute("tabindex", "0");
  return pair;
}

function updateStatus(tree, zoom, search) {
  const status = [];
  if (search) {
    const count = `${search.boxes} box${search.boxes === 1 ? "" : "es"}`;
    status.push(element(HTML, "b", {}, `Matched ${percent(search.share)}`), ` of all time, in ${count}. `);
  }
  if (state.view === "time" && zoom) status.push(`Zoomed to ${axisText(zoom[0], 1e3)} to ${axisText(zoom[1], 1e3)}.`);
  else if (state.view !== "time" && zoom) status.push(`Zoomed to ${describe(tree, { box: zoom }).join(" \u2014 ")}`);
  else if (!search) status.push(data.hint);
  bar.status.replaceChildren(...status);
  bar.reset.disabled = !state.zoom && !state.q;
  bar.merged.setAttribute("aria-pressed", String(state.view !== "time"));
  bar.time.setAttribute("aria-pressed", String(state.view === "time"));
  bar.fold.setAttribute("aria-pressed", String(state.fold === "1"));
  bar.up.setAttribute("aria-pressed", String(state.up === "1"));
  bar.colours.value = state.colours;
  if (bar.widths) bar.widths.value = state.widths;
  if (bar.search.value !== state.q) bar.search.value = state.q;
}

// Lays out what is above and below the graph for the present width.
function arrange(graphHeight) {
  const inner = width - 2 * PAD;
  let y = PAD;
  const put = (node, height, gap) => {
    node.setAttribute("transform", `translate(${PAD},${y})`);
    if (height) y += height + gap;
  };
  for (const legend of svg.querySelectorAll(".legend")) {
    if (legend.dataset.colours === state.colours) legend.removeAttribute("display");
    else legend.setAttribute("display", "none");
  }
  for (const name of ["top", "verdict", "facts"]) {
    const group = svg.querySelector(`.${name}`);
    if (group) put(group, flow(group, inner), name === "top" ? 4 : 5);
  }
  y += 4;
  tools.setAttribute("x", PAD);
  tools.setAttribute("y", y);
  tools.setAttribute("width", inner);
  const high = bar.root.offsetHeight + 4;
  tools.setAttribute("height", high);
  y += high + 6;
  const legend = svg.querySelector(`.legend[data-colours="${state.colours}"]`);
  put(legend, flow(legend, inner), 6);
  put(graph, graphHeight, 12);
  const foot = svg.querySelector(".foot");
  put(foot, flow(foot, inner), PAD);
  svg.setAttribute("viewBox", `0 0 ${width} ${Math.ceil(y)}`);
  svg.setAttribute("height", Math.ceil(y));
}

