/** `/log-level` of the ops listener: the level of the log, and changing it for some time. */
import { OrcaError } from "../../base/orca-error.ts";
import { changedLevelMsMax, type LogLevel, type LogLevelControl, logLevels } from "../log-level.ts";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";
import { allowOnly } from "./cache-endpoints.ts";

export interface LogLevelDocument {
  readonly level: LogLevel;
  /** `logging.level`. */
  readonly configured: LogLevel;
  /** When the configured level returns, in ISO 8601; null while it holds. */
  readonly until: string | null;
}

const path = "/log-level";
const secondsMax = changedLevelMsMax / 1000;

export function logLevelEndpoints(control: LogLevelControl): OpsEndpoint[] {
  return [
    {
      method: "GET",
      path,
      help: 'the level of the log, as JSON; "orca log-level" prints it',
      answer: async ({ query }) => {
        allowOnly(query, []);
        return jsonPage(200, documentOf(control));
      },
    },
    {
      method: "POST",
      path,
      help: 'changes the level of the log for some time; "orca log-level debug --for 10m" does it',
      action: "log-level",
      answer: async ({ query }) => {
        allowOnly(query, ["level", "seconds"]);
        control.change(levelOf(query), secondsOf(query) * 1000);
        return jsonPage(200, documentOf(control));
      },
    },
  ];
}

function documentOf({ current, configured, untilMs }: LogLevelControl): LogLevelDocument {
  const until = untilMs === undefined ? null : new Date(untilMs).toISOString();
  return { level: current, configured, until };
}

function levelOf(query: URLSearchParams): LogLevel {
  const text = query.get("level");
  const level = logLevels.find((each) => each === text);
  if (level) return level;
  throw invalid(`level is "${text ?? ""}", expected ${logLevels.join(", ")}`);
}

function secondsOf(query: URLSearchParams): number {
  const text = query.get("seconds") ?? "";
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= secondsMax) return seconds;
  throw invalid(`seconds is "${text}", expected 1 to ${secondsMax}`);
}

function invalid(reason: string): OrcaError {
  return new OrcaError("invalid_argument", "client", `Cannot change the level of the log: ${reason}`);
}
