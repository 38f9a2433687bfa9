// The console works without this file but for copying, searching scopes and examples.
"use strict";
addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
addEventListener("input", (event) => {
  const found = event.target.id === "scope-search" && event.target.closest("[data-search]");
  if (!found) return;
  const wanted = event.target.value.toLowerCase().split(/\s+/);
  for (const label of found.querySelectorAll(".choices label")) {
    const text = label.textContent.toLowerCase();
    label.hidden = !label.firstElementChild.checked && !wanted.every((word) => text.includes(word));
  }
});
addEventListener("change", (event) => {
  if (event.target.id !== "example" || !event.target.value) return;
  const { path, body } = event.target.selectedOptions[0].dataset;
  document.getElementById("method").value = event.target.value;
  document.getElementById("path").value = path;
  document.getElementById("body").value = body;
});

// What refreshes itself leaves alone what somebody is on, by keyboard or by selecting, or has opened.
addEventListener("htmx:before:request", (event) => {
  if (event.detail.ctx?.sourceEvent?.type !== "every") return;
  const selected = getSelection().type === "Range" && event.target.contains(getSelection().anchorNode);
  const used = selected || event.target.contains(document.activeElement) || event.target.querySelector("details[open]");
  if (used) event.preventDefault();
});

// "3 min ago" stays true while a page is open; the server's words are made in the same way.
setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
    const whole = Math.round(Math.abs(seconds));
    if (whole < 60) continue;
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => whole >= size);
    const words = `${Math.floor(whole / size)} ${unit}`;
    element.textContent = seconds >= 0 ? `${words} ago` : `in ${words}`;
  }
}, 20_000);

// Charts: each is drawn from what its element carries, again whenever the page brings a new one.
const hours = (at, step) => new Date(at * 1000).toISOString().slice(...(step >= 86400 ? [5, 10] : [11, 16]));
const LINES = [["solid", [], "#0b7fab"], ["dashed", [9, 5], "#c0392b"], ["dotted", [2, 4], "#8a63c9"]];
const alone = (values) => values.some((it, at) => it != null && values[at - 1] == null && values[at + 1] == null);
function draw(element) {
  element.removeAttribute("data-new");
  const { times, series, unit } = JSON.parse(element.dataset.chart);
  const style = getComputedStyle(element);
  const [ink, line] = [style.color, style.getPropertyValue("--pico-muted-border-color")];
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const highest = (high) => (unit === " %" ? Math.min(100, Math.max(5, high * 1.1)) : Math.max(1, high * 1.1));
  new uPlot({
    width: element.clientWidth || 600, height: 220,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"), // as in the tables
    legend: { markers: { width: 3, dash: (_, at) => (at ? LINES[at - 1][0] : "solid") } },
    series: [{ label: "from", value: (_, at) => (at ? new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ") : "–") },
      ...series.map(({ label, values }, place) => ({ label, stroke: LINES[place][2], dash: LINES[place][1], width: 2, spanGaps: true,
        points: { show: alone(values), size: 7 }, value: (_, it) => (it == null ? "–" : `${it}${unit}`) }))],
    axes: [{ ...axis, values: (_, ticks, __, ___, step) => ticks.map((at) => hours(at, step)) }, { ...axis, size: 60 }],
    scales: { y: { range: (_, low, high) => [0, highest(high)] } },
  }, [times, ...series.map(({ values }) => values)], element);
}
const redraw = () => {
  for (const element of document.querySelectorAll("[data-chart]")) { element.replaceChildren(); draw(element); }
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", redraw);
const drawAll = () => { for (const element of document.querySelectorAll("[data-chart][data-new]")) draw(element); };
addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector("[data-chart]")) return;
  drawAll();
  new MutationObserver(drawAll).observe(document.getElementById("main"), { childList: true, subtree: true });
});
