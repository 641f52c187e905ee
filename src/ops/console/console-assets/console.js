// The page of /console: asks the listener that served it each 5 s, and shows what it answers.
import { listenForActions } from "./actions.js";
import { byId, bytesText, rangesText, showTable, timeText } from "./format.js";
import { showFigures, showThreads } from "./panels.js";

const pollMs = 5000;
let token = "";
let polling = false;

async function ask(path) {
  const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(path, { headers, cache: "no-store" });
  if (response.status === 401) {
    byId("token-form").hidden = false;
    throw new Error("a token is needed");
  }
  const document = await response.json();
  if (!response.ok) throw new Error(document.error ?? `status ${response.status}`);
  return document;
}

async function poll() {
  if (polling) return;
  polling = true;
  try {
    const [figures, { threads }] = await Promise.all([ask("/figures"), ask("/cluster")]);
    showFigures(figures, showObject);
    showThreads(threads);
    byId("token-form").hidden = true;
    byId("actions-replica").textContent = figures.replica_id;
    const { replicas, members } = figures;
    const live = members.filter(({ state }) => state === "alive" || state === "suspect").length;
    const answers = `${replicas.length} of ${live} live replicas answered`;
    byId("state").textContent = `${figures.replica_id}, as of ${timeText(figures.at_ms)}; ${answers}`;
  } catch (error) {
    byId("state").textContent = `No answer: ${error.message}. What stands below is old.`;
  } finally {
    polling = false;
  }
}

function showObject(bucket, key) {
  byId("bucket").value = bucket;
  byId("key").value = key;
  byId("key").focus();
  void findObject();
}

async function findObject() {
  const query = new URLSearchParams({ bucket: byId("bucket").value, key: byId("key").value });
  byId("object-state").textContent = "Asking…";
  byId("object-result").hidden = true;
  try {
    const found = await ask(`/inspect?${query}`);
    byId("object-state").textContent =
      `${bytesText(found.size)} in ${found.chunks} chunks of ${bytesText(found.chunk_size)}, from origin ${found.origin}.`;
    showTable(
      byId("object-result"),
      ["Replica", "Coordinates", "Memory", "Disk", "Being fetched", "Cachestore"],
      found.replicas.map((each) => [
        each.replica_id,
        rangesText(each.coordinates),
        rangesText(each.memory),
        rangesText(each.disk),
        rangesText(each.flight),
        rangesText(each.cachestore),
      ]),
    );
    byId("object-result").hidden = false;
  } catch (error) {
    byId("object-state").textContent = error.message;
  }
}

byId("object-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void findObject();
});

function useToken(given) {
  token = given;
  void poll();
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value);
});
listenForActions(useToken);

function pollIfSeen() {
  if (!document.hidden) void poll();
}

setInterval(pollIfSeen, pollMs);
document.addEventListener("visibilitychange", pollIfSeen);
pollIfSeen();
