/**
 * `POST /profile?kind=cpu&seconds=10` of the ops listener: a profile of each thread of this process. A profile costs time,
 * and shows how a replica is used. So it needs the token of the operators, and without `server.ops_token_file` nobody gets
 * one.
 *
 *     {
 *       "kind": "cpu",
 *       "seconds": 10,
 *       "threads": [                               the main thread first
 *         { "thread": "main", "profile": {} },     as Chrome DevTools loads it from a file
 *         { "thread": "orca-edge-1", "fault": "no answer within 15 s: it hangs in a call" }
 *       ]
 *     }
 */
import { OrcaError } from "../../base/orca-error.ts";
import { allowOnly } from "../endpoints/cache-endpoints.ts";
import { errorPage, type OpsEndpoint } from "../ops-endpoint.ts";
import { type Profiler, profileKinds, profileMsMax, type ThreadProfile } from "./profiler.ts";

const secondsMax = profileMsMax / 1000;

/** `hasToken`: whether the listener has a token, which it then asks for before this endpoint. */
export function profileEndpoint(profiler: Profiler, hasToken: boolean): OpsEndpoint {
  return {
    method: "POST",
    path: "/profile",
    action: "profile",
    help: '?kind=cpu|heap&seconds=&thread=: profiles the threads of this process; "orca profile" does it. Needs the token',
    answer: async ({ query, signal }) => {
      if (!hasToken) return errorPage(403, "profiles need a token: set server.ops_token_file");
      allowOnly(query, ["kind", "seconds", "thread"]);
      const kind = profileKinds.find((each) => each === query.get("kind"));
      if (!kind) throw invalid(`kind is "${query.get("kind") ?? ""}", expected ${profileKinds.join(" or ")}`);
      const text = query.get("seconds") ?? "";
      const seconds = /^\d{1,3}$/.test(text) ? Number(text) : 0;
      if (seconds < 1 || seconds > secondsMax)
        throw invalid(`seconds is "${text}", expected 1 to ${secondsMax}`);
      const thread = query.get("thread") ?? undefined;
      const profiles = await profiler.take({ kind, durationMs: seconds * 1000, thread }, signal);
      if (profiles === undefined) return errorPage(409, "Cannot take a profile: another one is being taken");
      const threads = profiles.map(threadText).join(",");
      const body = `{"kind":"${kind}","seconds":${seconds},"threads":[${threads}]}\n`;
      return { status: 200, contentType: "application/json", body };
    },
  };
}

/** A profile is in JSON already. */
function threadText({ thread, text, fault }: ThreadProfile): string {
  if (text === undefined) return JSON.stringify({ thread, fault });
  return `{"thread":"${thread}","profile":${text}}`;
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot take a profile: ${reason}`);
}
