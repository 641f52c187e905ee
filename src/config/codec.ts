/**
 * The types of scalar settings: how a text is read, within which bounds, and how the value is printed again. Every
 * value arrives as text (a scalar of the file keeps its spelling), so that a setting means the same in the file, in
 * the environment and on the command line.
 */
import { availableParallelism } from "node:os";
import { formatDuration, GiB, KiB, MiB, parseBytes, parseDuration } from "../base/units.ts";
import { didYouMean } from "./did-you-mean.ts";
import { quoted } from "./fault.ts";

/** Why a text is not a value: what was expected, and what was given, in a form that may be shown. */
export class InvalidValue {
  readonly expected: string;
  readonly given: string;
  readonly hint: string;

  constructor(expected: string, given: string, hint = "") {
    this.expected = expected;
    this.given = given;
    this.hint = hint;
  }

  get message(): string {
    return `expected ${this.expected}, got ${this.given}${this.hint}`;
  }
}

export interface Codec<Value, Unit extends string = ""> {
  /** Ends the name of the setting in Config, so that a number is never without its unit: `queueTimeoutMs`. */
  readonly unit: Unit;
  /** The name of the type on the page of settings. */
  readonly type: string;
  /** The bounds on the page of settings; empty where the type has none but its own form. */
  readonly bounds: string;
  parse(text: string): Value | InvalidValue;
  /** A text or value that `parse` reads back as `value`. */
  print(value: Value): string | number | boolean;
}

interface Bounds<Limit> {
  readonly min?: Limit;
  readonly max?: Limit;
}

/** Bytes, written `8MiB`, `1 GB` or `4096`. */
export function bytes(
  bounds: Bounds<string> & { readonly multipleOf?: string } = {},
): Codec<number, "Bytes"> {
  const minBytes = parseBytes(bounds.min ?? 0) ?? Number.NaN;
  const maxBytes = parseBytes(bounds.max ?? Number.MAX_SAFE_INTEGER) ?? Number.NaN;
  const stepBytes = parseBytes(bounds.multipleOf ?? 1) ?? Number.NaN;
  const range = describeRange(bounds.min, bounds.max);
  const step = bounds.multipleOf === undefined ? "" : `multiple of ${bounds.multipleOf}`;
  return {
    unit: "Bytes",
    type: "size",
    bounds: [range, step].filter((part) => part !== "").join(", "),
    parse(given) {
      const value = parseBytes(given);
      if (value === undefined) return new InvalidValue("a size such as 8MiB", quoted(given));
      if (value < minBytes || value > maxBytes) return new InvalidValue(`a size ${range}`, quoted(given));
      if (value % stepBytes !== 0) return new InvalidValue(`a ${step}`, quoted(given));
      return value;
    },
    print: exactSize,
  };
}

/**
 * Milliseconds, written `500ms`, `5s`, `1h30m`. Parts of a millisecond are rounded up, so that no positive duration
 * becomes 0, which often means "off".
 */
export function duration(bounds: Bounds<string> = {}): Codec<number, "Ms"> {
  const minMs = parseDuration(bounds.min ?? 0) ?? Number.NaN;
  const maxMs = parseDuration(bounds.max ?? "87600h") ?? Number.NaN;
  const range = describeRange(bounds.min ?? "0", bounds.max ?? "87600h");
  return {
    unit: "Ms",
    type: "duration",
    bounds: describeRange(bounds.min, bounds.max),
    parse(given) {
      const exactMs = parseDuration(given);
      if (exactMs === undefined) return new InvalidValue("a duration such as 500ms or 5m", quoted(given));
      if (exactMs < 0) return new InvalidValue("a duration that is not negative", quoted(given));
      // The floating-point sum of 1.001s is slightly off the whole number that was meant.
      const valueMs = Math.ceil(Number(exactMs.toFixed(6)));
      if (valueMs < minMs || valueMs > maxMs) return new InvalidValue(`a duration ${range}`, quoted(given));
      return valueMs;
    },
    print: (valueMs) => (valueMs === 0 ? "0s" : formatDuration(valueMs)),
  };
}

/** The most entries that a setting may ask of a Map or a Set, which throws from 2^24 on. Their heap is the user's to have. */
export const mapEntriesMax = 16_000_000;

export function integer(bounds: Bounds<number>): Codec<number> {
  const min = bounds.min ?? 0;
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  const range = describeRange(min, bounds.max);
  return {
    unit: "",
    type: "whole number",
    bounds: range,
    parse(given) {
      const value = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN;
      if (value >= min && value <= max) return value;
      return new InvalidValue(`a whole number ${range}`, quoted(given));
    },
    print: (value) => value,
  };
}

/** How many threads: a whole number, or `cores` for as many as the process may use, up to `max`. */
export function threadCount({ max }: { readonly max: number }): Codec<number> {
  const number = integer({ min: 1, max });
  return {
    ...number,
    type: "whole number or `cores`",
    parse(given) {
      if (given === "cores") return Math.min(max, availableParallelism());
      const value = number.parse(given);
      return value instanceof InvalidValue
        ? new InvalidValue(`${value.expected}, or cores`, quoted(given))
        : value;
    },
  };
}

/** A share of a whole: more than 0, at most `max`. With `orZero`, 0 as well, which often means "off". */
export function ratio({ max = 1, orZero = false } = {}): Codec<number> {
  return {
    unit: "",
    type: "share",
    bounds: orZero ? `0 to ${max}` : `above 0, up to ${max}`,
    parse(given) {
      const value = /^\d*\.?\d+(?:e-\d+)?$/i.test(given) ? Number(given) : Number.NaN;
      return (value > 0 || (orZero && value === 0)) && value <= max
        ? value
        : new InvalidValue(
            orZero ? `a number 0 to ${max}` : `a number above 0 and at most ${max}`,
            quoted(given),
          );
    },
    print: (value) => value,
  };
}

/** A number with a fraction, 0 to `max`. */
export function decimal({ max }: { readonly max: number }): Codec<number> {
  return {
    unit: "",
    type: "number",
    bounds: `0 to ${max}`,
    parse(given) {
      const value = /^\d{0,9}\.?\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
      return value <= max ? value : new InvalidValue(`a number 0 to ${max}`, quoted(given));
    },
    print: (value) => value,
  };
}

export function flag(): Codec<boolean> {
  return {
    unit: "",
    type: "true or false",
    bounds: "",
    parse(given) {
      if (/^true$/i.test(given)) return true;
      if (/^false$/i.test(given)) return false;
      return new InvalidValue("true or false", quoted(given));
    },
    print: (value) => value,
  };
}

export function oneOf<const Choice extends string>(...choices: readonly Choice[]): Codec<Choice> {
  return {
    unit: "",
    type: "choice",
    bounds: choices.map((choice) => `\`${choice}\``).join(", "),
    parse(given) {
      const choice = choices.find((candidate) => candidate === given);
      return (
        choice ?? new InvalidValue(`one of ${choices.join(", ")}`, quoted(given), didYouMean(given, choices))
      );
    },
    print: (value) => value,
  };
}

/** The least important level of log events, in any case. `warning` is another name for `warn`; a blank is the default. */
export function logLevel(blank: "info"): Codec<"debug" | "info" | "warn" | "error"> {
  const level = oneOf("debug", "info", "warn", "error");
  return {
    ...level,
    parse(given) {
      const word = given.trim().toLowerCase();
      if (word === "") return blank;
      return level.parse(word === "warning" ? "warn" : word);
    },
  };
}

/** Text of one line, of the form `pattern` where one is given; `expected` describes that form in a fault. */
export function text(pattern?: RegExp, expected = "text"): Codec<string> {
  return {
    unit: "",
    type: "text",
    bounds: "",
    parse(given) {
      if (/\p{Cc}/u.test(given))
        return new InvalidValue(`${expected} without control characters`, quoted(given));
      return pattern === undefined || pattern.test(given) ? given : new InvalidValue(expected, quoted(given));
    },
    print: (value) => value,
  };
}

/**
 * The address of a service. Parts that often carry secrets (user and password, a SAS token in the query) are
 * rejected and not shown, because an endpoint is printed and logged.
 */
export function endpoint(): Codec<string> {
  const expected = "an address such as https://host:9000";
  return {
    unit: "",
    type: "URL",
    bounds: "",
    parse(given) {
      if (/[@?#]/.test(given)) {
        return new InvalidValue("an address without user, password, query or fragment", "one that has them");
      }
      const url = URL.canParse(given) ? new URL(given) : undefined;
      const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
      return isHttp && !/\s/.test(given) ? given : new InvalidValue(expected, quoted(given));
    },
    print: (value) => value,
  };
}

export interface ListenAddress {
  /** A name or address as node:net takes it: IPv6 without brackets. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** `host:port`, `[v6]:port`, or `:port` for every IPv4 address of the machine. */
export function listenAddress(): Codec<ListenAddress> {
  return {
    unit: "",
    type: "host:port",
    bounds: "",
    parse(given) {
      const match = /^(?:\[(?<v6>[\da-f:.]+(?:%\w+)?)\]|(?<name>[\w.-]*)):(?<port>\d{1,5})$/i.exec(given);
      const port = Number(match?.groups?.["port"]);
      if (!match || port > 65_535) {
        return new InvalidValue("an address such as 0.0.0.0:8443 or [::1]:8443", quoted(given));
      }
      return { host: match.groups?.["v6"] ?? (match.groups?.["name"] || "0.0.0.0"), port };
    },
    print: printAddress,
  };
}

export function printAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** In the largest binary unit that divides `value`, because a printed configuration must load as the same one. */
function exactSize(value: number): string | number {
  for (const [unitBytes, name] of [
    [GiB, "GiB"],
    [MiB, "MiB"],
    [KiB, "KiB"],
  ] as const) {
    if (value >= unitBytes && value % unitBytes === 0) return `${value / unitBytes}${name}`;
  }
  return value;
}

function describeRange(min: string | number | undefined, max: string | number | undefined): string {
  if (min === undefined) return max === undefined ? "" : `up to ${max}`;
  return max === undefined ? `from ${min}` : `${min} to ${max}`;
}

/** A deadline: node's timers hold no more than 24 days, and a deadline of 0 would fail every operation. */
export const deadline = duration({ min: "1ms", max: "24h" });
/** As a deadline, but 0 has a meaning of its own. */
export const wait = duration({ max: "24h" });
/** How long Orca may trust what it knows. */
export const age = duration({ max: "87600h" });
/**
 * A lifetime of an origin's answer. 0 is rejected: a reader takes it for "not at all", and the Orca written in Go took it
 * for the default. `none` means "not at all", and is 0 in Config.
 */
export function lifetime(defaultText: string): Codec<number, "Ms"> {
  return {
    ...age,
    bounds: "above 0, up to 87600h; or `none`",
    parse(given) {
      if (given === "none") return 0;
      if (parseDuration(given) !== 0) return age.parse(given);
      const hint = `; leave it out for the default, ${defaultText}`;
      return new InvalidValue("a duration above 0, or none to ask the origin each time", quoted(given), hint);
    },
    print: (valueMs) => (valueMs === 0 ? "none" : age.print(valueMs)),
  };
}

/** Ids are segments of paths in every store. */
export const id = text(/^(?!\.{1,2}$)[\w.-]{1,64}$/, "1 to 64 of the characters A-Z a-z 0-9 . _ -");
