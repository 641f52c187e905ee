/**
 * A section with a setting `driver` and one section for each driver, such as `origin` or `cachestore`. Sections of other
 * drivers are often written and left empty, and that is no fault. One that is filled in is: a replica would start without
 * what it names, and nobody would notice.
 */
import { type Fault, pathTo } from "./fault.ts";
import { type Field, isAbsent, isMap, ownValue } from "./field.ts";

export interface Drivers {
  /** The drivers with a section, which has their name. */
  readonly drivers: readonly string[];
  /** The driver that has no section and is the default. Where it is undefined, the section that is filled in decides. */
  readonly none?: string;
  /** Other names of drivers and their sections, for those in `drivers`. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** `field`, which reads such a section, with the rules above. */
export function driverSection<Value>(
  field: Field<Value, "">,
  { drivers, none, aliases = {} }: Drivers,
): Field<Value, ""> {
  return {
    ...field,
    read(given, path, faults) {
      if (!isMap(given)) return field.read(given, path, faults);
      const raw = withUsualNames(given, aliases);
      const filled = drivers.filter((driver) => isFilled(ownValue(raw, driver)));
      const driver = ownValue(raw, "driver");
      if (!isAbsent(driver)) checkOthers(driver, [...drivers, none], filled, path, faults);
      else if (none !== undefined) reportMissing(filled, path, faults);
      else if (filled.length > 0) {
        if (filled.length > 1) reportAmbiguous(filled, path, faults);
        return field.read({ ...raw, driver: filled[0] }, path, faults);
      }
      return field.read(raw, path, faults);
    },
  };
}

/**
 * S3 is `awss3` as an origin, as the Orca written in Go names it, and `s3` as a cachestore. Each is taken in both places.
 * Where both names are given, both stay, and the one that is not usual is an unknown key.
 */
function withUsualNames(
  given: Readonly<Record<string, unknown>>,
  aliases: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const raw: Record<string, unknown> = { ...given };
  for (const [alias, usual] of Object.entries(aliases)) {
    if (raw["driver"] === alias) raw["driver"] = usual;
    rename(raw, alias, usual);
    const section = ownValue(raw, usual);
    if (!isMap(section)) continue;
    const fields = { ...section };
    rename(fields, "path_style", "use_path_style");
    raw[usual] = fields;
  }
  return raw;
}

function rename(map: Record<string, unknown>, from: string, to: string): void {
  if (!Object.hasOwn(map, from) || !isAbsent(ownValue(map, to))) return;
  map[to] = map[from];
  delete map[from];
}

/** Region and style of addresses name no store. They are often written with their defaults beside an empty bucket. */
const incidentalKeys = new Set(["region", "use_path_style"]);

function isFilled(section: unknown): boolean {
  if (!isMap(section)) return !isAbsent(section);
  return Object.entries(section).some(([key, value]) => !incidentalKeys.has(key) && !isAbsent(value));
}

/** An unknown driver is a fault already. */
function checkOthers(
  driver: unknown,
  known: readonly (string | undefined)[],
  filled: readonly string[],
  path: string,
  faults: Fault[],
): void {
  const chosen = known.find((each) => each === driver);
  if (chosen === undefined) return;
  for (const other of filled) {
    if (other === chosen) continue;
    const message = `expected an empty section, because ${pathTo(path, "driver")} is ${chosen}; did you mean driver: ${other}?`;
    faults.push({ path: pathTo(path, other), message });
  }
}

function reportMissing(filled: readonly string[], path: string, faults: Fault[]): void {
  const [first] = filled;
  if (first === undefined) return;
  const message = `required, because ${named(filled, path)} filled in; did you mean driver: ${first}?`;
  faults.push({ path: pathTo(path, "driver"), message });
}

function reportAmbiguous(filled: readonly string[], path: string, faults: Fault[]): void {
  const message = `required, because ${named(filled, path)} filled in: name one of them, and empty the other`;
  faults.push({ path: pathTo(path, "driver"), message });
}

/** `cachestore.s3 is`, or `origin.awss3 and origin.file are both`. */
function named(drivers: readonly string[], path: string): string {
  const paths = drivers.map((driver) => pathTo(path, driver));
  return paths.length === 1
    ? `${paths[0]} is`
    : `${paths.join(" and ")} are ${paths.length === 2 ? "both" : "all"}`;
}
