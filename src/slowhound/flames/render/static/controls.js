// The controls: toolbar, tooltip, pointer and keys.

function button(text, title, onClick) {
  const made = element(HTML, "button", { type: "button", title }, text);
  made.addEventListener("click", onClick);
  return made;
}

function choice(text, options, onChange) {
  const select = element(HTML, "select", {}, ...options.map(([value, name]) => element(HTML, "option", { value }, name)));
  select.addEventListener("change", () => onChange(select.value));
  return [element(HTML, "label", {}, text, select), select];
}

function makeBar() {
  const search = element(HTML, "input", {
    type: "search", placeholder: "Search: text or regex  ( / )", "aria-label": "Search for functions and files", spellcheck: "false",
  });
  search.addEventListener("input", () => change({ q: search.value }));
  const merged = button("Merged", "Equal stacks together, widest first", () => change({ view: "merged", zoom: "" }));
  const time = button("In time", "Samples in the order they were taken", () => change({ view: "time", zoom: "" }));
  const fold = button("Fold libraries", "Each run of library calls as one box", () => change({ fold: state.fold ? "" : "1" }));
  const up = button("Upside down", "Callers below", () => change({ up: state.up ? "" : "1" }));
  const options = [["state", "state"], ["kind", "kind"]];
  if (everythingBefore) options.unshift(["diff", "difference"]);
  const [colourLabel, colours] = choice("Colour", options, (value) => change({ colours: value }));
  const parts = [search, merged, time, fold, up, colourLabel];
  let widths = null;
  if (everythingBefore) {
    const [label, select] = choice("Widths", [["now", "this"], ["before", "normal"]], (value) => change({
      widths: value, zoom: "", view: "merged", ...(value === "before" ? { colours: "diff" } : {}),
    }));
    widths = select;
    parts.push(label);
  }
  const reset = button("Reset", "Whole graph, no search  ( Esc )", () => change({ zoom: "", q: "" }, true));
  const status = element(HTML, "div", { class: "status", "aria-live": "polite" });
  const root = element(HTML, "div", { class: "bar", role: "group", "aria-label": "View of the flame graph" }, ...parts, reset, status);
  return { root, search, merged, time, fold, up, colours, widths, reset, status };
}

function outline(pair) {
  const tree = treeOf(state.fold === "1");
  const area = pair[0].getBBox();
  for (const [key, value] of [["x", area.x], ["y", area.y], ["width", area.width], ["height", ROW - 1]]) ring.setAttribute(key, value);
  ring.removeAttribute("display");
  return describe(tree, pair[1]);
}

function showTip(pair, clientX, clientY) {
  const [name, ...lines] = outline(pair);
  const wide = Math.min(440, width - 8);
  tip.replaceChildren(element(HTML, "div", {}, element(HTML, "b", {}, name), ...lines.map((line) => element(HTML, "div", {}, line))));
  const area = svg.getBoundingClientRect();
  const x = Math.max(4, Math.min(clientX - area.left + 14, width - wide - 4));
  tip.setAttribute("width", wide);
  tip.removeAttribute("display");
  const high = tip.firstChild.offsetHeight + 26;
  const below = clientY + high + 16 < Math.min(window.innerHeight, area.bottom);
  tip.setAttribute("x", x);
  tip.setAttribute("y", Math.max(2, clientY - area.top + (below ? 18 : -high - 4)));
  tip.setAttribute("height", high);
}

function hideTip() {
  tip.setAttribute("display", "none");
  ring.setAttribute("display", "none");
}

function zoomTo(each) {
  focused = each;
  if (state.view === "time") change({ zoom: each.depth ? `${each.from}-${each.to}` : "" }, true);
  else change({ zoom: each.box ? String(treeOf(state.fold === "1").first[each.box]) : "" }, true);
}

const pairOf = (node) => {
  const made = node && node.closest && node.closest(".box");
  return made ? drawn.find((pair) => pair[0] === made) : undefined;
};

// The box to which an arrow key moves: in the row, the caller, or the widest box inside.
function adjacent([, each], key) {
  const inward = state.up ? "ArrowUp" : "ArrowDown", outward = state.up ? "ArrowDown" : "ArrowUp";
  const row = (depth) => drawn.filter((pair) => pair[1].depth === depth);
  if (key === "Home") return drawn[0];
  if (key === outward) return row(each.depth - 1).find(([, other]) => other.from <= each.from && other.to >= each.to);
  if (key === inward) {
    return row(each.depth + 1).filter(([, other]) => other.from >= each.from && other.to <= each.to)
      .reduce((best, pair) => (!best || pair[1].to - pair[1].from > best[1].to - best[1].from ? pair : best), undefined);
  }
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (!step) return undefined;
  const along = row(each.depth);
  return along[along.findIndex((pair) => pair[1] === each) + step];
}

function moveTo(pair) {
  focused = pair[1];
  setTabStop(focused);
  pair[0].focus({ preventScroll: true });
  const area = pair[0].getBoundingClientRect();
  if (area.top < 0 || area.bottom > window.innerHeight) pair[0].scrollIntoView({ block: "center" });
  showTip(pair, area.left, area.bottom);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target === bar.search;
  if (event.key === "Escape" && svg.contains(event.target)) {
    const again = !typing;
    change({ zoom: "", q: typing || state.zoom === "" ? "" : state.q }, true);
    if (again && drawn.length) setTabStop(focused)[0].focus();
    return;
  }
  if (event.key === "/" && !/^(input|textarea|select)$/i.test(event.target.tagName || "")) {
    event.preventDefault();
    bar.search.focus();
    return;
  }
  const pair = pairOf(event.target);
  if (!pair) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    zoomTo(pair[1]);
    const next = setTabStop(focused);
    if (next) moveTo(next);
    return;
  }
  const next = adjacent(pair, event.key);
  if (next) moveTo(next);
  if (next || event.key.startsWith("Arrow")) event.preventDefault();
}

const bar = makeBar();
tools.append(bar.root);
svg.insertBefore(tools, graph);
svg.append(tip);
graph.addEventListener("click", (event) => { const pair = pairOf(event.target); if (pair) zoomTo(pair[1]); });
graph.addEventListener("mousemove", (event) => {
  const pair = pairOf(event.target);
  if (pair) showTip(pair, event.clientX, event.clientY);
  else hideTip();
});
graph.addEventListener("mouseleave", hideTip);
// On the document: in Chromium, Tab would also stop at an SVG element with a focus listener.
document.addEventListener("focusin", (event) => {
  const pair = pairOf(event.target);
  if (!pair || !pair[0].matches(":focus-visible")) return;
  focused = pair[1];
  const area = pair[0].getBoundingClientRect();
  showTip(pair, area.left, area.bottom);
});
document.addEventListener("focusout", hideTip);
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => {
  const before = JSON.stringify(state);
  readAddress();
  if (JSON.stringify(state) !== before) draw(); // else we have set it
});

function measure() {
  const wide = Math.max(240, Math.round(svg.getBoundingClientRect().width));
  if (wide === width) return;
  width = wide;
  tools.setAttribute("width", width - 2 * PAD);
  draw();
}

for (const verdict of svg.querySelectorAll(".verdict")) splitIntoWords(verdict);
svg.setAttribute("width", "100%");
readAddress();
measure();
new ResizeObserver(measure).observe(svg);
