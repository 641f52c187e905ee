/**
 * Credentials, kept apart from all other settings. They come from environment variables or from files that those name,
 * and a class that prints as `***` holds them, so that no log line, error or printed configuration shows one by mistake.
 */
import { inspect } from "node:util";
import { type Fault, unreadable } from "./fault.ts";

const hidden = "***";

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The credential itself, only for the client library that signs with it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}

/**
 * Each may also be set as `<NAME>_FILE`, the path of a file that holds the secret, and better is: the environment of a
 * process stays readable for its user, for child processes and in crash reports. Both together are a fault and not a
 * preference, because a secret that is left behind in the environment should be found.
 */
export const secretVariables = {
  awss3AccessKey: "ORCA_AWSS3_ACCESS_KEY",
  awss3SecretKey: "ORCA_AWSS3_SECRET_KEY",
  awss3SessionToken: "ORCA_AWSS3_SESSION_TOKEN",
  azureblobAccountKey: "ORCA_AZUREBLOB_ACCOUNT_KEY",
  cachestoreS3AccessKey: "ORCA_CACHESTORE_S3_ACCESS_KEY",
  cachestoreS3SecretKey: "ORCA_CACHESTORE_S3_SECRET_KEY",
} as const;

/** The variable of the secret that a person might look for at `path` in the file, such as `origin.awss3.secret_key`. */
export function secretVariableFor(path: string): string | undefined {
  const name = path.replace(/^(?:origin|origins\[\d+\])\./, "").replaceAll(".", "_");
  const variable = `ORCA_${name.toUpperCase()}`;
  return Object.values(secretVariables).find((known) => known === variable);
}

type SecretName = keyof typeof secretVariables;
export const secretNames = Object.keys(secretVariables) as readonly SecretName[];

/** Where a secret is undefined, the SDK's own credential chain is used. */
export type Secrets = { readonly [Name in SecretName]: Secret | undefined };

export type Environment = Readonly<Record<string, string | undefined>>;
export type ReadText = (path: string) => string;

/** Reads all {@link secretVariables}. The path of a fault is the name of the variable. */
export function readSecrets(env: Environment, readText: ReadText, faults: Fault[]): Secrets {
  const secrets = Object.fromEntries(
    secretNames.map((name) => [name, readSecret(secretVariables[name], env, readText, faults)]),
  ) as Secrets;
  const together = (one: SecretName, other: SecretName): void => {
    if (!secrets[one] || secrets[other]) return;
    const message = `set without ${secretVariables[other]}: set both, or neither`;
    faults.push({ path: secretVariables[one], message });
  };
  together("awss3AccessKey", "awss3SecretKey");
  together("awss3SecretKey", "awss3AccessKey");
  together("awss3SessionToken", "awss3AccessKey");
  together("cachestoreS3AccessKey", "cachestoreS3SecretKey");
  together("cachestoreS3SecretKey", "cachestoreS3AccessKey");
  return secrets;
}

function readSecret(
  variable: string,
  env: Environment,
  readText: ReadText,
  faults: Fault[],
): Secret | undefined {
  const value = env[variable] ?? "";
  const file = env[`${variable}_FILE`] ?? "";
  if (value !== "" && file !== "") {
    faults.push({ path: variable, message: `set together with ${variable}_FILE: unset this one` });
  }
  if (value !== "") return new Secret(value);
  if (file === "") return undefined;
  try {
    const text = readText(file).trim();
    if (text !== "") return new Secret(text);
    faults.push({
      path: `${variable}_FILE`,
      message: `expected a file that holds the secret, but "${file}" is empty`,
    });
  } catch (thrown) {
    faults.push({ path: `${variable}_FILE`, message: unreadable(file, thrown) });
  }
  return undefined;
}

/** Every variable that can set a secret. */
export const secretVariableNames: readonly string[] = Object.values(secretVariables).flatMap((name) => [
  name,
  `${name}_FILE`,
]);
