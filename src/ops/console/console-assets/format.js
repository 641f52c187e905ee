// Figures as text, and text as elements. Text from an answer is set as text and never as HTML, because keys and reasons
// are written by others.

export const byId = (id) => document.getElementById(id);

export function bytesText(bytes) {
  if (bytes < 0) return `−${bytesText(-bytes)}`;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export const ratioText = (ratio) => (ratio === null ? "–" : `${(100 * ratio).toFixed(1)} %`);
export const percent = (part, whole) => ratioText(whole > 0 ? part / whole : null);
export const milliseconds = (value) =>
  value === null ? "–" : `≤ ${value < 1 ? value.toFixed(2) : value} ms`;
export const moneyText = (value) => value.toFixed(Math.abs(value) < 1 ? 4 : 2);
export const timeText = (ms) => new Date(ms).toLocaleTimeString();
export const rangesText = (ranges) => (ranges === null ? "unknown" : ranges === "" ? "–" : ranges);

export function ageText(ms) {
  const minutes = Math.floor(ms / 60000);
  if (minutes < 1) return "< 1 min";
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

export function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function rowOf(cells) {
  const row = document.createElement("tr");
  row.append(
    ...cells.map((cell) => (cell instanceof Node ? withIn("td", cell) : element("td", String(cell)))),
  );
  return row;
}

function withIn(name, child) {
  const made = document.createElement(name);
  made.append(child);
  return made;
}

/** A table in `place`. Its rows are replaced, and its head stays: a screen reader keeps its place. */
export function showTable(place, headings, rows) {
  let table = place.querySelector("table");
  if (!table) {
    table = document.createElement("table");
    const head = document.createElement("tr");
    for (const heading of headings) {
      const cell = element("th", heading);
      cell.scope = "col";
      head.append(cell);
    }
    table.append(withIn("thead", head), document.createElement("tbody"));
    place.append(table);
  }
  const body = table.tBodies[0];
  // A person who has come to a button in it with the keyboard keeps the place.
  const focused = [...body.querySelectorAll("button")].indexOf(document.activeElement);
  body.replaceChildren(...rows.map(rowOf));
  if (focused >= 0) body.querySelectorAll("button")[focused]?.focus();
}

export function showTerms(list, entries) {
  const made = entries.map(([term, text]) => {
    const group = document.createElement("div");
    group.append(element("dt", term), element("dd", text));
    return group;
  });
  list.replaceChildren(...made);
}
