// Warms a prefix, from a form of the page. The warm-up ends with its caller, so it ends when it is cancelled here, and when
// the page is closed.

import { act, linesOf } from "./calls.js";
import { byId, bytesText, element } from "./format.js";

const passes = { listing: "Listing", filling: "Fetching", verifying: "Verifying" };
let running;

/** Where a screen reader listens: said once for each pass, and at the end. */
const say = (text) => {
  const place = byId("warm-state");
  if (place.textContent !== text) place.textContent = text;
};

const countText = ({ chunks, bytes }) =>
  `${chunks} ${chunks === 1 ? "chunk" : "chunks"} (${bytesText(bytes)})`;

function queryOf() {
  const rate = byId("warm-rate").value;
  return {
    prefix: byId("warm-prefix").value.replace(/^s3:\/\//, ""),
    ...(byId("warm-dry-run").checked && { dry_run: "true" }),
    ...(rate !== "" && { bytes_per_second: String(Math.round(Number(rate) * 1024 * 1024)) }),
  };
}

function showProgress(warmUp) {
  const { state, objects, bytes, pass_bytes: done, pass_total_bytes: total } = warmUp;
  say(`${passes[state] ?? state} ${warmUp.source}`);
  const bar = byId("warm-progress");
  if (state === "listing") bar.removeAttribute("value");
  else bar.value = total > 0 ? Math.min(1, done / total) : 1;
  const passed = state === "listing" ? "" : `: ${bytesText(Math.min(done, total))} of ${bytesText(total)}`;
  byId("warm-numbers").textContent = `${objects} objects, ${bytesText(bytes)}${passed}`;
}

function endText({ state, source, objects, dry_run: isDryRun, reason, continued, ...counts }) {
  const { held, filled, verified, missing, unpinned, run_id: runId } = counts;
  if (state === "handed_on")
    return `This replica stops, and replica ${continued.replica_id} goes on: orca warm --follow ${runId} --ops ${continued.ops}`;
  if (state === "failed") return `The warm-up failed: ${reason}`;
  if (objects === 0) return `No object there: ${source} names none.`;
  if (isDryRun)
    return `${source}: ${objects} objects. Held: ${countText(held)}. To fetch: ${countText(missing)}.`;
  const all = `Held before: ${countText(held)}. Fetched: ${countText(filled)}. Verified: ${countText(verified)}.`;
  if (state === "complete") return `${all} Every chunk is held where it should be.`;
  return `${all} Not held: ${countText(missing)}. Not pinned: ${countText(unpinned)}.`;
}

function showMissing({ dry_run: isDryRun, missing_chunks: named }) {
  if (isDryRun) return;
  const items = named.map(({ url, chunk, reason }) =>
    element("li", `${url}${chunk === null ? "" : `, chunk ${chunk}`}: ${reason}`),
  );
  byId("warm-missing").replaceChildren(...items);
}

async function warm(signal) {
  let last;
  for await (const warmUp of linesOf(await act("/cache/warm", "warm", queryOf(), signal))) {
    last = warmUp;
    if (warmUp.state in passes) showProgress(warmUp);
  }
  if (!last || last.state in passes) throw new Error("it ended before the warm-up had");
  showMissing(last);
  return endText(last);
}

async function run() {
  running = new AbortController();
  const [start, cancel, progress] = [byId("warm-start"), byId("warm-cancel"), byId("warm-running")];
  byId("warm-missing").replaceChildren();
  progress.hidden = false;
  cancel.disabled = false;
  // The focus would be lost with the button that has it.
  if (document.activeElement === start) cancel.focus();
  start.disabled = true;
  say("Asking…");
  try {
    say(await warm(running.signal));
  } catch (error) {
    say(running.signal.aborted ? "Cancelled. What was fetched stays." : `Denied or failed: ${error.message}`);
  } finally {
    start.disabled = false;
    if (document.activeElement === cancel) start.focus();
    cancel.disabled = true;
    progress.hidden = true;
  }
}

export function listenForWarmUps() {
  byId("warm-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!byId("warm-start").disabled) void run();
  });
  byId("warm-cancel").addEventListener("click", () => running?.abort());
}
