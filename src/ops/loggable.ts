/**
 * Makes the fields of a log event fit to print. It hides secrets at any depth, by the name of the field: a list of paths
 * (pino's own redaction) protects only the places that somebody thought of. It spells out errors, which JSON prints as
 * `{}`.
 */

const secretNames =
  /secret|passw(?:or)?d|authorization|credential|token|signature|cookie|(?:access|account|private|api)[_-]?key/i;

/** Names that match above but hold no secret. */
const harmlessNames = /^(?:next)?continuationToken$|(?:_file|File)$/;

/** Deeper values are not printed: a log line is not the place for a whole graph. */
const depthMax = 6;

/** An error can be its own cause. */
const causesMax = 8;

/** A copy of `value` that is fit to print. */
export function loggable(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return loggableError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= depthMax) return "[too deep]";
  if ("toJSON" in value && typeof value.toJSON === "function") return loggable(value.toJSON(), depth + 1);
  if (Array.isArray(value)) return value.map((item) => loggable(item, depth + 1));
  return loggableFields(value, depth);
}

/** A copy of `fields` without secrets, and with errors spelled out. */
export function loggableFields(fields: object, depth = 0): Record<string, unknown> {
  const printed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    const secret =
      secretNames.test(name) && !harmlessNames.test(name) && value !== undefined && value !== null;
    printed[name] = secret ? "[hidden]" : loggable(value, depth + 1);
  }
  return printed;
}

/**
 * Prints type, code, source and message of an error and of its causes, and nothing else: errors of the SDKs hold whole
 * requests with their Authorization header. An error without a code was not foreseen, so its stack is printed too.
 */
function loggableError(error: Error, depth: number): Record<string, unknown> {
  const { code, source, statusCode } = error as { code?: unknown; source?: unknown; statusCode?: unknown };
  const printed: Record<string, unknown> = { type: error.name };
  if (isPlain(code)) printed["code"] = code;
  if (isPlain(source)) printed["source"] = source;
  if (isPlain(statusCode)) printed["statusCode"] = statusCode;
  printed["message"] = error.message;
  if (!isPlain(code)) printed["stack"] = error.stack;
  if (error.cause !== undefined) {
    printed["cause"] = depth >= causesMax ? "[too deep]" : loggableCause(error.cause, depth + 1);
  }
  return printed;
}

function loggableCause(cause: unknown, depth: number): unknown {
  return cause instanceof Error ? loggableError(cause, depth) : loggable(cause, depth);
}

function isPlain(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}
