/**
 * X.509 certificates for a cluster under development (RFC 5280): an authority, and the certificates that it signs. Node
 * reads certificates but cannot write them. PKI.js encodes the ASN.1; Node's own cryptography makes keys and signatures.
 *
 * An authority made here has no revocation and no intermediates. A site that needs them has a PKI, and configures Orca
 * with the files of that.
 */
import { createPrivateKey, hash, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { BitString, Integer, OctetString, Utf8String } from "asn1js";
import {
  AttributeTypeAndValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  Extension,
  ExtKeyUsage,
  GeneralName,
  GeneralNames,
  Time,
  TimeType,
} from "pkijs";
import { OrcaError } from "../base/orca-error.ts";

/** PEM texts. */
export interface IssuedCertificate {
  readonly cert: string;
  /** PKCS #8. */
  readonly key: string;
}

export interface Validity {
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

export interface CertificateRequest extends Validity {
  readonly commonName: string;
  /** DNS names and IP addresses for which the certificate is valid. */
  readonly hosts: readonly string[];
  /** URIs that name what the certificate is for, beside its hosts. */
  readonly uris?: readonly string[];
}

const p256 = { name: "ECDSA", namedCurve: "P-256" } as const;

/** Object identifiers of RFC 5280 §4.2.1 and, for the name, X.520. */
const oids = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** Bits of RFC 5280 §4.2.1.3. The first bit there is the highest one here. */
const keyUsageBits = { digitalSignature: 0x80, signCertificates: 0x04, signRevocationLists: 0x02 } as const;

const subjectAltNameTypes = { dns: 2, uri: 6, ip: 7 } as const;

export class CertificateAuthority {
  /** PEM of the authority's certificate and key. */
  readonly files: IssuedCertificate;
  readonly #certificate: Certificate;
  readonly #signingKey: webcrypto.CryptoKey;

  private constructor(files: IssuedCertificate, signingKey: webcrypto.CryptoKey) {
    this.files = files;
    this.#certificate = Certificate.fromBER(new X509Certificate(files.cert).raw);
    this.#signingKey = signingKey;
  }

  /** Makes an authority with a new key, signed with that key. */
  static async create(commonName: string, validity: Validity): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const certificate = await certificateFor(keys.publicKey, commonName, validity, [
      extension(
        oids.basicConstraints,
        new BasicConstraints({ cA: true, pathLenConstraint: 0 }).toSchema(),
        true,
      ),
      keyUsage(keyUsageBits.signCertificates | keyUsageBits.signRevocationLists),
    ]);
    return new CertificateAuthority(
      {
        cert: await signedPem(certificate, certificate, keys.privateKey),
        key: await keyPem(keys.privateKey),
      },
      keys.privateKey,
    );
  }

  /** @throws OrcaError `config_invalid` if `files` are not the P-256 certificate of an authority and its key. */
  static async open(files: IssuedCertificate): Promise<CertificateAuthority> {
    try {
      const certificate = new X509Certificate(files.cert);
      const key = createPrivateKey(files.key);
      if (!certificate.ca) throw new Error("the certificate is not an authority's");
      if (!certificate.checkPrivateKey(key)) throw new Error("the key is not the certificate's");
      const der = key.export({ type: "pkcs8", format: "der" });
      return new CertificateAuthority(
        files,
        await webcrypto.subtle.importKey("pkcs8", der, p256, false, ["sign"]),
      );
    } catch (thrown) {
      throw OrcaError.from(thrown, "config_invalid", "config", "Cannot use the certificate authority");
    }
  }

  /** The end of the authority's own certificate, in milliseconds since the epoch. */
  get expiresMs(): number {
    return new X509Certificate(this.files.cert).validToDate.getTime();
  }

  /** Issues a certificate with a new key, for both ends of a connection: a replica is a server and a client. */
  async issue({ commonName, hosts, uris = [], ...validity }: CertificateRequest): Promise<IssuedCertificate> {
    const keys = await generateKeys();
    const names = new GeneralNames({
      names: [
        ...hosts.map(alternativeName),
        ...uris.map((value) => new GeneralName({ type: subjectAltNameTypes.uri, value })),
      ],
    });
    const purposes = new ExtKeyUsage({ keyPurposes: [oids.serverAuth, oids.clientAuth] });
    const certificate = await certificateFor(keys.publicKey, commonName, validity, [
      extension(oids.basicConstraints, new BasicConstraints().toSchema(), true),
      keyUsage(keyUsageBits.digitalSignature),
      extension(oids.extendedKeyUsage, purposes.toSchema(), false),
      extension(oids.subjectAltName, names.toSchema(), false),
    ]);
    return {
      cert: await signedPem(certificate, this.#certificate, this.#signingKey),
      key: await keyPem(keys.privateKey),
    };
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(p256, true, ["sign", "verify"]);
}

/** A certificate without issuer and signature. */
async function certificateFor(
  publicKey: webcrypto.CryptoKey,
  commonName: string,
  { notBeforeMs, notAfterMs }: Validity,
  extensions: Extension[],
): Promise<Certificate> {
  const certificate = new Certificate();
  certificate.version = 2;
  const serial = randomBytes(16);
  // DER requires a positive integer without a leading zero byte.
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  certificate.serialNumber = new Integer({ valueHex: Uint8Array.from(serial).buffer });
  certificate.notBefore = time(notBeforeMs);
  certificate.notAfter = time(notAfterMs);
  certificate.subject.typesAndValues.push(
    new AttributeTypeAndValue({ type: oids.commonName, value: new Utf8String({ value: commonName }) }),
  );
  await certificate.subjectPublicKeyInfo.importKey(publicKey);
  const keyId = new OctetString({ valueHex: keyIdentifier(certificate) });
  certificate.extensions = [...extensions, extension(oids.subjectKeyIdentifier, keyId, false)];
  return certificate;
}

async function signedPem(
  certificate: Certificate,
  issuer: Certificate,
  key: webcrypto.CryptoKey,
): Promise<string> {
  const identifier = new AuthorityKeyIdentifier({
    keyIdentifier: new OctetString({ valueHex: keyIdentifier(issuer) }),
  });
  certificate.issuer = issuer.subject;
  certificate.extensions?.push(extension(oids.authorityKeyIdentifier, identifier.toSchema(), false));
  await certificate.sign(key, "SHA-256");
  return new X509Certificate(Buffer.from(certificate.toSchema(true).toBER())).toString();
}

/** 160 bits of the public key's SHA-256 (RFC 7093 §2, method 1). */
function keyIdentifier({ subjectPublicKeyInfo }: Certificate): ArrayBuffer {
  const key = subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
  return Uint8Array.from(hash("sha256", key, "buffer").subarray(0, 20)).buffer;
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5). */
function time(milliseconds: number): Time {
  const value = new Date(milliseconds);
  return new Time({
    type: value.getUTCFullYear() < 2050 ? TimeType.UTCTime : TimeType.GeneralizedTime,
    value,
  });
}

function extension(extnID: string, value: { toBER(): ArrayBuffer }, critical: boolean): Extension {
  return new Extension({ extnID, critical, extnValue: value.toBER() });
}

function keyUsage(bits: number): Extension {
  const unusedBits = Math.clz32(bits & -bits) ^ 31;
  return extension(oids.keyUsage, new BitString({ valueHex: Uint8Array.of(bits).buffer, unusedBits }), true);
}

function alternativeName(host: string): GeneralName {
  if (isIP(host) === 0) return new GeneralName({ type: subjectAltNameTypes.dns, value: host });
  const valueHex = addressBytes(host).buffer;
  return new GeneralName({ type: subjectAltNameTypes.ip, value: new OctetString({ valueHex }) });
}

/** The 4 or 16 bytes of an address in network order. */
function addressBytes(address: string): Uint8Array<ArrayBuffer> {
  if (isIP(address) === 4) return Uint8Array.from(address.split("."), Number);
  // A URL holds an IPv6 address in one canonical form: hexadecimal groups, no dotted part, at most one gap.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = canonical
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16))));
  const gap = new Array<number>(8 - head.length - tail.length).fill(0);
  return Uint8Array.from([...head, ...gap, ...tail].flatMap((group) => [group >> 8, group & 0xff]));
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, type: "pkcs8", format: "der" }).export({
    type: "pkcs8",
    format: "pem",
  });
}
