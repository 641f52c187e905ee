/**
 * The console in a real browser (headless Chromium), on three replicas that have served clients: its figures are those of
 * `/metrics`, it logs no error, axe finds no serious violation, in light and dark, and at 400 px. Actions need the token.
 * With ORCA_SCREENSHOTS=docs/operations/pictures it writes the pictures of docs/operations/console.md.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { KiB, MiB } from "../../src/base/units.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { type ReplicaFixture, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";
import { testWith } from "./installed.ts";

const executablePath = "/usr/bin/chromium";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const screenshots = process.env["ORCA_SCREENSHOTS"];
/** Two slots of the history, and a poll of the page. */
const chartWithinMs = 40_000;
const token = "0123456789abcdef0123456789abcdef";

const chromium = {
  name: "chromium",
  isInstalled: () => existsSync(executablePath),
  install: "apt-get install --no-install-recommends chromium",
  isInstalledByCi: true,
};

interface AxeResult {
  readonly violations: readonly { readonly id: string; readonly impact: string | null }[];
}

testWith(
  chromium,
  "console: three replicas on one page, without an error, in light, dark and 400 px, and actions with the token",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "orca-console-"));
    writeFileSync(join(folder, "token"), `${token}\n`);
    const settings = {
      server: { ops_token_file: join(folder, "token") },
      origin: { price_per_gb: 0.09 },
    };
    const cluster = await startReplicas({ disk: true, settings });
    const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
    try {
      await serveSome(cluster);
      await check(browser, cluster);
    } finally {
      await browser.close();
      await cluster.stop();
      rmSync(folder, { recursive: true });
    }
  },
);

testWith(chromium, "console: a replica without a token asks for none, and names the setting", async () => {
  const cluster = await startReplicas({ replicas: 1 });
  const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    await page.goto(`${cluster.replicas[0]?.opsEndpoint}/console`, { waitUntil: "load" });
    const said = (): Promise<string | null> => page.$eval("#action-state", ({ textContent }) => textContent);
    await until(async () => (await said()) !== "");
    assert.match((await said()) ?? "", /has no token.* Set server\.ops_token_file/);
    assert.equal(await page.evaluate("document.querySelector('#action-token').checkVisibility()"), false);
  } finally {
    await browser.close();
    await cluster.stop();
  }
});

async function serveSome({ origin, replicas }: ReplicaCluster): Promise<void> {
  origin.put(testBucket, "weights/llama.bin", { seed: 1, sizeBytes: 9 * MiB });
  origin.put(testBucket, "small.bin", { seed: 2, sizeBytes: 100 * KiB });
  for (const { get } of replicas) await (await get("weights/llama.bin")).arrayBuffer();
  for (const index of [0, 0]) await (await replicas[index]?.get("small.bin"))?.arrayBuffer();
  await (await replicas[0]?.get("absent.bin"))?.arrayBuffer();
}

async function check(browser: Browser, cluster: ReplicaCluster): Promise<void> {
  const [replica] = cluster.replicas;
  assert.ok(replica);
  const page = await browser.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warn") faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.setViewport({ width: 1100, height: 1250 });
  await page.goto(`${replica.opsEndpoint}/console`, { waitUntil: "load" });
  await until(async () => (await page.$("#chart canvas")) !== null, chartWithinMs);
  await figuresAreThoseOfMetrics(page, cluster);
  assert.match((await page.$eval("#threads", ({ textContent }) => textContent)) ?? "", /main\d+\.\d %\d+$/);
  await findsTheObject(page);
  await isAccessible(page, "light");
  await picture(page, "console-light", 0, 1250);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.reload({ waitUntil: "load" });
  await until(async () => (await page.$("#chart canvas")) !== null, chartWithinMs);
  assert.equal(await page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(16, 23, 29)");
  await isAccessible(page, "dark");
  await picture(page, "console-dark", 1190, 1250);
  await page.setViewport({ width: 400, height: 900 });
  await until(
    async () => (await page.evaluate('document.querySelector("#chart canvas").clientWidth < 400')) === true,
  );
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 400);
  await isAccessible(page, "400 px");
  await picture(page, "console-narrow", 0, 1400);
  assert.deepEqual(faults, []);
  await actsWithTheTokenOnly(page, replica);
  faults.length = 0;
  await page.setViewport({ width: 400, height: 900 });
  await warms(page, cluster);
  await isAccessible(page, "with a warm-up's result");
  assert.deepEqual(faults, []);
}

/** By the keyboard alone: a dry run, one that is cancelled, and one to its end. */
async function warms(page: Page, { origin, replicas }: ReplicaCluster): Promise<void> {
  for (const name of ["a", "b", "c"]) origin.put(testBucket, `run/${name}`, { seed: 3, sizeBytes: 9 * MiB });
  origin.forgetRequests();
  const state = async (): Promise<string> =>
    (await page.$eval("#warm-state", ({ textContent }) => textContent)) ?? "";
  const focused = (): Promise<unknown> => page.evaluate("document.activeElement.id");
  await page.focus("#warm-prefix");
  await page.keyboard.type(`s3://${testBucket}/run/`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "warm-dry-run");
  await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await until(async () => (await state()).includes("To fetch: "));
  assert.equal(
    await state(),
    `s3://${testBucket}/run/: 3 objects. Held: 0 chunks (0 B). To fetch: 6 chunks (27 MiB).`,
  );
  assert.equal(origin.count("GET"), 0);
  await page.focus("#warm-dry-run");
  await page.keyboard.press("Space");
  await page.keyboard.press("Tab");
  const gate = origin.faults.hold("GET", "run/b");
  await page.keyboard.press("Enter");
  await gate.reached;
  await until(async () => (await state()) === `Fetching s3://${testBucket}/run/`);
  assert.match(
    (await page.$eval("#warm-running", ({ textContent }) => textContent)) ?? "",
    /3 objects, 27 MiB: [\d.]+ \w+ of 27 MiB/,
  );
  assert.equal(
    await page.$eval("#warm-running", (place) => (place as unknown as { hidden: boolean }).hidden),
    false,
  );
  await isAccessible(page, "with a warm-up that runs");
  assert.equal(await focused(), "warm-cancel");
  await page.keyboard.press("Enter");
  await until(async () => (await state()) === "Cancelled. What was fetched stays.");
  gate.release();
  for (const replica of replicas) await until(async () => (await replica.metric("orca_warm_ups")) === 0);
  assert.equal(await focused(), "warm-start");
  await page.keyboard.press("Enter");
  await until(async () => (await state()).endsWith("Every chunk is held where it should be."));
  assert.match(await state(), /Verified: 6 chunks \(27 MiB\)\./);
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 400);
}

async function sumOf({ replicas }: ReplicaCluster, series: string): Promise<number> {
  const values = await Promise.all(replicas.map(({ metric }) => metric(series)));
  return values.reduce((sum, value) => sum + value, 0);
}

function cells(page: Page, place: string): Promise<string[][]> {
  return page.$$eval(`${place} tbody tr`, (rows) =>
    rows.map((row) => [...row.querySelectorAll("td")].map(({ textContent }) => textContent ?? "")),
  );
}

async function figuresAreThoseOfMetrics(page: Page, cluster: ReplicaCluster): Promise<void> {
  const terms = await page.$$eval("#totals dt", (all) => all.map(({ textContent }) => textContent));
  const texts = await page.$$eval("#totals dd", (all) => all.map(({ textContent }) => textContent));
  const totals = Object.fromEntries(terms.map((term, index) => [term, texts[index]]));
  assert.equal(await sumOf(cluster, 'orca_served_bytes_total{origin="test"}'), 27 * MiB + 200 * KiB);
  assert.equal(await sumOf(cluster, 'orca_origin_bytes_total{origin="test"}'), 9 * MiB + 100 * KiB);
  assert.deepEqual(
    [totals["Sent to clients"], totals["Fetched from the origin"], totals["Saved"], totals["Reads"]],
    ["27 MiB", "9.1 MiB", "18 MiB", "5"],
  );
  assert.deepEqual(
    [totals["Hit ratio by bytes"], totals["Paid for fetching"], totals["Saved in money"]],
    ["66.5 %", "0.0009", "0.0017"],
  );
  for (const [source = "", bytes, , reads] of await cells(page, "#sources")) {
    assert.equal(
      Number(reads),
      await sumOf(cluster, `orca_first_byte_seconds_count{source="${source}"}`),
      source,
    );
    const sent = await sumOf(cluster, `orca_bytes_sent_total{source="${source}"}`);
    assert.equal(bytes === "0 B", sent === 0, source);
  }
  const members = await cells(page, "#members");
  assert.deepEqual(
    members.map(([name, state, , share]) => [name, state, share]),
    [
      ["r0 (this one)", "alive", "33.3 %"],
      ["r1", "alive", "33.3 %"],
      ["r2", "alive", "33.3 %"],
    ],
  );
  assert.equal((await cells(page, "#tiers")).length, 6);
  assert.deepEqual(
    (await cells(page, "#hot")).map(([name, reads]) => [name, reads]),
    [
      [`${testBucket}/weights/llama.bin`, "3"],
      [`${testBucket}/small.bin`, "2"],
    ],
  );
  assert.deepEqual(
    (await cells(page, "#errors")).map((row) => row.slice(0, 4)),
    [["no_such_key", "told to clients", "1", "1"]],
  );
}

/** By the keyboard alone, from a button in the list of hot objects and from the form. */
async function findsTheObject(page: Page): Promise<void> {
  await page.focus("#hot button");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#object-result:not([hidden])");
  assert.equal(
    await page.$eval("#key", (field) => (field as unknown as { value: string }).value),
    "weights/llama.bin",
  );
  await page.focus("#bucket");
  await page.keyboard.press("Tab");
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type("small.bin");
  await page.keyboard.press("Enter");
  await until(
    async () =>
      (await page.$eval("#object-state", ({ textContent }) => textContent))?.includes("100 KiB") === true,
  );
  const found = await cells(page, "#object-result");
  assert.deepEqual(
    found.map(([name]) => name),
    ["r0", "r1", "r2"],
  );
  assert.equal(found.filter(([, coordinates]) => coordinates === "0").length, 1);
}

/** Chromium logs each denied request, so this comes after the page was checked for errors. */
async function actsWithTheTokenOnly(page: Page, replica: ReplicaFixture): Promise<void> {
  assert.equal(
    await page.$eval("#actions", (fields) => (fields as unknown as { disabled: boolean }).disabled),
    true,
  );
  const state = async (): Promise<string> =>
    (await page.$eval("#action-state", ({ textContent }) => textContent)) ?? "";
  const give = async (text: string): Promise<void> => {
    await page.$eval("#action-token", (field) => ((field as unknown as { value: string }).value = ""));
    await page.type("#action-token", text);
    await page.keyboard.press("Enter");
  };
  await give("f".repeat(32));
  await page.click("#verify-form button");
  await until(async () => (await state()).includes("needs the token"));
  await give(token);
  await page.click("#verify-form button");
  await until(async () => (await state()).startsWith("Verify is complete: "), chartWithinMs);
  page.once("dialog", (dialog) => void dialog.accept());
  await page.type("#clear-prefix", `${testBucket}/small`);
  await page.click("#clear-form button");
  await until(async () => (await state()).startsWith("Cleared the metadata of 1 objects"));
  const before = await replica.metric('orca_bytes_sent_total{source="memory"}');
  await (await replica.get("small.bin")).arrayBuffer();
  assert.equal(await replica.metric('orca_bytes_sent_total{source="memory"}'), before);
}

async function isAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(axe);
  const { violations } = (await page.evaluate("axe.run()")) as AxeResult;
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious, [], where);
}

/** Of a part of the page. The whole would be too large a file. */
async function picture(page: Page, name: string, y: number, height: number): Promise<void> {
  if (screenshots === undefined) return;
  const { width } = page.viewport() ?? { width: 400 };
  await page.screenshot({
    path: join(screenshots, `${name}.png`),
    clip: { x: 0, y, width, height },
    captureBeyondViewport: true,
  });
}
