import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect, type SecureContextOptions } from "node:tls";
import { MeshServerTls } from "../../../src/mesh/session/mesh-server-tls.ts";
import { PushedValue } from "../../../src/replica/threads/pushed-value.ts";
import {
  type CertificateFiles,
  ClusterCertificates,
  serverName,
} from "../../support/cluster-certificates.ts";
import { meshFixture } from "../../support/mesh-fixture.ts";

function contextOf({ certFile, keyFile, caFile }: CertificateFiles): SecureContextOptions {
  const [cert, key, ca] = [certFile, keyFile, caFile].map((file) => readFileSync(file)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  return { cert, key, ca, minVersion: "TLSv1.3" };
}

test("MeshServerTls: a listener shows what its source has, a renewed certificate from the next connection on", async (context) => {
  const certificates = await ClusterCertificates.create();
  context.after(() => certificates.remove());
  const { tls, serve } = meshFixture(context);
  const own = await tls(await certificates.files("r1"));
  const certificate = new PushedValue(contextOf(await certificates.files("old")));
  const source = {
    get secureContextOptions() {
      return certificate.value;
    },
    watch: (onChange: (value: SecureContextOptions) => void) => certificate.watch(onChange),
    stop: () => {},
  };
  const { port } = await serve({ tls: new MeshServerTls(serverName, source) });
  const shown = async (): Promise<string | undefined> => {
    const socket = connect({ ...own.clientOptions, host: "127.0.0.1", port });
    await once(socket, "secureConnect");
    const { subject } = socket.getPeerCertificate();
    assert.equal(socket.getProtocol(), "TLSv1.3");
    socket.destroy();
    return String(subject.CN);
  };
  assert.equal(await shown(), "old");
  certificate.push(contextOf(await certificates.files("new")));
  assert.equal(await shown(), "new");
});
