/** What operators and their tools write down: settings, metrics, codes of errors, and what replicas must agree on. */
import { errorTable } from "../../src/base/error-table.ts";
import { agreedSettingsOf } from "../../src/config/agreed-settings.ts";
import { loadConfig } from "../../src/config/load.ts";
import { settingRows } from "../../src/config/schema.ts";
import { fingerprintOf } from "../../src/membership/agreed-settings.ts";
import { metricsSections } from "../support/metrics-sample.ts";

export interface PromisedNames {
  /** Default by path, as docs/configuration.md writes it; empty for none. */
  readonly settings: Readonly<Record<string, string>>;
  /** Type and labels by name. */
  readonly metrics: Readonly<Record<string, string>>;
  readonly errorCodes: readonly string[];
  /** By the kind of origin. */
  readonly fingerprints: Readonly<Record<string, string>>;
}

const origins = {
  awss3: { awss3: { bucket: "models", region: "eu-central-1" } },
  azureblob: { azureblob: { account: "acme", container: "models" } },
  file: { file: { root: "/srv/models" } },
};

export function promisedNames(): PromisedNames {
  const metrics = metricsSections().flatMap((section) => section.metrics);
  return {
    settings: Object.fromEntries(settingRows().map(({ path, defaultText }) => [path, defaultText])),
    metrics: Object.fromEntries(
      metrics.map(({ name, type, labels }) => [name, [type, ...labels.toSorted()].join(" ")]),
    ),
    errorCodes: Object.keys(errorTable),
    fingerprints: Object.fromEntries(
      Object.entries(origins).map(([driver, origin]) => [driver, fingerprintWith(driver, origin)]),
    ),
  };
}

function fingerprintWith(driver: string, origin: object): string {
  const keys = { ORCA_AWSS3_ACCESS_KEY: "a", ORCA_AWSS3_SECRET_KEY: "b", ORCA_AZUREBLOB_ACCOUNT_KEY: "Yw==" };
  const env = Object.fromEntries(
    Object.entries(keys).filter(([name]) => name.startsWith(`ORCA_${driver.toUpperCase()}_`)),
  );
  const config = loadConfig({ env, overrides: { origin: { id: "weights", driver, ...origin } } });
  return fingerprintOf(agreedSettingsOf(config));
}
