import { assertEquals } from "@std/assert";
import { UNKNOWN_MEMORY } from "../../../actors/batch_former/unknown_memory.ts";
import { LoadReport } from "../../../actors/batch_former/load_report.ts";
import type { EngineLoad } from "../../../actors/request_router/protocol.ts";

const load = (running: number): EngineLoad => ({
  running,
  waiting: 0,
  pages: 8,
  freePages: 8,
  kvPages: 0,
  cachedPages: 0,
  adapterPages: 0,
  residentAdapters: NONE,
  arrivingAdapters: 0,
  residency: UNKNOWN_MEMORY.residency,
  preemptions: 0,
  sheds: 0,
  steps: 0,
  prefixQueries: 0,
  prefixHits: 0,
});
const NONE: EngineLoad["residentAdapters"] = [];

Deno.test("a changed load is told at once, and then once a period", () => {
  const report = new LoadReport(100);
  assertEquals(report.next(load(1), false, 0)?.running, 1);
  assertEquals(report.next(load(2), false, 99), null);
  assertEquals(report.next(load(3), false, 100)?.running, 3);
});

Deno.test("at rest a changed load is told at once, an unchanged one never", () => {
  const report = new LoadReport(100);
  report.next(load(1), false, 0);
  assertEquals(report.next(load(0), true, 1)?.running, 0);
  assertEquals(report.next(load(0), true, 900), null);
});
