/**
 * Texts for property tests of parsers and escapers: mostly ASCII, where the syntax lies, with all of Unicode mixed in.
 * fast-check's own `unit: "binary"` does the same, but takes a second in every test process to set itself up, as does
 * `webPath`.
 */
import fc from "fast-check";

const codePoint = fc.oneof(
  { weight: 4, arbitrary: fc.nat(0x7f) },
  { weight: 2, arbitrary: fc.nat(0x2ff) },
  { weight: 1, arbitrary: fc.nat(0xd7ff) },
  { weight: 1, arbitrary: fc.integer({ min: 0xe000, max: 0xffff }) },
  { weight: 1, arbitrary: fc.integer({ min: 0x1_0000, max: 0x10_ffff }) },
);

/** Any text that UTF-8 can carry, NUL and controls among it. */
export function anyText(bounds: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.string({ ...bounds, unit: codePoint.map((code) => String.fromCodePoint(code)) });
}

/** Any key that an object can have, but for its length. */
export function anyKey(bounds: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> {
  return anyText(bounds).map((text) => text.replaceAll("\0", "0"));
}

/** Any JavaScript string: halves of surrogate pairs too. */
export const anyString: fc.Arbitrary<string> = fc.string({
  unit: fc.oneof(fc.nat(0x17f), fc.nat(0xffff)).map((code) => String.fromCharCode(code)),
});
