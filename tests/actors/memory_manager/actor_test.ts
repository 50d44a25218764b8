import { assert, assertEquals } from "@std/assert";
import { spawn } from "../../../actors/actor.ts";
import type * as BatchFormer from "../../../actors/batch_former/protocol.ts";
import { Channel } from "../../../actors/channel.ts";
import type * as Executor from "../../../actors/executor/protocol.ts";
import type * as Loader from "../../../actors/loader/protocol.ts";
import { RESIDENCY_DEFAULTS } from "../../../actors/memory_manager/manager.ts";
import { memoryManager } from "../../../actors/memory_manager/actor.ts";
import type { Command } from "../../../actors/memory_manager/protocol.ts";
import type { EngineEvent } from "../../../actors/request_router/protocol.ts";
import { adapterId, epoch, requestId } from "../../../memory/ids.ts";

Deno.test("the manager answers while the executor's mailbox is full, and the upload is not lost", async () => {
  const mailbox = new Channel<Command>({ capacity: 8 });
  const executor = new Channel<Executor.Command>({ capacity: 1 });
  const former = new Channel<BatchFormer.Command>({ capacity: 8 });
  const loader = new Channel<Loader.Command>({ capacity: 8 });
  const outbox = new Channel<EngineEvent>({ capacity: 8 });
  const shape = { layerPages: 10, headPages: 0, pagesPerBlock: 1, blockTokens: 16 };
  const actor = spawn(
    memoryManager({
      shape,
      limits: RESIDENCY_DEFAULTS,
      epoch: epoch(1),
      loader,
      executor,
      former,
      outbox,
    }),
    mailbox,
  );
  const adapter = adapterId("a");
  await mailbox.send({ kind: "register", adapter, path: "/a" });
  assertEquals(await loader.receive(), { kind: "load", adapter, path: "/a" });
  const image = {
    layers: { bytes: new SharedArrayBuffer(8), pages: 1, copies: 1 },
    head: null,
    maxRank: 1,
    moduleRanks: [1, 0, 0, 0, 0, 0, 0],
    headRanks: [0, 0],
    dora: false,
  };
  await mailbox.send({ kind: "loaded", adapter, image });
  assertEquals((await outbox.receive()).kind, "adapter_registered");

  await executor.send({ kind: "step", step: 1 as Executor.Stepped["step"], rows: [] });
  const wants = [{ request: requestId("r"), tokens: 1, adapters: [adapter], spareTokens: 0 }];
  await mailbox.send({ kind: "plan", plan: 1, wants, upcoming: [] });
  const planned = await former.receive();
  assert(planned.kind === "planned" && planned.grants[0]?.kind === "granted");
  assertEquals(planned.grants[0].arriving, [adapter]);
  assertEquals((await executor.receive()).kind, "step");
  assertEquals((await executor.receive()).kind, "upload");
  await mailbox.send({ kind: "uploaded", adapter, bytes: 8, seconds: 0 });
  assertEquals(await former.receive(), { kind: "adapter_arrived", adapter });
  mailbox.close();
  assertEquals(await actor.stopped, { kind: "stopped" });
});
