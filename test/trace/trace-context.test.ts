import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { parseTraceContext } from "../../src/trace/trace-context.ts";
import { TraceContexts } from "../../src/trace/trace-contexts.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parent = "00f067aa0ba902b7";
const good = `00-${traceId}-${parent}-01`;

suite("parseTraceContext: traceparent", () => {
  const accepted: readonly (readonly [sent: string, sentOn: string])[] = [
    [good, good],
    [`00-${traceId}-${parent}-00`, `00-${traceId}-${parent}-00`],
    [`00-${traceId}-${parent}-ff`, `00-${traceId}-${parent}-ff`],
    // A later version may have more fields, which are not sent on, and neither are flags that version 00 does not know.
    [`cc-${traceId}-${parent}-01`, good],
    [`cc-${traceId}-${parent}-ff-what-the-future-will-be-like`, good],
    [`01-${traceId}-${parent}-02`, `00-${traceId}-${parent}-00`],
  ];
  for (const [sent, sentOn] of accepted) {
    test(`accepts ${sent}`, () => {
      assert.deepEqual(parseTraceContext(sent, undefined), {
        traceId,
        parentId: parent,
        isSampled: /[13579bdf]$/.test(sentOn),
        traceparent: sentOn,
        tracestate: undefined,
      });
    });
  }

  const rejected: readonly (readonly [why: string, sent: string | readonly string[] | undefined])[] = [
    ["none", undefined],
    ["empty", ""],
    ["version ff", `ff-${traceId}-${parent}-01`],
    ["upper case", good.toUpperCase()],
    ["upper case in the trace id", `00-${traceId.toUpperCase()}-${parent}-01`],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${parent}-01`],
    ["a parent id of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
    ["a trace id that is short", `00-${traceId.slice(1)}-${parent}-01`],
    ["a parent id that is long", `00-${traceId}-${parent}0-01`],
    ["flags of one digit", `00-${traceId}-${parent}-1`],
    ["no flags", `00-${traceId}-${parent}`],
    ["version 00 with more fields", `${good}-what`],
    ["version 00 with a dash at its end", `${good}-`],
    ["a later version that goes on without a dash", `cc-${traceId}-${parent}-01.what`],
    ["a space in front", ` ${good}`],
    ["a line end", `${good}\n`],
    ["another separator", good.replaceAll("-", "_")],
    ["two of them in one header", `${good}, ${good}`],
    ["two headers", [good, good]],
    ["a later version that is very long", `cc-${traceId}-${parent}-01-${"x".repeat(300)}`],
  ];
  for (const [why, sent] of rejected) {
    test(`ignores ${why}`, () => assert.equal(parseTraceContext(sent, "a=1"), undefined));
  }

  test("no text makes it fail, and what it sends on is valid again and the same", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (parentText, state) => {
        parseTraceContext(parentText, state);
        const { tracestate } = parseTraceContext(good, state) ?? {};
        assert.equal(parseTraceContext(good, tracestate)?.tracestate, tracestate);
      }),
    );
  });
});

const members = (count: number, length: number): string =>
  Array.from({ length: count }, (_, index) => `k${index}=`.padEnd(length, "v")).join(",");

suite("parseTraceContext: tracestate", () => {
  const cases: readonly (readonly [
    why: string,
    sent: string | readonly string[],
    sentOn: string | undefined,
  ])[] = [
    ["one member", "congo=t61rcWkgMzE", "congo=t61rcWkgMzE"],
    ["members with spaces and tabs around", "a=1 ,\t b=2", "a=1,b=2"],
    ["empty members", "a=1,,b=2,", "a=1,b=2"],
    ["two headers", ["a=1", "b=2"], "a=1,b=2"],
    ["a tenant, and all characters of a key", "fw529a3039@dt=1,0a_-*/=2", "fw529a3039@dt=1,0a_-*/=2"],
    ["a space within a value", "a=1 2", "a=1 2"],
    ["empty", "", undefined],
    ["only separators", " , ,", undefined],
    ["no value", "a=", undefined],
    ["no equals sign", "a", undefined],
    ["an equals sign in the value", "a=1=2", undefined],
    ["upper case in a key", "A=1", undefined],
    ["a key that is too long", `${"a".repeat(257)}=1`, undefined],
    ["a value that is too long", `a=${"1".repeat(257)}`, undefined],
    ["another alphabet", "a=\u00e9", undefined],
    ["a control character", "a=1\u0001", undefined],
    ["one key twice", "a=1,a=2", undefined],
    ["one member that breaks the rules", "a=1,B=2", undefined],
    ["33 members", members(33, 6), undefined],
    ["32 members", members(32, 10), members(32, 10)],
    ["512 characters", members(4, 127).padEnd(512, "v"), members(4, 127).padEnd(512, "v")],
    ["more: long members go first", `long=${"v".repeat(200)},${members(4, 120)}`, members(4, 120)],
    ["more: then those at the end", members(10, 100), members(5, 100)],
    ["more than is looked at", members(1, 20_000), undefined],
  ];
  for (const [why, sent, sentOn] of cases) {
    test(why, () => {
      const context = parseTraceContext(good, sent);
      assert.equal(context?.tracestate, sentOn);
      assert.equal(context?.traceparent, good, "a bad state does not spoil the parent");
    });
  }
});

suite("TraceContexts", () => {
  test("a request without a context has no header and no field, and costs no entry", () => {
    const contexts = new TraceContexts();
    contexts.accept("A", undefined, "a=1");
    contexts.accept("A", null, null);
    contexts.accept("A", "bad", "a=1");
    assert.deepEqual([contexts.size, contexts.headers("A"), contexts.fields("A")], [0, {}, {}]);
    assert.deepEqual(contexts.headers(undefined), {});
  });

  test("a request with one has both headers, and its trace id for the log", () => {
    const contexts = new TraceContexts();
    contexts.accept("A", good, "a=1");
    assert.deepEqual(contexts.headers("A"), { traceparent: good, tracestate: "a=1" });
    assert.deepEqual(contexts.fields("A"), { traceId });
    assert.deepEqual(
      [contexts.headers("B"), contexts.fields("B"), contexts.traceId("B")],
      [{}, {}, undefined],
    );
  });

  test("the first context of an id stays", () => {
    const contexts = new TraceContexts();
    contexts.accept("A", good, undefined);
    contexts.accept("A", `00-${"1".repeat(32)}-${parent}-01`, "a=1");
    assert.deepEqual(contexts.headers("A"), { traceparent: good });
  });

  test("a span of this replica takes the client's place as the parent, and keeps its state", () => {
    const contexts = new TraceContexts();
    contexts.accept("A", good, "a=1");
    contexts.continue("A", traceId, "c".repeat(16));
    const traceparent = `00-${traceId}-${"c".repeat(16)}-01`;
    assert.deepEqual(contexts.headers("A"), { traceparent, tracestate: "a=1" });
    contexts.continue("B", traceId, "c".repeat(16));
    assert.deepEqual(contexts.headers("B"), { traceparent });
  });

  test("it holds 4,096, and forgets the oldest", () => {
    const contexts = new TraceContexts();
    for (let index = 0; index < 5000; index += 1) contexts.accept(`${index}`, good, undefined);
    assert.equal(contexts.size, 4096);
    assert.deepEqual([contexts.traceId("0"), contexts.traceId("4999")], [undefined, traceId]);
  });
});
