/**
 * X.509 certificates made on the spot (RFC 5280), because Node reads certificates and does not write them, and a
 * key in the repository would be found by everybody who looks for leaked keys.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export interface TestCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

export interface TestCertificateOptions {
  readonly commonName?: string;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

const ecdsaWithSha256 = sequence(Buffer.from("06082a8648ce3d040302", "hex"));
const commonNameOid = Buffer.from("0603550403", "hex");
const subjectAltNameOid = Buffer.from("0603551d11", "hex");
const version3 = tagged(0xa0, Buffer.from("020102", "hex"));

/** Signed with its own P-256 key, for `localhost` and 127.0.0.1. */
export function selfSignedCertificate(options: TestCertificateOptions = {}): TestCertificate {
  const {
    commonName = "orca test",
    notBeforeMs = Date.UTC(2020, 0, 1),
    notAfterMs = Date.UTC(2049, 0, 1),
  } = options;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = distinguishedName(commonName);
  const body = sequence(
    version3,
    tagged(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    sequence(utcTime(notBeforeMs), utcTime(notAfterMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(sequence(subjectAltNameOid, tagged(0x04, alternativeNames())))),
  );
  return {
    cert: pem(signed(body, privateKey)),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

function signed(body: Buffer, key: KeyObject): Buffer {
  const signature = sign("sha256", body, key);
  return sequence(body, ecdsaWithSha256, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(commonNameOid, tagged(0x0c, Buffer.from(commonName)))));
}

function alternativeNames(): Buffer {
  return sequence(tagged(0x82, Buffer.from("localhost")), tagged(0x87, Buffer.from([127, 0, 0, 1])));
}

/** `YYMMDDhhmmssZ`: for years up to 2049. */
function utcTime(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/\D/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

/** Tag, length and content as DER has them. */
function tagged(tag: number, content: Buffer): Buffer {
  const length =
    content.length < 128
      ? [content.length]
      : content.length < 256
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
