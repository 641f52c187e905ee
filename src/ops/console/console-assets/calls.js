// How the page runs an action of the ops listener. The token is kept in this page alone: no cookie holds it, so no other
// page can send it.

let token = "";

export function useToken(given) {
  token = given;
}

/** Throws with the listener's own words. */
export async function act(path, action, query = {}, signal) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { "x-orca-action": action, authorization: `Bearer ${token}` },
    signal,
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `status ${response.status}`);
}

/** The documents of an answer, one a line, as they come. */
export async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}
