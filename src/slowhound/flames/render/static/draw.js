// Makes elements of boxes. No text becomes markup: all is set as text or as an attribute.

const SVG = "http://www.w3.org/2000/svg";
const HTML = "http://www.w3.org/1999/xhtml";
const PAD = 14;
const NARROWEST_PARTS = 6; // pixels of a box that shows its states side by side
const CHARACTER = 7.23; // of the boxes' 12 px monospaced font

function element(space, name, attributes, ...inside) {
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...inside);
  return made;
}

function seconds(micros) {
  if (micros > 0 && micros < 1000) return `${micros.toPrecision(3).replace(/\.?0+$/, "")} \u00b5s`;
  if (micros > 0 && micros < 1e6) return `${Number((micros / 1e3).toPrecision(3))} ms`;
  return `${(micros / 1e6).toFixed(2)} s`;
}

const percent = (part) => `${(100 * part).toFixed(1)} %`;

// East Asian characters are about twice as wide.
function fitted(text, pixels) {
  const room = Math.floor(pixels / CHARACTER);
  if (text.length <= room && !/[^\u0000-\u02ff\u2000-\u206f]/.test(text)) return text;
  let used = 0, kept = "";
  for (const each of text) {
    used += /[^\u0000-\u02ff\u2000-\u206f]/.test(each) ? 2 : 1;
    if (used > room - 1) return kept.length > 1 ? `${kept}\u2026` : "";
    kept += each;
  }
  return kept;
}

// The file has the verdict in lines for a fixed width; here it wraps word by word.
function splitIntoWords(group) {
  const words = [...group.children].flatMap((each) => each.textContent.split(" "));
  group.replaceChildren(...words.map((word) => element(SVG, "g", {}, element(SVG, "text", { class: "value", y: 14 }, word))));
}

// Arranges the children of a group like words in a paragraph; returns its height.
function flow(group, width) {
  const gap = Number(group.dataset.gap), row = Number(group.dataset.row);
  let x = 0, y = 0;
  for (const each of group.children) {
    const text = each.querySelector("text") || each;
    const value = text.querySelector(".value") || text;
    value.dataset.whole = value.dataset.whole || value.textContent;
    value.textContent = value.dataset.whole;
    let long = each.getBBox().width;
    while (long > width && value.textContent.length > 2) {
      const keep = Math.max(1, Math.floor(value.textContent.length * 0.9) - 1);
      value.textContent = `${value.textContent.slice(0, keep)}\u2026`;
      long = each.getBBox().width;
    }
    if (x && x + long > width) {
      x = 0;
      y += row;
    }
    each.setAttribute("transform", `translate(${x.toFixed(1)},${y})`);
    x += long + gap;
  }
  return group.children.length ? y + row : 0;
}

// The coloured parts of a box, each a class and its share of the width.
function partsOf(tree, each, colours, width) {
  const { box } = each;
  if (colours === "kind") return [[`k-${kindOf(tree.functions[box])}`, 1]];
  if (colours === "diff") return [[`d-${stepOf(difference(tree, box) || 0)}`, 1]];
  const all = tree.now[box];
  if (!all) return [["d-less3", 1]]; // only the normal profile has it
  const states = each.states || tree.total.subarray(box * 4, box * 4 + 4);
  // In the view in time, and where a box is narrow, it has the colour of its longest state.
  if (each.states || width < NARROWEST_PARTS) return [[`s-${STATES[states.indexOf(Math.max(...states))]}`, 1]];
  return STATES.map((state, at) => [`s-${state}`, states[at] / all]).filter((part) => part[1] > 0);
}

function drawBox(tree, each, shape) {
  const { box } = each;
  const x = (each.from - shape.low) * shape.scale;
  const width = Math.max(0.6, (each.to - each.from) * shape.scale - (shape.scale ? 0.6 : 0));
  const y = shape.rowAt(each.depth), height = shape.row - 1;
  const kind = kindOf(tree.functions[box]);
  const classes = ["box"];
  if (kind === "library") classes.push("lib");
  if (shape.hit(box)) classes.push("hit");
  if (shape.isAbove(each)) classes.push("above");
  const group = element(SVG, "g", {
    class: classes.join(" "), role: "treeitem", tabindex: "-1", "data-box": box,
    "aria-level": each.depth + 1, "aria-label": ariaLabel(tree, each),
  });
  let from = x;
  const parts = partsOf(tree, each, shape.colours, width);
  for (const [name, share] of parts) {
    const wide = width * share;
    if (wide < 0.3 && parts.length > 1) continue;
    group.append(element(SVG, "rect", {
      class: name, x: from.toFixed(2), y, width: wide.toFixed(2), height, rx: parts.length > 1 ? null : 1.5,
    }));
    from += wide;
  }
  if (shape.hit(box)) {
    group.append(element(SVG, "rect", { class: "mark", x: x.toFixed(2), y: y + height - 3, width: width.toFixed(2), height: 3 }));
  }
  const label = labelOf(tree, each, shape, width - 8);
  if (label) {
    const text = element(SVG, "text", { x: (x + 4).toFixed(2), y: y + height / 2 + 4.2 }, label[0]);
    if (label[1]) text.append(element(SVG, "tspan", { class: "share", dx: 8 }, label[1]));
    group.append(text);
  }
  return group;
}

function labelOf(tree, each, shape, room) {
  if (room < 3 * CHARACTER) return null;
  const title = titleOf(tree, each.box);
  const points = shape.colours === "diff" && each.box ? difference(tree, each.box) : null;
  const share = points === null
    ? percent(shape.shareOf(each))
    : `${points > 0 ? "+" : ""}${points.toFixed(1)}`;
  const whole = fitted(title, room);
  if (whole === title && room > (title.length + share.length + 2) * CHARACTER) return [whole, share];
  return whole ? [whole, ""] : null;
}

function whereOf(tree, box) {
  const number = tree.functions[box], file = fileOf(number);
  const base = tree.first[box];
  if (!file || tree.members[box] > 1) return file && tree.packages ? `from ${file}` : file;
  if (!data.line[base]) return file;
  const others = data.lines[base] - 1;
  return `${file}:${data.line[base]}${others > 0 ? ` and ${others} other line${others > 1 ? "s" : ""}` : ""}`;
}

// The description of a box, as lines of text; the first is its name.
function describe(tree, each) {
  const { box } = each;
  const up = tree.parent[box];
  const lines = [titleOf(tree, box)];
  if (box && whereOf(tree, box)) lines.push(whereOf(tree, box));
  const time = [`${seconds(tree.now[box])}, ${percent(tree.now[box] / Math.max(1, everything))} of all`];
  if (box && up) time.push(`${percent(tree.now[box] / Math.max(1, tree.now[up]))} of its caller`);
  if (tree.self[box] && tree.self[box] !== tree.now[box]) time.push(`${seconds(tree.self[box])} in itself`);
  if (each.states) time.push(`here ${seconds(each.to - each.from)}`);
  lines.push(time.join(" \u00b7 "));
  const states = STATES.map((state, at) => [state, tree.total[box * 4 + at]]).filter((part) => part[1] > 0);
  if (states.length) lines.push(states.map(([state, part]) => `${state} ${seconds(part)}`).join(" \u00b7 "));
  const points = difference(tree, box);
  if (points !== null && box) {
    lines.push(`normally ${percent(tree.before[box] / everythingBefore)} of all: ${points >= 0 ? "+" : ""}${points.toFixed(1)} points`);
  }
  return lines;
}

function ariaLabel(tree, each) {
  const points = difference(tree, each.box);
  return `${titleOf(tree, each.box)}, ${seconds(each.states ? each.to - each.from : tree.now[each.box])}, `
    + percent(tree.now[each.box] / Math.max(1, everything))
    + (points === null || !each.box ? "" : `, ${points.toFixed(1)} points against normal`);
}

// The exact states in time: a box there has only the colour of its longest state.
function stateStrip(low, scale, y) {
  const paths = STATES.map(() => []);
  let last = null;
  const flush = () => {
    if (!last) return;
    const left = (last.from - low) * scale, wide = (last.to - last.from) * scale;
    if (wide >= 0.2) paths[last.state].push(`M${left.toFixed(1)},${y}h${wide.toFixed(1)}v7h-${wide.toFixed(1)}z`);
  };
  for (const [from, to, , state] of timeline()) {
    const left = Math.max(from, low), right = Math.min(to, low + (width - 2 * PAD) / scale);
    if (right <= left) continue;
    if (last && last.state === state && left <= last.to) {
      last.to = right;
    } else {
      flush();
      last = { from: left, to: right, state };
    }
  }
  flush();
  const drawn = paths.map((path, at) => path.length && element(SVG, "path", { class: `s-${STATES[at]}`, d: path.join("") }));
  return element(SVG, "g", { class: "strip", "aria-hidden": "true" }, ...drawn.filter(Boolean));
}

// The axis of the view in time, with round steps.
function axis(low, high, width, height) {
  const group = element(SVG, "g", { class: "axis", "aria-hidden": "true" });
  const span = Math.max(1, high - low);
  const rough = span / Math.max(2, Math.floor(width / 110));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) {
    const x = (at - low) * width / span;
    group.append(element(SVG, "path", { d: `M${x.toFixed(1)},0V${height}` }));
    if (x < width - 50) group.append(element(SVG, "text", { x: (x + 3).toFixed(1), y: 11 }, axisText(at, step)));
  }
  return group;
}

function axisText(micros, step) {
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step / 1e6))));
  return `${(micros / 1e6).toFixed(digits)} s`;
}
