/**
 * `POST /profile?kind=cpu&seconds=10` of the ops listener: a profile of this process, as Chrome DevTools loads it. A
 * profile costs time of the main thread, and shows how a replica is used. So it needs the token of the
 * operators, and without `server.ops_token_file` nobody gets one.
 */
import { OrcaError } from "../../base/orca-error.ts";
import { allowOnly } from "../endpoints/cache-endpoints.ts";
import { errorPage, type OpsEndpoint } from "../ops-endpoint.ts";
import { type Profiler, profileKinds, profileMsMax } from "./profiler.ts";

const secondsMax = profileMsMax / 1000;

/** `hasToken`: whether the listener has a token, which it then asks for before this endpoint. */
export function profileEndpoint(profiler: Profiler, hasToken: boolean): OpsEndpoint {
  return {
    method: "POST",
    path: "/profile",
    action: "profile",
    help: '?kind=cpu|heap&seconds=: profiles this process; "orca profile" does it. Needs the token',
    answer: async ({ query, signal }) => {
      if (!hasToken) return errorPage(403, "profiles need a token: set server.ops_token_file");
      allowOnly(query, ["kind", "seconds"]);
      const kind = profileKinds.find((each) => each === query.get("kind"));
      if (!kind) throw invalid(`kind is "${query.get("kind") ?? ""}", expected ${profileKinds.join(" or ")}`);
      const text = query.get("seconds") ?? "";
      const seconds = /^\d{1,3}$/.test(text) ? Number(text) : 0;
      if (seconds < 1 || seconds > secondsMax)
        throw invalid(`seconds is "${text}", expected 1 to ${secondsMax}`);
      const body = await profiler.take(kind, seconds * 1000, signal);
      if (body === undefined) return errorPage(409, "Cannot take a profile: another one is being taken");
      return { status: 200, contentType: "application/json", body };
    },
  };
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot take a profile: ${reason}`);
}
