import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsReport, profileReport } from "../../../src/cli/profile/profile-report.ts";

const written = [
  { thread: "main", file: "out/main.cpuprofile", bytes: 1024 },
  { thread: "orca-edge-1", file: "out/orca-edge-1.cpuprofile", bytes: 3072 },
];

function cpuProfile(counts: Readonly<Record<string, number>>): object {
  const names = Object.keys(counts);
  return {
    nodes: names.map((functionName, index) => ({ id: index + 1, callFrame: { functionName } })),
    samples: names.flatMap((name, index) => Array.from({ length: counts[name] ?? 0 }, () => index + 1)),
  };
}

function node(functionName: string, selfSize: number, children: object[] = []): object {
  return { callFrame: { functionName }, selfSize, children };
}

test("profileReport: how busy each thread was, its share of all work, and its functions", () => {
  const threads = [
    { thread: "main", profile: cpuProfile({ "(idle)": 98, tick: 2 }) },
    {
      thread: "orca-edge-1",
      profile: cpuProfile({ "(idle)": 2, "(program)": 49, parse: 30, send: 14, "": 4, rare: 1 }),
    },
    { thread: "orca-disk", profile: cpuProfile({ "(idle)": 300, post: 1 }) },
    { thread: "orca-edge-2", fault: "no answer within 15 s: it hangs in a call" },
  ];
  const answer = { kind: "cpu", seconds: 10, threads } as const;
  assert.equal(
    profileReport(answer, written, "out"),
    `thread       busy  share  mostly in
main           2%     2%  tick 100%
orca-edge-1   98%    97%  native code and system calls 50%, parse 31%, send 14%
orca-disk      0%     1%

Wrote 2 profiles (4 KiB) into out. Load each in the tab Performance of Chrome DevTools.
`,
  );
  assert.equal(
    faultsReport(answer),
    'Thread "orca-edge-2" has no profile: no answer within 15 s: it hangs in a call\n',
  );
});

test("profileReport: bytes that are held, by thread", () => {
  const threads = [
    { thread: "main", profile: { head: node("(root)", 0, [node("keep", 1024, [node("grow", 2048)])]) } },
    { thread: "orca-edge-1", profile: { head: node("(root)", 0) } },
  ];
  assert.equal(
    profileReport({ kind: "heap", seconds: 1, threads }, written, "out"),
    `thread       holds  share  mostly in
main         3 KiB   100%  grow 67%, keep 33%
orca-edge-1    0 B     0%

Wrote 2 profiles (4 KiB) into out. Load each in the tab Memory of Chrome DevTools.
`,
  );
});

test("profileReport: nothing without a profile", () => {
  const threads = [{ thread: "orca-edge-1", fault: "the thread ended" }];
  assert.equal(profileReport({ kind: "cpu", seconds: 1, threads }, [], "out"), "");
});
