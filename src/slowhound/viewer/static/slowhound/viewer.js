"use strict";
// Charts, the live page, local times, and buttons that copy. Every page works without this script:
// the numbers of each chart are also in a table.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const LINES = {
  requests: ["Requests", "--accent", true],
  errors: ["Errors", "--bad", true],
  p50: ["Median", "--p3", false],
  p95: ["p95", "--accent", false],
  p99: ["p99", "--p0", false],
  busy: ["Workers", "--accent", true],
  threads: ["Threads", "--p0", false],
  slow: ["Slow", "--p2", true],
  deaths: ["Deaths", "--bad", true],
};

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.00995) return `${(value * 1000).toFixed(value ? 1 : 0)} ms`;
  if (value < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
  return value < 60 ? `${+value.toFixed(2)} s` : `${+(value / 60).toFixed(1)} min`;
}

const FORMATS = {
  count: (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en")),
  share: (value) => (value === null || value === undefined ? "–" : `${Math.round(value * 100)} %`),
  seconds,
};

const two = (number) => String(number).padStart(2, "0");

function clock(at, step) {
  const moment = new Date(at * 1000);
  const day = `${moment.getUTCFullYear()}-${two(moment.getUTCMonth() + 1)}-${two(moment.getUTCDate())}`;
  const time = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}`;
  if (step >= 86400) return day;
  return step < 60 ? `${day} ${time}:${two(moment.getUTCSeconds())}` : `${day} ${time}`;
}

// Ticks of the time axis: the time, and its date where a new day begins.
function ticks(at, step) {
  let last = "";
  return at.map((each) => {
    const [day, time] = clock(each, step).split(" ");
    const label = day === last || !time ? (time ?? day.slice(5)) : `${time}\n${day.slice(5)}`;
    last = day;
    return label;
  });
}

function axis(extra) {
  return {
    stroke: colour("--soft"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    ...extra,
  };
}

function line(name, kind, single) {
  const [label, variable, filled] = LINES[name];
  const stroke = colour(variable);
  return {
    label,
    stroke,
    width: 1.5,
    fill: filled ? `${stroke}22` : undefined,
    points: { show: single, size: 5, fill: stroke },
    paths: kind === "count" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    value: (_, value) => FORMATS[kind](value),
  };
}

function zoom(section, from, to) {
  const url = new URL(section.dataset.zoom, location.href);
  url.searchParams.set("since", Math.floor(from));
  url.searchParams.set("until", Math.ceil(to));
  location.assign(url);
}

function draw(box, section, series) {
  const names = box.dataset.lines.split(" ").filter((name) => series[name].some((each) => each !== null));
  const kind = box.dataset.kind;
  const top = { share: 1, seconds: 0.01, count: 1 }[kind];
  const plot = new uPlot(
    {
      width: box.clientWidth,
      height: 144,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      cursor: { points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, top) * (kind === "share" ? 1 : 1.08)] } },
      axes: [
        axis({ space: 70, size: 40, values: (_, at) => ticks(at, Math.min(series.step, 3600)) }),
        axis({ size: 56, space: 28, values: (_, values) => values.map(FORMATS[kind]), incrs: kind === "count" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] : undefined }),
      ],
      series: [
        { label: "UTC", value: (_, at) => (at === null ? "–" : clock(at, series.step)) },
        ...names.map((name) => line(name, kind, series.at.length < 3)),
      ],
      hooks: {
        setSelect: [
          (chart) => {
            if (chart.select.width > 8) {
              zoom(section, chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x"));
            }
          },
        ],
      },
    },
    [series.at, ...names.map((name) => series[name])],
    box,
  );
  return plot;
}

function charts() {
  for (const section of document.querySelectorAll(".charts")) {
    const series = JSON.parse(document.getElementById(section.dataset.series).textContent);
    const boxes = [...section.querySelectorAll(".chart")];
    let plots = [];
    const redraw = () => {
      plots.forEach((plot) => plot.destroy());
      plots = boxes.map((box) => draw(box, section, series));
    };
    redraw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    let width = section.clientWidth;
    new ResizeObserver(() => {
      if (section.clientWidth !== width) {
        width = section.clientWidth;
        plots.forEach((plot, at) => plot.setSize({ width: boxes[at].clientWidth, height: 144 }));
      }
    }).observe(section);
  }
}

// The live page fetches its own HTML again, unless its tab is hidden.
function live() {
  const pulse = document.getElementById("pulse");
  if (!pulse) return;
  const button = document.getElementById("pause");
  const status = document.getElementById("pulse-text");
  let paused = false;
  async function refresh() {
    if (!paused && !document.hidden) {
      try {
        const response = await fetch(location.href, { headers: { "X-Requested-With": "slowhound" } });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const found = page.getElementById("live");
        if (!found) throw new Error("not the live page");
        const focused = document.activeElement;
        if (!focused || !document.getElementById("live").contains(focused) || focused.className === "wide") {
          const at = [...document.querySelectorAll("#live .wide")].indexOf(focused);
          document.getElementById("live").replaceChildren(...found.childNodes);
          if (at >= 0) document.querySelectorAll("#live .wide")[at]?.focus({ preventScroll: true });
        }
        status.textContent = page.getElementById("pulse-text").textContent;
        pulse.className = "pulse on";
      } catch (problem) {
        status.textContent = `no response (${problem.message}); this data is old`;
        pulse.className = "pulse off";
      }
    }
    setTimeout(refresh, Number(pulse.dataset.every));
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Resume" : "Pause";
    pulse.className = paused ? "pulse" : "pulse on";
  });
  pulse.className = "pulse on";
  setTimeout(refresh, Number(pulse.dataset.every));
}

function copying() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }
}

function localTimes() {
  for (const each of document.querySelectorAll("time[datetime]:not([title])")) {
    each.title = new Date(each.dateTime).toLocaleString();
  }
}

// Empty fields of a form are left out of the URL.
function filters() {
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", () => {
      for (const each of form.elements) if (each.name && each.value === "") each.disabled = true;
    });
    addEventListener("pageshow", () => {
      for (const each of form.elements) each.disabled = false;
    });
  }
}

// On a phone the menu is wider than the page. Not with scrollIntoView(): in Chromium 156 the first Tab
// would then begin there, after the link that skips the menu.
function showCurrentPageInMenu() {
  const current = document.querySelector(".top [aria-current]");
  const menu = current?.closest("nav");
  if (!menu) return;
  const [inner, outer] = [current, menu].map((each) => each.getBoundingClientRect());
  menu.scrollLeft += inner.left + inner.width / 2 - (outer.left + outer.width / 2);
}

showCurrentPageInMenu();
if (window.uPlot) charts();
live();
copying();
localTimes();
filters();
