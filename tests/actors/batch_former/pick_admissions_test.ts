import { assertEquals } from "@std/assert";
import { AdmissionPicker } from "../../../actors/batch_former/pick_admissions.ts";

type Queued = ReturnType<typeof queued>;
const queued = (
  more: {
    blockedSince?: number | null;
    crowded?: boolean;
    headShort?: boolean;
    ready?: number;
  } = {},
) => ({ blockedSince: null, ready: 10, ...more });
const picked = (
  queue: Queued[],
  slots: number,
  tokens: number,
  bars: (state: Queued) => boolean = () => false,
  picker = new AdmissionPicker<Queued>(),
) => picker.pick(queue, { slots, tokens }, bars).picks.map((state) => queue.indexOf(state));

Deno.test("a draw asks for the first, for as many as there are slots and tokens", () => {
  assertEquals(picked([queued(), queued(), queued()], 2, 100), [0, 1]);
  assertEquals(picked([queued(), queued(), queued()], 9, 11), [0, 1]);
  assertEquals(picked([queued()], 0, 100), []);
});

Deno.test("a draw draws no more of the queue than there is room for", () => {
  let drawn = 0;
  function* queue() {
    for (;; drawn++) yield queued();
  }
  const { picks } = new AdmissionPicker<Queued>().pick(
    queue(),
    { slots: 3, tokens: 100 },
    () => false,
  );
  assertEquals(picks.length, 3);
  assertEquals(drawn, 2);
});

Deno.test("a draw asks for one that did not fit beside the others, not in their stead", () => {
  assertEquals(picked([queued({ blockedSince: 5, ready: 900 }), queued()], 1, 10), [0, 1]);
});

Deno.test("a draw lets nobody pass one that bars the way until it fits", () => {
  const old = queued({ blockedSince: 5 });
  assertEquals(picked([queued(), old, queued()], 9, 100, (state) => state === old), [0, 1]);
});

Deno.test("a draw asks for pages however many wait for room in host memory", () => {
  const crowded = Array.from({ length: 40 }, () => queued({ blockedSince: 1, crowded: true }));
  const picks = picked([...crowded, queued({ blockedSince: 2 }), queued()], 1, 10);
  assertEquals(picks.slice(-2), [40, 41]);
  assertEquals(picks.length, 18);
});

Deno.test("a draw lets those pass one that bars the head pool who use nothing there", () => {
  const head = queued({ blockedSince: 5, headShort: true });
  const queue = [queued(), head, queued(), { ...head }, queued({ blockedSince: 6 })];
  const { picks, headless } = new AdmissionPicker<Queued>().pick(
    queue,
    { slots: 9, tokens: 100 },
    ({ headShort = false }) => headShort,
  );
  assertEquals(picks.map((state) => queue.indexOf(state)), [0, 1, 2, 4]);
  assertEquals([...headless].map((state) => queue.indexOf(state)), [2, 4]);
});

Deno.test("a draw asks again for some of many that did not fit, and within a few draws for all of them", () => {
  const queue = Array.from({ length: 40 }, () => queued({ blockedSince: 1 }));
  const picker = new AdmissionPicker<Queued>();
  const draws = Array.from({ length: 4 }, () => picked(queue, 9, 100, () => false, picker));
  for (const draw of draws) assertEquals(draw.slice(0, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals(draws.map(({ length }) => length), [16, 16, 16, 16]);
  assertEquals(new Set(draws.flat()).size, 40);
  // Who comes and goes meanwhile changes no turns.
  queue.splice(20, 10, queued({ blockedSince: 2 }));
  assertEquals(picked(queue, 9, 100, () => false, picker).includes(20), true);
});

Deno.test("a draw always asks for one that bars the way, however many did not fit before it", () => {
  const old = queued({ blockedSince: 1 });
  const queue = [...Array.from({ length: 40 }, () => queued({ blockedSince: 2 })), old, queued()];
  const picker = new AdmissionPicker<Queued>();
  for (let draw = 0; draw < 9; draw++) {
    assertEquals(picked(queue, 9, 100, (state) => state === old, picker).at(-1), 40);
  }
});
