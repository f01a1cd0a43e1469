// The data in the file, and the trees that are drawn from it. Times are whole microseconds.
// The script is the same in all files: model.js, boxes.js, draw.js, view.js and controls.js in one
// function. Only the JSON in <metadata> differs.

const svg = (document.currentScript && document.currentScript.ownerSVGElement)
  || document.querySelector("svg.slowhound-flame");
const data = JSON.parse(svg.querySelector("metadata").textContent);
const STATES = ["running", "waiting", "starved", "unsampled"];

const nameOf = (number) => data.functions[number][0];
const fileOf = (number) => data.functions[number][1];
const kindOf = (number) => data.functions[number][2];

// A tree has the parent and function of each box, its own time by state, and its total time.
function makeTree(parent, functions, own, before) {
  const size = parent.length;
  const total = own.slice();
  const was = before.slice();
  for (let box = size - 1; box > 0; box--) {
    for (let state = 0; state < 4; state++) total[parent[box] * 4 + state] += total[box * 4 + state];
    was[parent[box]] += was[box];
  }
  const now = new Float64Array(size);
  const self = new Float64Array(size);
  const depth = new Int32Array(size);
  for (let box = 0; box < size; box++) {
    for (let state = 0; state < 4; state++) {
      now[box] += total[box * 4 + state];
      self[box] += own[box * 4 + state];
    }
    if (box) depth[box] = depth[parent[box]] + 1;
  }
  return {
    size, parent, functions, own, total, now, self, depth, before: was, ownBefore: before, places: {},
  };
}

// The tree of all samples.
function fullTree() {
  const size = data.parent.length;
  const own = new Float64Array(size * 4);
  const before = new Float64Array(size);
  for (let at = 0; at < data.runs.length; at += 4) {
    own[data.runs[at + 2] * 4 + data.runs[at + 3]] += data.runs[at + 1];
  }
  for (let at = 0; at < data.before.length; at += 2) before[data.before[at]] += data.before[at + 1];
  const tree = makeTree(Int32Array.from(data.parent), data.function, own, before);
  tree.to = Int32Array.from({ length: size }, (_, box) => box);
  tree.first = tree.to;
  tree.members = new Int32Array(size).fill(1);
  return tree;
}

// The same with each run of library boxes as one box.
function foldedTree(full) {
  const to = new Int32Array(full.size);
  const parent = [], functions = [], first = [], members = [], packages = [];
  const known = new Map();
  const isLibrary = (box) => box > 0 && kindOf(full.functions[box]) === "library";
  for (let box = 0; box < full.size; box++) {
    const library = isLibrary(box);
    const up = full.parent[box];
    const inRun = library && isLibrary(up);
    // One run for each box that calls libraries; 0 stands for "a library".
    const key = to[up] * (data.functions.length + 1) + (library ? 0 : full.functions[box] + 1);
    let folded = inRun ? to[up] : box ? known.get(key) : undefined;
    if (folded === undefined) {
      folded = parent.length;
      if (box) known.set(key, folded);
      parent.push(box ? to[up] : 0);
      functions.push(full.functions[box]);
      first.push(box);
      members.push(0);
      packages.push(new Set());
    }
    members[folded] += 1;
    if (library) packages[folded].add(fileOf(full.functions[box]).split("/")[0].replace(/\.py$/, ""));
    to[box] = folded;
  }
  const own = new Float64Array(parent.length * 4);
  const before = new Float64Array(parent.length);
  for (let box = 0; box < full.size; box++) {
    for (let state = 0; state < 4; state++) own[to[box] * 4 + state] += full.own[box * 4 + state];
    before[to[box]] += full.ownBefore[box];
  }
  const tree = makeTree(Int32Array.from(parent), functions, own, before);
  return Object.assign(tree, { to, first: Int32Array.from(first), members, packages });
}

const full = fullTree();
let folded = null;
const everything = full.now[0];
const everythingBefore = full.before[0];

function treeOf(isFolded) {
  if (!isFolded) return full;
  folded = folded || foldedTree(full);
  return folded;
}

function titleOf(tree, box) {
  if (box === 0) return data.root;
  if (!tree.packages || tree.members[box] < 2 || !tree.packages[box].size) {
    return nameOf(tree.functions[box]);
  }
  const names = [...tree.packages[box]].filter(Boolean);
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""} (${tree.members[box]} library calls)`;
}

// The difference of the box's share from its normal share, in points; null without a normal profile.
function difference(tree, box) {
  if (!everythingBefore) return null;
  return 100 * tree.now[box] / Math.max(1, everything) - 100 * tree.before[box] / everythingBefore;
}

function stepOf(points) {
  const height = data.steps.filter((each) => Math.abs(points) >= each).length;
  return height ? `${points > 0 ? "more" : "less"}${height}` : "same";
}

// The boxes that a search finds, and the share of all time that is in or under them.
function find(query) {
  if (!query) return null;
  let pattern;
  try {
    pattern = new RegExp(query, "i");
  } catch (_) {
    pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  }
  const matches = data.functions.map(([name, file], at) => at > 0 && (pattern.test(name) || pattern.test(file)));
  const hits = new Uint8Array(full.size);
  const under = new Uint8Array(full.size);
  let time = 0, boxes = 0;
  for (let box = 1; box < full.size; box++) {
    hits[box] = matches[full.functions[box]] ? 1 : 0;
    under[box] = hits[box] || under[full.parent[box]] ? 1 : 0;
    if (under[box]) time += full.self[box];
    boxes += hits[box];
  }
  return { hits, boxes, share: everything ? time / everything : 0 };
}
