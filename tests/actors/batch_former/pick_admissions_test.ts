import { assertEquals } from "@std/assert";
import { pickAdmissions } from "../../../actors/batch_former/pick_admissions.ts";

const queued = (
  more: {
    blockedSince?: number | null;
    crowded?: boolean;
    headShort?: boolean;
    ready?: number;
  } = {},
) => ({ blockedSince: null, ready: 10, ...more });
const picked = (
  queue: ReturnType<typeof queued>[],
  slots: number,
  tokens: number,
  bars: (state: typeof queue[number]) => boolean = () => false,
) => pickAdmissions(queue, { slots, tokens }, bars).picks.map((state) => queue.indexOf(state));

Deno.test("pickAdmissions() asks for the first, for as many as there are slots and tokens", () => {
  assertEquals(picked([queued(), queued(), queued()], 2, 100), [0, 1]);
  assertEquals(picked([queued(), queued(), queued()], 9, 11), [0, 1]);
  assertEquals(picked([queued()], 0, 100), []);
});

Deno.test("pickAdmissions() draws no more of the queue than there is room for", () => {
  let drawn = 0;
  function* queue() {
    for (;; drawn++) yield queued();
  }
  assertEquals(pickAdmissions(queue(), { slots: 3, tokens: 100 }, () => false).picks.length, 3);
  assertEquals(drawn, 2);
});

Deno.test("pickAdmissions() asks for one that did not fit beside the others, not in their stead", () => {
  assertEquals(picked([queued({ blockedSince: 5, ready: 900 }), queued()], 1, 10), [0, 1]);
});

Deno.test("pickAdmissions() lets nobody pass one that bars the way until it fits", () => {
  const old = queued({ blockedSince: 5 });
  assertEquals(picked([queued(), old, queued()], 9, 100, (state) => state === old), [0, 1]);
});

Deno.test("pickAdmissions() asks for pages however many wait for room in host memory", () => {
  const crowded = Array.from({ length: 40 }, () => queued({ blockedSince: 1, crowded: true }));
  const picks = picked([...crowded, queued({ blockedSince: 2 }), queued()], 1, 10);
  assertEquals(picks.slice(-2), [40, 41]);
  assertEquals(picks.length, 18);
});

Deno.test("pickAdmissions() lets those pass one that bars the head pool who use nothing there", () => {
  const head = queued({ blockedSince: 5, headShort: true });
  const queue = [queued(), head, queued(), { ...head }, queued({ blockedSince: 6 })];
  const { picks, headless } = pickAdmissions(
    queue,
    { slots: 9, tokens: 100 },
    ({ headShort = false }) => headShort,
  );
  assertEquals(picks.map((state) => queue.indexOf(state)), [0, 1, 2, 4]);
  assertEquals([...headless].map((state) => queue.indexOf(state)), [2, 4]);
});
