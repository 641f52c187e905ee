/**
 * The page of metrics in the OpenMetrics format, made of the one in the Prometheus text format. prom-client can print it,
 * but renames the counters of its registry for good when it does. Only this format has exemplars: with them, a point of a
 * histogram leads to the trace of a request that it counts.
 */

export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  /** Seconds since the epoch. */
  readonly atSeconds: number;
}

export const openMetricsContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** Whether a client asks for it, as Prometheus does. */
export function asksForOpenMetrics(accept: string | undefined): boolean {
  return /\bapplication\/openmetrics-text\b/i.test(accept ?? "");
}

/** `exemplars`: by the start of the line of their bucket, up to its value. */
export function openMetricsOf(page: string, exemplars: ReadonlyMap<string, Exemplar>): string {
  const lines: string[] = [];
  let pendingHelp: string | undefined;
  const others = new Set([...page.matchAll(/^# TYPE (\S+) (?!counter$)/gm)].map(([, name]) => name));
  for (const line of page.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("# HELP ")) {
      pendingHelp = line;
    } else if (line.startsWith("# TYPE ")) {
      const [, , name = "", type = ""] = line.split(" ");
      const short = type === "counter" ? name.replace(/_total$/, "") : name;
      // Of a gauge `x` and a counter `x_total`, only one may be the family `x`. A counter without the suffix is none here.
      const isCounter = type === "counter" && short !== name && !others.has(short);
      const family = isCounter ? short : name;
      const known = type === "counter" && !isCounter ? "unknown" : type;
      if (pendingHelp !== undefined)
        lines.push(`# HELP ${family}${escaped(pendingHelp.slice(7 + name.length))}`);
      lines.push(`# TYPE ${family} ${known}`);
      pendingHelp = undefined;
    } else lines.push(withExemplar(line, exemplars));
  }
  return `${lines.join("\n")}\n# EOF\n`;
}

function escaped(help: string): string {
  return help.replaceAll('"', '\\"');
}

function withExemplar(line: string, exemplars: ReadonlyMap<string, Exemplar>): string {
  const exemplar = exemplars.size === 0 ? undefined : exemplars.get(line.slice(0, line.lastIndexOf(" ")));
  if (!exemplar) return line;
  const { traceId, value, atSeconds } = exemplar;
  return `${line} # {trace_id="${traceId}"} ${value} ${atSeconds.toFixed(3)}`;
}
