/**
 * Credentials, kept apart from all other settings: they come from the environment or from files named there, and they
 * are carried in a class that does not show them, so that no log line, error or printed configuration holds one by
 * mistake.
 */
import { inspect } from "node:util";
import { type Fault, reasonOf } from "./fault.ts";

const hidden = "***";

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The credential itself: for the client library that signs with it, and for nothing else. */
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

/** Each may also be given as `<NAME>_FILE`, the path of a file that holds it. */
export const secretVariables = {
  awss3AccessKey: "ORCA_AWSS3_ACCESS_KEY",
  awss3SecretKey: "ORCA_AWSS3_SECRET_KEY",
  awss3SessionToken: "ORCA_AWSS3_SESSION_TOKEN",
  azureblobAccountKey: "ORCA_AZUREBLOB_ACCOUNT_KEY",
  cachestoreS3AccessKey: "ORCA_CACHESTORE_S3_ACCESS_KEY",
  cachestoreS3SecretKey: "ORCA_CACHESTORE_S3_SECRET_KEY",
} as const;

type SecretName = keyof typeof secretVariables;
export const secretNames = Object.keys(secretVariables) as readonly SecretName[];

/** Undefined ones are left to the SDK's own chain of credentials. */
export type Secrets = { readonly [Name in SecretName]: Secret | undefined };

export type Environment = Readonly<Record<string, string | undefined>>;
export type ReadText = (path: string) => string;

/** Reads all of {@link secretVariables}; the path of a fault is the variable's name. */
export function readSecrets(env: Environment, readText: ReadText, faults: Fault[]): Secrets {
  const secrets = Object.fromEntries(
    secretNames.map((name) => [name, readSecret(secretVariables[name], env, readText, faults)]),
  ) as Secrets;
  const together = (one: SecretName, other: SecretName): void => {
    if (!secrets[one] || secrets[other]) return;
    faults.push({ path: secretVariables[one], message: `given without ${secretVariables[other]}` });
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
    faults.push({ path: variable, message: `given twice: here and as ${variable}_FILE` });
  }
  if (value !== "") return new Secret(value);
  if (file === "") return undefined;
  try {
    const text = readText(file).trim();
    if (text !== "") return new Secret(text);
    faults.push({
      path: `${variable}_FILE`,
      message: `expected a file that holds the secret, "${file}" is empty`,
    });
  } catch (thrown) {
    faults.push({ path: `${variable}_FILE`, message: `cannot read "${file}": ${reasonOf(thrown)}` });
  }
  return undefined;
}

/** Every name a secret is given by. */
export const secretVariableNames: readonly string[] = Object.values(secretVariables).flatMap((name) => [
  name,
  `${name}_FILE`,
]);
