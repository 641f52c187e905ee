/** The ops listener rejects the same malformed requests as the clients' listener. Its answers are not those of S3. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type ReplicaFixture, startReplica } from "../../support/replica-fixture.ts";
import { rawExchange } from "./raw-exchange.ts";
import { requestForms } from "./request-forms.ts";

let orca: ReplicaFixture;
let port: number;

before(async () => {
  orca = await startReplica();
  port = Number(new URL(orca.opsEndpoint).port);
});
after(() => orca.stop());

const isRejected = ({ answers: [code] }: { readonly answers: readonly string[] }): boolean =>
  code === "InvalidRequest" || code === "NotImplemented";
/** Node waits for the rest of the preface of HTTP/2. */
const forms = requestForms("/healthz", "").filter((form) => isRejected(form) && !form.name.startsWith("PRI"));
const behind = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

test("OpsServer: a malformed request gets an error, and its connection closes", async (context) => {
  for (const { name, text } of forms) {
    await context.test(name, { timeout: 5000 }, async () => {
      const answers = await rawExchange({ port }, text.replace("Host: h\r\n", "Host: localhost\r\n"));
      assert.equal(answers.length, 1);
      assert.ok([400, 413, 431].includes(answers[0]?.status ?? 0), String(answers[0]?.status));
      assert.equal(answers[0]?.headers.get("connection"), "close");
    });
  }
});

test("OpsServer: a request behind a malformed one, or behind an upgrade, is not served", async (context) => {
  const upgrade = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
  for (const { name, text } of [{ name: "an upgrade", text: upgrade }, ...forms]) {
    await context.test(name, { timeout: 5000 }, async () => {
      const answers = await rawExchange(
        { port },
        text.replace("Host: h\r\n", "Host: localhost\r\n") + behind,
      );
      assert.ok(answers.length <= 1 && !answers.some(({ body }) => body.includes("orca_")));
    });
  }
});
