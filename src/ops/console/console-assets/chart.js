// Draws the history of /figures: what was done in each slot becomes a rate.
import uPlot from "./uplot.js";

/** Steps of an axis of bytes. */
const powersOfTwo = Array.from({ length: 50 }, (_, power) => 2 ** power);

let chart;
let shownIn;
addEventListener("resize", () => chart?.setSize({ width: chart.root.parentNode.clientWidth, height: 220 }));

/** Returns whether there was something to draw. */
export function drawRates(place, history, bytesText) {
  const { start_ms, slot_ms, served_bytes, origin_bytes } = history;
  if (served_bytes.length < 2) return false;
  const rates = (bytes) => bytes.map((each) => (1000 * each) / slot_ms);
  const times = served_bytes.map((_, index) => (start_ms + (index + 1) * slot_ms) / 1000);
  const data = [times, rates(served_bytes), rates(origin_bytes)];
  const scheme = matchMedia("(prefers-color-scheme: dark)").matches;
  if (chart && shownIn === scheme) chart.setData(data);
  else {
    chart?.destroy();
    shownIn = scheme;
    chart = new uPlot(optionsOf(place, bytesText), data, place);
  }
  return true;
}

/** uPlot widens the range of a single sample to years. */
function lastHour({ data }) {
  const last = data[0].at(-1);
  return [last - 3600, last];
}

function optionsOf(place, bytesText) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--weak"),
    grid: { stroke: colour("--line") },
    ticks: { stroke: colour("--line") },
  };
  const values = (_, splits) => splits.map((value) => `${bytesText(value)}/s`);
  return {
    width: place.clientWidth,
    height: 220,
    legend: { show: false },
    scales: {
      x: { range: lastHour },
      y: { range: (_, min, max) => [0, Math.max(1024, max * 1.1)] },
    },
    series: [
      {},
      { label: "to clients", stroke: colour("--served"), width: 2 },
      { label: "from the origin", stroke: colour("--origin"), width: 2 },
    ],
    axes: [axis, { ...axis, size: 90, values, incrs: powersOfTwo }],
  };
}
