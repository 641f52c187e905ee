import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { CertificateAuthority } from "../../src/cli/certificate-authority.ts";

const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2036, 0, 1) };
const authority = await CertificateAuthority.create("test CA", validity);

test("CertificateAuthority.create: it is an authority, signed by itself", () => {
  const certificate = new X509Certificate(authority.files.cert);
  assert.equal(certificate.ca, true);
  assert.equal(certificate.subject, "CN=test CA");
  assert.ok(certificate.checkIssued(certificate));
  assert.ok(certificate.verify(certificate.publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(authority.files.key)));
  assert.equal(authority.expiresMs, validity.notAfterMs);
});

test("CertificateAuthority.issue: a P-256 certificate for both ends, with the names and addresses asked for", async () => {
  const hosts = ["orca.internal", "127.0.0.1", "::1", "fe80::1:2", "1::"];
  const issued = await authority.issue({ commonName: "replica-a", hosts, ...validity });
  const certificate = new X509Certificate(issued.cert);
  const issuer = new X509Certificate(authority.files.cert);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.subject, "CN=replica-a");
  assert.ok(certificate.checkIssued(issuer));
  assert.ok(certificate.verify(issuer.publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(issued.key)));
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  assert.equal(
    certificate.subjectAltName,
    "DNS:orca.internal, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FE80:0:0:0:0:0:1:2, IP Address:1:0:0:0:0:0:0:0",
  );
  assert.equal(certificate.validFromDate.getTime(), validity.notBeforeMs);
  assert.equal(certificate.validToDate.getTime(), validity.notAfterMs);
});

test("CertificateAuthority.issue: years from 2050 on are written, and serial numbers differ", async () => {
  const far = { ...validity, notAfterMs: Date.UTC(2055, 5, 1) };
  const issued = await Promise.all(
    [1, 2].map(() => authority.issue({ commonName: "a", hosts: ["a"], ...far })),
  );
  const [one, two] = issued.map(({ cert }) => new X509Certificate(cert));
  assert.equal(one?.validToDate.getTime(), far.notAfterMs);
  assert.notEqual(one?.serialNumber, two?.serialNumber);
});

test("CertificateAuthority.open: an authority read from its files signs as before", async () => {
  const opened = await CertificateAuthority.open(authority.files);
  const { cert } = await opened.issue({ commonName: "b", hosts: ["b"], ...validity });
  assert.ok(new X509Certificate(cert).verify(new X509Certificate(authority.files.cert).publicKey));
});

test("CertificateAuthority.open: a replica's certificate, another key and no PEM are refused", async () => {
  const replica = await authority.issue({ commonName: "a", hosts: ["a"], ...validity });
  const other = await CertificateAuthority.create("other CA", validity);
  for (const [files, message] of [
    [replica, /the certificate is not an authority's/],
    [{ cert: authority.files.cert, key: other.files.key }, /the key is not the certificate's/],
    [{ cert: "no certificate", key: authority.files.key }, /^Cannot use the certificate authority/],
  ] as const) {
    await assert.rejects(CertificateAuthority.open(files), { code: "config_invalid", message });
  }
});
