import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { StopStrings } from "../../models/stop_strings.ts";

// Two letters only: overlaps, borders and near misses in nearly every case.
const letters = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom("a", "b", "🙂"), { minLength, maxLength }).map((each) => each.join(""));
const stops = fc.array(letters(1, 6), { maxLength: 4 });
const chunks = fc.array(letters(0, 7), { maxLength: 12 });

function run(stops: readonly string[], chunks: readonly string[]) {
  const watcher = new StopStrings(stops);
  let text = "";
  for (const chunk of chunks) {
    const result = watcher.push(chunk);
    text += result.text;
    if (result.stopped) return { text, matched: result.matched };
  }
  return { text: text + watcher.flush(), matched: undefined };
}

/** The stop string that ends first, the longest of those that end there, found in the whole text. */
function expected(stops: readonly string[], whole: string) {
  const found = stops.filter((stop) => whole.includes(stop))
    .map((stop) => ({ stop, end: whole.indexOf(stop) + stop.length }))
    .sort((a, b) => a.end - b.end || b.stop.length - a.stop.length)[0];
  return found
    ? { text: whole.slice(0, found.end - found.stop.length), matched: found.stop }
    : { text: whole, matched: undefined };
}

Deno.test("push() finds what indexOf finds in the whole text, however it is cut", () => {
  fc.assert(
    fc.property(stops, chunks, (stops, chunks) => {
      assertEquals(run(stops, chunks), expected(stops, chunks.join("")));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("push() holds back exactly the longest beginning of a stop string", () => {
  fc.assert(fc.property(stops, chunks, (stops, chunks) => {
    const watcher = new StopStrings(stops);
    let out = "";
    let whole = "";
    for (const chunk of chunks) {
      const result = watcher.push(chunk);
      if (result.stopped) return;
      out += result.text;
      whole += chunk;
      let held = 0;
      for (const stop of stops) {
        for (let k = 1; k < stop.length; k++) {
          if (whole.endsWith(stop.slice(0, k))) held = Math.max(held, k);
        }
      }
      assertEquals(out, whole.slice(0, whole.length - held));
      assert(out.isWellFormed());
    }
  }));
});

Deno.test("a stopped StopStrings stays stopped and lets nothing out", () => {
  const watcher = new StopStrings(["\n\n"]);
  assertEquals(watcher.push("one\n"), { text: "one", stopped: false });
  assertEquals(watcher.push("\ntwo"), { text: "", stopped: true, matched: "\n\n" });
  assertEquals(watcher.push("three"), { text: "", stopped: true, matched: "\n\n" });
  assertEquals(watcher.flush(), "");
});

Deno.test("flush() gives what was held when no stop string came", () => {
  const watcher = new StopStrings(["User:"]);
  assertEquals(watcher.push("ask Use"), { text: "ask ", stopped: false });
  assertEquals(watcher.flush(), "Use");
  assertEquals(watcher.push("r:"), { text: "r:", stopped: false });
});

Deno.test("a stop string that is empty or half a surrogate pair is refused by its place", () => {
  assertThrows(
    () => new StopStrings(["ok", ""]),
    RangeError,
    'stop[1] to be non-empty well-formed text, received ""',
  );
  assertThrows(() => new StopStrings(["\ud83d"]), RangeError, "stop[0]");
});
