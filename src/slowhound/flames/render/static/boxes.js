// The boxes to show, and their positions. A box that is drawn is { box, depth, from, to, parts }: from
// and to are times on the axis of the view, parts are its states from left to right.

// Boxes that become elements at once. 2,000 take Chromium some 50 ms; those that are narrower
// are drawn together as one path.
const MOST_DRAWN = 2000;
const NARROWEST = 1; // pixel

// The left edge of each box, where widths are times: children from the left, widest first.
function placesOf(tree, widths) {
  if (tree.places[widths]) return tree.places[widths];
  const width = widths === "before" ? tree.before : tree.now;
  const from = new Float64Array(tree.size);
  const order = Array.from({ length: tree.size }, (_, box) => box).slice(1);
  // Parents come before their children in the tree, and so in this order.
  order.sort((a, b) => tree.parent[a] - tree.parent[b] || width[b] - width[a]
    || tree.functions[a] - tree.functions[b]);
  const next = new Float64Array(tree.size);
  for (const box of order) {
    const up = tree.parent[box];
    from[box] = next[up];
    next[box] = next[up];
    next[up] += width[box];
  }
  tree.places[widths] = { from, width };
  return tree.places[widths];
}

function mergedBoxes(tree, widths, zoom) {
  const { from, width } = placesOf(tree, widths);
  const low = from[zoom], high = low + width[zoom];
  const found = [];
  for (let box = 0; box < tree.size; box++) {
    if (!width[box]) continue;
    const left = Math.max(low, from[box]), right = Math.min(high, from[box] + width[box]);
    if (right > left) found.push({ box, depth: tree.depth[box], from: left, to: right });
  }
  return { low, high, found };
}

// The samples in order: [from, to, box, state]; times without samples are gaps between them.
let runsInTime = null;
function timeline() {
  if (runsInTime) return runsInTime;
  runsInTime = [];
  let now = data.start;
  for (let at = 0; at < data.runs.length; at += 4) {
    now += data.runs[at];
    runsInTime.push([now, now + data.runs[at + 1], data.runs[at + 2], data.runs[at + 3]]);
    now += data.runs[at + 1];
  }
  return runsInTime;
}

function wholeTime() {
  const runs = timeline();
  return runs.length ? [runs[0][0], runs[runs.length - 1][1]] : [0, 1];
}

function timeBoxes(tree, range) {
  const [low, high] = range || wholeTime();
  const found = [];
  let open = []; // one box for each depth
  const close = (depth) => {
    while (open.length > depth) found.push(open.pop());
  };
  const path = [];
  for (const [from, to, last, state] of timeline()) {
    if (to <= low || from >= high) continue;
    const left = Math.max(low, from), right = Math.min(high, to);
    let box = tree.to[last];
    path.length = tree.depth[box] + 1;
    for (let depth = path.length - 1; depth >= 0; depth--, box = tree.parent[box]) path[depth] = box;
    if (open.length && open[0].to < left) close(0); // a gap
    let same = 0;
    while (same < open.length && same < path.length && open[same].box === path[same]) same++;
    close(same);
    for (let depth = 0; depth < path.length; depth++) {
      if (depth === open.length) {
        open.push({ box: path[depth], depth, from: left, to: right, states: [0, 0, 0, 0] });
      }
      open[depth].to = right;
      open[depth].states[state] += right - left;
    }
  }
  close(0);
  return { low, high, found };
}

// The boxes that get elements, and the rest, which are drawn as one path.
function parted(found, low, high, width) {
  const scale = width / Math.max(1, high - low);
  const wide = found.filter((each) => (each.to - each.from) * scale >= NARROWEST);
  wide.sort((a, b) => (b.to - b.from) - (a.to - a.from));
  const drawn = new Set(wide.slice(0, MOST_DRAWN));
  const order = (a, b) => a.depth - b.depth || a.from - b.from;
  return {
    scale,
    drawn: [...drawn].sort(order),
    rest: found.filter((each) => !drawn.has(each)).sort(order),
  };
}

// Narrow boxes of a row that touch each other are one, so that the path stays short.
function strips(rest, low, scale) {
  const found = [];
  let last = null;
  for (const each of rest) {
    const left = (each.from - low) * scale, right = (each.to - low) * scale;
    if (last && last.depth === each.depth && left - last.right < 0.5) {
      last.right = Math.max(last.right, right);
    } else {
      last = { depth: each.depth, left, right };
      found.push(last);
    }
  }
  return found.filter((each) => each.right - each.left >= 0.15);
}
