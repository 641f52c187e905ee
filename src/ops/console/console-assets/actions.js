// The actions of the ops listener, for a person who has its token.

import { act, linesOf, useToken } from "./calls.js";
import { byId, bytesText } from "./format.js";
import { listenForWarmUps } from "./warm.js";

const say = (text) => {
  byId("action-state").textContent = text;
};

async function clear() {
  const prefix = byId("clear-prefix").value;
  const match = byId("clear-match").value;
  const what = match === "key" ? "the object" : "every object that begins with";
  if (!confirm(`Clear ${what} "${prefix}" from this replica?`)) return "Nothing was cleared.";
  const { objects, memory, disk } = await (await act("/cache/clear", "clear", { prefix, match })).json();
  const fromDisk = disk ? `, ${disk.chunks} chunks (${bytesText(disk.bytes)}) from disk` : "";
  return `Cleared the metadata of ${objects} objects, ${memory.chunks} chunks (${bytesText(memory.bytes)}) from memory${fromDisk}.`;
}

/** Shows each line of the answer as it comes. */
async function verify() {
  let result = "The scrub gave no answer.";
  for await (const scrub of linesOf(await act("/cache/verify", "verify"))) {
    const { state, checked_chunks, checked_bytes, total_bytes, bad_chunks } = scrub;
    result = `Verify is ${state}: ${checked_chunks} chunks (${bytesText(checked_bytes)} of ${bytesText(total_bytes)}) checked, ${bad_chunks} bad ones deleted.`;
    say(result);
  }
  return result;
}

async function setLogLevel() {
  const seconds = String(60 * Number(byId("log-minutes").value));
  const answer = await act("/log-level", "log-level", { level: byId("log-level").value, seconds });
  const { level, until } = await answer.json();
  return `The log level is ${level}${until ? ` until ${new Date(until).toLocaleTimeString()}` : ""}.`;
}

function onSubmit(form, run) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    void runWith(event.submitter, run);
  });
}

/** One run at a time: `button` does not work meanwhile. */
async function runWith(button, run) {
  button.disabled = true;
  say("Asking…");
  try {
    say(await run());
  } catch (error) {
    say(`Denied or failed: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

/** Without a token of the replica, none that a person gives is right. */
async function checkToken() {
  const { configured } = await (await fetch("/console/token.json")).json();
  if (configured) return;
  byId("action-token-form").hidden = true;
  say(
    "This replica has no token, so the console may run no action. Set server.ops_token_file, and restart it.",
  );
}

/** `onToken` is called with a token that a person gave, for questions that need it as well. */
export function listenForActions(onToken) {
  onSubmit("clear-form", clear);
  onSubmit("verify-form", verify);
  onSubmit("log-level-form", setLogLevel);
  listenForWarmUps();
  byId("action-token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("action-token").value;
    useToken(token);
    byId("actions").disabled = false;
    say("Actions are allowed, if the token is right.");
    onToken(token);
  });
  void checkToken().catch(() => undefined);
}
