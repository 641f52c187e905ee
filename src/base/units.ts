/**
 * Bytes and durations as people write them: `8MiB`, `1 GB`, `500ms`, `5m`. The parsers return undefined for other text,
 * because the caller knows the path of the setting and makes the better message.
 */

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

const byteUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1000,
  kb: 1000,
  kib: KiB,
  m: 1000 ** 2,
  mb: 1000 ** 2,
  mib: MiB,
  g: 1000 ** 3,
  gb: 1000 ** 3,
  gib: GiB,
  t: 1000 ** 4,
  tb: 1000 ** 4,
  tib: 1024 * GiB,
};

/** Bytes of `8MiB`, `1 GB` or `4096`; undefined unless they are a whole, safe, non-negative number. */
export function parseBytes(text: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(text).trim());
  const unit = byteUnits[(match?.[2] ?? "?").toLowerCase()];
  if (!match || unit === undefined) return undefined;
  const bytes = Number(match[1]) * unit;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const durationUnitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Milliseconds of `500ms`, `5m`, `1h30m`, `1.5s` or `0` (Go's duration syntax, https://pkg.go.dev/time#ParseDuration);
 * undefined for other text. A leading minus is parsed, so that the caller can report "negative" instead of "malformed".
 */
export function parseDuration(text: string | number): number | undefined {
  const trimmed = String(text).trim();
  if (/^[+-]?0$/.test(trimmed)) return 0;
  if (!/^[+-]?(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(trimmed)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    totalMs += Number(amount) * (durationUnitsMs[unit as string] as number);
  }
  return trimmed.startsWith("-") ? -totalMs : totalMs;
}

/** `8 MiB`, `1.5 GiB`, `17 B`: the largest binary unit that keeps the number at one or more. */
export function formatBytes(bytes: number): string {
  for (const [unit, name] of [
    [GiB, "GiB"],
    [MiB, "MiB"],
    [KiB, "KiB"],
  ] as const) {
    if (bytes >= unit) return `${Number((bytes / unit).toFixed(1))} ${name}`;
  }
  return `${bytes} B`;
}

/** `500ms`, `5s`, `2m`, `1h`: the largest unit that leaves a whole number. */
export function formatDuration(milliseconds: number): string {
  for (const [unit, name] of [
    [3_600_000, "h"],
    [60_000, "m"],
    [1000, "s"],
  ] as const) {
    if (milliseconds >= unit && milliseconds % unit === 0) return `${milliseconds / unit}${name}`;
  }
  return `${milliseconds}ms`;
}
