/**
 * The access keys file (`server.auth.access_keys_file`): which keys and client certificates there are, and what each of
 * them may read. It is apart from the configuration because it holds secrets and changes while a replica runs. No fault
 * that it can have shows a secret.
 */
import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import { type Codec, InvalidValue, oneOf, text } from "./codec.ts";
import { type Fault, quoted, unreadable } from "./fault.ts";
import { isMap, item, listOf, optional, required, section, type ValueOf } from "./field.ts";
import { type ReadText, Secret } from "./secret.ts";
import { parseYaml } from "./yaml-text.ts";

/** A text that no fault shows. */
function secretText(): Codec<string> {
  return {
    ...text(),
    parse: (given) =>
      /^[\x21-\x7e]{1,4096}$/.test(given)
        ? given
        : new InvalidValue("a secret of printable ASCII without blanks", "another text"),
  };
}

/** A moment, as milliseconds since the epoch: `2027-01-01`, or `2027-01-01T12:00:00Z`. */
function moment(): Codec<number, "Ms"> {
  return {
    unit: "Ms",
    type: "time",
    bounds: "",
    parse(given) {
      const isIso = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.test(given);
      const valueMs = isIso ? Date.parse(given) : Number.NaN;
      return Number.isNaN(valueMs)
        ? new InvalidValue("a time such as 2027-01-01T12:00:00Z", quoted(given))
        : valueMs;
    },
    print: (valueMs) => new Date(valueMs).toISOString(),
  };
}

const rights = {
  buckets: listOf(item(text(), ""), [], "", ""),
  prefixes: listOf(item(text(), ""), [], "", ""),
  allow: listOf<"get" | "list">(item(oneOf("get", "list"), "get"), ["get", "list"], "", ""),
};

const keySection = section({
  access_key: required(text(/^[\w.~+=@:-]{1,128}$/, "1 to 128 of A-Z a-z 0-9 . _ ~ + = @ : -"), "", "", ""),
  secret: optional(secretText(), "", ""),
  secret_file: optional(text(), "", ""),
  session_token: optional(secretText(), "", ""),
  expires: optional(moment(), "", ""),
  ...rights,
});

const certificateSection = section({
  subject: optional(text(), "", ""),
  san: optional(text(/^(?:DNS|URI|email|IP Address):./, "a name such as URI:spiffe://acme/reader"), "", ""),
  ...rights,
});

const fileSection = section({
  keys: listOf(keySection, [], "", ""),
  certificates: listOf(certificateSection, [], "", ""),
});

type FileSettings = ValueOf<typeof fileSection>;

export interface Rights {
  /** `*` is every bucket. */
  readonly buckets: readonly string[];
  /** Empty for whole buckets. */
  readonly prefixes: readonly string[];
  readonly allow: readonly ("get" | "list")[];
}

export interface AccessKeyEntry extends Rights {
  readonly accessKey: string;
  readonly secret: Secret;
  readonly sessionToken: Secret | undefined;
  readonly expiresMs: number | undefined;
}

export interface CertificateEntry extends Rights {
  /** `CN:name` for a subject, else the alternative name as it stands in the file. */
  readonly certificateName: string;
}

export interface AccessKeys {
  readonly keys: readonly AccessKeyEntry[];
  readonly certificates: readonly CertificateEntry[];
  /** Equal for equal files, secret files too. */
  readonly fingerprint: string;
}

export interface AccessKeysOptions {
  readonly path: string;
  readonly readText: ReadText;
  /** With `authorize: origin`, an entry without buckets leaves all to the origin. */
  readonly bucketsRequired: boolean;
}

const entriesMax = 100_000;

/** Adds to `faults` what cannot be used; then the answer is not used. Never throws. */
export function readAccessKeys(options: AccessKeysOptions, faults: Fault[]): AccessKeys {
  const none = { keys: [], certificates: [], fingerprint: "" };
  const { path, readText } = options;
  const fingerprint = createHash("sha256");
  const read = (file: string): string => {
    const content = readText(file);
    fingerprint.update(`${content.length}\n${content}`);
    return content;
  };
  let content: string;
  try {
    content = read(path);
  } catch (thrown) {
    faults.push({ path: "", message: unreadable(path, thrown) });
    return none;
  }
  const yamlFaults: Fault[] = [];
  const tree = parseYaml(content, yamlFaults);
  // What the parser says may quote a secret. Its place does not.
  for (const { message } of yamlFaults) {
    faults.push({ path: "", message: `${/^\d+:\d+/.exec(message)?.[0] ?? "1:1"}: expected YAML` });
  }
  if (yamlFaults.length > 0) return none;
  if (!isMap(tree)) {
    faults.push({ path: "", message: "expected a map with keys and certificates" });
    return none;
  }
  const settings = fileSection.read(tree, "", faults);
  if (settings.keys.length + settings.certificates.length > entriesMax) {
    faults.push({ path: "", message: `expected at most ${entriesMax} entries` });
    return none;
  }
  const keys = settings.keys.map((key, index) => entryOf(key, `keys[${index}]`, options, read, faults));
  const certificates = settings.certificates.map((certificate, index) =>
    certificateOf(certificate, `certificates[${index}]`, options, faults),
  );
  checkUnique(
    keys.map(({ accessKey }) => accessKey),
    (index) => `keys[${index}].access_key`,
    faults,
  );
  checkUnique(
    certificates.map(({ certificateName }) => certificateName),
    (index) => `certificates[${index}]`,
    faults,
  );
  return { keys, certificates, fingerprint: fingerprint.digest("hex") };
}

function entryOf(
  key: FileSettings["keys"][number],
  at: string,
  options: AccessKeysOptions,
  read: ReadText,
  faults: Fault[],
): AccessKeyEntry {
  const { accessKey, sessionToken, expiresMs } = key;
  return {
    ...rightsOf(key, at, options, faults),
    accessKey,
    secret: new Secret(secretOf(key, at, options, read, faults)),
    sessionToken: sessionToken === undefined ? undefined : new Secret(sessionToken),
    expiresMs,
  };
}

function secretOf(
  { secret, secretFile }: FileSettings["keys"][number],
  at: string,
  { path }: AccessKeysOptions,
  read: ReadText,
  faults: Fault[],
): string {
  if ((secret === undefined) === (secretFile === undefined)) {
    // A secret that is not valid reads as none, and has its own fault.
    if (faults.some((fault) => fault.path === `${at}.secret`)) return "";
    faults.push({ path: at, message: "expected either secret or secret_file" });
    return "";
  }
  if (secretFile === undefined) return secret ?? "";
  const file = resolve(dirname(path), secretFile);
  try {
    const content = read(file).trim();
    if (!(secretText().parse(content) instanceof InvalidValue)) return content;
    const message = `expected a file that holds one secret, of printable ASCII, but ${quoted(file)} does not`;
    faults.push({ path: `${at}.secret_file`, message });
  } catch (thrown) {
    faults.push({ path: `${at}.secret_file`, message: unreadable(file, thrown) });
  }
  return "";
}

function certificateOf(
  certificate: FileSettings["certificates"][number],
  at: string,
  options: AccessKeysOptions,
  faults: Fault[],
): CertificateEntry {
  const { subject, san } = certificate;
  if ((subject === undefined) === (san === undefined)) {
    const message = "expected either subject, which is the common name (CN), or san";
    faults.push({ path: at, message });
  }
  return {
    ...rightsOf(certificate, at, options, faults),
    certificateName: subject === undefined ? (san ?? "") : `CN:${subject}`,
  };
}

function rightsOf(
  { buckets, prefixes, allow }: Rights,
  at: string,
  { bucketsRequired }: AccessKeysOptions,
  faults: Fault[],
): Rights {
  if (buckets.length > 0) return { buckets, prefixes, allow };
  if (bucketsRequired) {
    const message = 'required, but not set: name the buckets that it may read, or "*" for all';
    faults.push({ path: `${at}.buckets`, message });
  }
  return { buckets: ["*"], prefixes, allow };
}

function checkUnique(names: readonly string[], pathOf: (index: number) => string, faults: Fault[]): void {
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (seen.has(name)) faults.push({ path: pathOf(index), message: `${quoted(name)} appears twice` });
    seen.add(name);
  }
}

const namedFaultsMax = 10;

/** `faults` of `file` as one message. */
export function accessKeysFault(file: string, faults: readonly Fault[]): string {
  const named = faults
    .slice(0, namedFaultsMax)
    .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  const more = faults.length - named.length;
  return `cannot use ${quoted(file)}: ${named.join("; ")}${more === 0 ? "" : ` (and ${more} more)`}`;
}
