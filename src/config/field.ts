/**
 * The parts of a schema. A field knows its meaning, its default and its bounds. From these it reads what a person
 * wrote, prints it again, and describes itself on the page of settings. The type of Config follows from the fields too
 * (`queue_timeout`, a duration, is `queueTimeoutMs`), so nothing about a setting is written twice.
 *
 * A field that finds a fault reads as its default, so that the checks across fields still run and one start reports
 * every fault. A configuration with a fault is never used.
 */
import { stringify } from "yaml";
import { assert } from "../base/assert.ts";
import { parseBytes, parseDuration } from "../base/units.ts";
import { type Codec, InvalidValue } from "./codec.ts";
import { didYouMean } from "./did-you-mean.ts";
import { type Fault, pathTo, quoted } from "./fault.ts";
import { secretVariableFor } from "./secret.ts";

/** One setting on the page of settings. All texts are Markdown. */
export interface Row {
  /** `origin.retry.attempts`; `[]` stands for the index of a list, `<name>` for a key of a map. */
  readonly path: string;
  readonly type: string;
  /** In backquotes, or `required`; empty for none. */
  readonly defaultText: string;
  readonly bounds: string;
  readonly meaning: string;
  /** When to change it, and in which direction. */
  readonly advice: string;
  /** The value is a list or a map, not a scalar. */
  readonly structured: boolean;
}

/** Maps, lists and scalars, as YAML and JSON know them. */
export type Plain =
  | string
  | number
  | boolean
  | readonly Plain[]
  | { readonly [key: string]: Plain | undefined }
  | undefined;

export interface Field<Value, Unit extends string = string> {
  readonly unit: Unit;
  rows(path: string): Row[];
  /** Never throws, whatever `raw` is: adds to `faults` instead. */
  read(raw: unknown, path: string, faults: Fault[]): Value;
  /** A tree that `read` reads back as `value`; undefined where the key can be left out. */
  print(value: Value): Plain;
}

export type ValueOf<Described> = Described extends Field<infer Value> ? Value : never;

/** A scalar with a default, which is given as a person would write it. */
export function setting<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  defaultText: string,
  meaning: string,
  advice: string,
): Field<Value, Unit> {
  const parsed = codec.parse(defaultText);
  assert(!(parsed instanceof InvalidValue), `the default "${defaultText}" is a value of its setting`);
  return scalar(codec, parsed, { defaultText: `\`${defaultText}\``, meaning, advice });
}

/** A setting that the Orca written in Go has too: 0 means the default, as it did there. */
export function goSetting<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  defaultText: string,
  meaning: string,
  advice: string,
): Field<Value, Unit> {
  return setting(zeroMeans(codec, defaultText), defaultText, meaning, advice);
}

/** `codec`, where a text that is 0 in some unit stands for `zeroText`. */
export function zeroMeans<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  zeroText: string,
): Codec<Value, Unit> {
  return {
    ...codec,
    bounds: [codec.bounds, "`0` is the default"].filter((part) => part !== "").join("; "),
    parse: (given) => codec.parse(parseDuration(given) === 0 || parseBytes(given) === 0 ? zeroText : given),
  };
}

/** A scalar that may be left out, and is undefined then. */
export function optional<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  meaning: string,
  advice: string,
): Field<Value | undefined, Unit> {
  return scalar<Value | undefined, Unit>(codec, undefined, { defaultText: "", meaning, advice });
}

/** A scalar that its section must have. The checks see `standIn` where it is missing. */
export function required<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  standIn: Value,
  meaning: string,
  advice: string,
): Field<Value, Unit> {
  const field = scalar(codec, standIn, { defaultText: "required", meaning, advice });
  return {
    ...field,
    read(raw, path, faults) {
      if (isAbsent(raw)) faults.push({ path, message: "required, but not set" });
      return field.read(raw, path, faults);
    },
  };
}

/** A scalar item of a list, which the list describes. */
export function item<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  standIn: Value,
): Field<Value, Unit> {
  return { ...required(codec, standIn, "", ""), rows: () => [] };
}

type RowTexts = Pick<Row, "defaultText" | "meaning" | "advice">;

function scalar<Value, Unit extends string>(
  codec: Codec<Value, Unit>,
  absent: Value,
  texts: RowTexts,
): Field<Value, Unit> {
  const { unit, type, bounds } = codec;
  return {
    unit,
    rows: (path) => [{ path, type, bounds, ...texts, structured: false }],
    read(raw, path, faults) {
      if (isAbsent(raw)) return absent;
      const value = isScalar(raw)
        ? codec.parse(String(raw))
        : new InvalidValue("a single value", quoted(raw));
      if (!(value instanceof InvalidValue)) return value;
      faults.push({ path, message: value.message });
      return absent;
    },
    print: (value) => (value === undefined ? undefined : codec.print(value)),
  };
}

type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;

/** The name in Config of the YAML key `Name`: camelCase, with its unit last and only once. */
type NameInConfig<Name extends string, Unit extends string> =
  Camel<Name> extends `${string}${Unit}` ? Camel<Name> : `${Camel<Name>}${Unit}`;

function nameInConfig(key: string, unit: string): string {
  const camel = key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return camel.endsWith(unit) ? camel : camel + unit;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

export type SectionOf<Described extends Fields> = {
  readonly [Key in keyof Described & string as NameInConfig<Key, Described[Key]["unit"]>]: ValueOf<
    Described[Key]
  >;
};

/** A map with known keys. Left out, it is all defaults. */
export function section<const Described extends Fields>(fields: Described): Field<SectionOf<Described>, ""> {
  const entries = Object.entries(fields).map(([key, field]) => ({
    key,
    field,
    name: nameInConfig(key, field.unit),
  }));
  return {
    unit: "",
    rows: (path) => entries.flatMap(({ key, field }) => field.rows(pathTo(path, key))),
    read(raw, path, faults) {
      const map = readMap(raw, path, faults);
      reportUnknownKeys(map, path, fields, faults);
      const values: Record<string, unknown> = {};
      for (const { key, field, name } of entries) {
        values[name] = field.read(ownValue(map, key), pathTo(path, key), faults);
      }
      return values as SectionOf<Described>;
    },
    print(value) {
      const values = value as Readonly<Record<string, unknown>>;
      return Object.fromEntries(entries.map(({ key, field, name }) => [key, field.print(values[name])]));
    },
  };
}

/**
 * The value of an unknown key is never shown: it may be a secret in the wrong place. A secret that is left empty is no
 * fault, because a file of the Orca written in Go may have its key.
 */
function reportUnknownKeys(
  map: Readonly<Record<string, unknown>>,
  path: string,
  fields: Fields,
  faults: Fault[],
): void {
  for (const [key, value] of Object.entries(map)) {
    if (Object.hasOwn(fields, key)) continue;
    const keyPath = pathTo(path, key);
    const variable = secretVariableFor(keyPath);
    if (variable !== undefined && isAbsent(value)) continue;
    const hint = secretHint(key, variable) ?? didYouMean(key, Object.keys(fields));
    faults.push({ path: keyPath, message: `unknown key${hint}` });
  }
}

function secretHint(key: string, variable: string | undefined): string | undefined {
  if (variable !== undefined)
    return `: a secret is set by ${variable} or ${variable}_FILE in the environment, not here`;
  if (/secret|password|token|access_?key|account_?key/i.test(key))
    return ": a secret is set by an environment variable or a file that one names, not here";
  return undefined;
}

/** A section that is undefined when it is left out or empty. */
export function optionalSection<const Described extends Fields>(
  fields: Described,
): Field<SectionOf<Described> | undefined, ""> {
  const present = section(fields);
  return {
    ...present,
    read(raw, path, faults) {
      if (!isAbsent(raw)) return present.read(raw, path, faults);
      reportUnknownKeys(isMap(raw) ? raw : {}, path, fields, faults);
      return undefined;
    },
    print: (value) => (value === undefined ? undefined : present.print(value)),
  };
}

/** A list. A list of scalars may also be one text with commas, so that an environment variable can hold it. */
export function listOf<Item>(
  each: Field<Item>,
  absent: readonly Item[],
  meaning: string,
  advice: string,
): Field<readonly Item[], ""> {
  const printAll = (items: readonly Item[]): Plain =>
    items.length === 0 && absent.length === 0 ? undefined : items.map((value) => each.print(value));
  const defaultText = absent.length === 0 ? "" : `\`${flow(printAll(absent))}\``;
  return {
    unit: "",
    rows: (path) => [
      { path, type: "list", defaultText, bounds: "", meaning, advice, structured: true },
      ...each.rows(`${path}[]`),
    ],
    read(raw, path, faults) {
      if (raw === undefined || raw === null || raw === "") return absent;
      const items = typeof raw === "string" ? raw.split(",").map((part) => part.trim()) : raw;
      if (Array.isArray(items))
        return items.map((value, index) => each.read(value, `${path}[${index}]`, faults));
      faults.push({ path, message: `expected a list, got ${quoted(raw)}` });
      return absent;
    },
    print: printAll,
  };
}

/** A map whose keys the user chooses. Left out, it is undefined. */
export function mapOf<Item>(
  each: Field<Item>,
  meaning: string,
  advice: string,
): Field<ReadonlyMap<string, Item> | undefined, ""> {
  return {
    unit: "",
    rows: (path) => [
      { path, type: "map", defaultText: "", bounds: "", meaning, advice, structured: true },
      ...each.rows(`${path}.<name>`),
    ],
    read(raw, path, faults) {
      if (raw === undefined || raw === null || raw === "") return undefined;
      const entries = Object.entries(readMap(raw, path, faults));
      if (entries.length === 0) return undefined;
      return new Map(entries.map(([key, value]) => [key, each.read(value, pathTo(path, key), faults)]));
    },
    print: (map) => map && Object.fromEntries([...map].map(([key, value]) => [key, each.print(value)])),
  };
}

function readMap(raw: unknown, path: string, faults: Fault[]): Readonly<Record<string, unknown>> {
  if (isMap(raw)) return raw;
  if (!isAbsent(raw)) faults.push({ path, message: `expected a map, got ${quoted(raw)}` });
  return {};
}

export function isMap(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw);
}

/** The map's own value, so that an inherited name such as `constructor` is not one. */
export function ownValue(map: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** Left out or left empty: `endpoint:` and `endpoint: ""` mean the default, as an empty variable does. */
export function isAbsent(raw: unknown): boolean {
  if (raw === undefined || raw === null || raw === "") return true;
  return isMap(raw) && Object.values(raw).every(isAbsent);
}

function isScalar(raw: unknown): raw is string | number | boolean {
  return typeof raw === "string" || typeof raw === "number" || typeof raw === "boolean";
}

/** One-line YAML of a default. */
function flow(value: Plain): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0, flowCollectionPadding: false }).trim();
}
