import { assert, assertEquals } from "@std/assert";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { goldens } from "../../support/goldens.ts";

const BLOCK = 16;
const SHARED = 2;

for (const architecture of ["mistral", "qwen3"]) {
  Deno.test(`${architecture}: on shared blocks a prompt's end gives the bits that it gives on its own`, async () => {
    const golden = goldens(architecture);
    const executor = await GoldenExecutor.start(golden.directory, 3);
    const [, adapted] = Object.values(golden.cases);
    const adapter = adapted?.adapter;
    assert(adapter);
    const route = await executor.adapter(golden.directory, `${golden.directory}/${adapter}`);
    const text = Array.from({ length: 3 * BLOCK }, (_, i) => (i * 37 + 11) % 100);
    const begin = text.slice(0, SHARED * BLOCK);
    const end = text.slice(SHARED * BLOCK);
    let slots = 0;
    const open = async (routes: readonly typeof route[]) =>
      (await executor.open(slots++, text, routes)).slot;
    /** Logits after `end`, on blocks that hold the beginning. */
    const finish = async (
      pages: Parameters<typeof executor.step>[0][number]["pages"],
      adapted: boolean,
    ) => {
      const slot = await open(adapted ? [route] : []);
      const table = [...pages ?? [], ...executor.take(1)];
      await executor.step([{ slot, tokens: end, position: begin.length, pages: table }]);
      return await executor.logits();
    };
    const written = new Map<boolean, ReturnType<typeof executor.take>>();
    for (const adapted of [false, true]) {
      const slot = await open(adapted ? [route] : []);
      const pages = executor.take(SHARED);
      written.set(adapted, pages);
      const own = executor.take(1);
      await executor.step([{ slot, tokens: begin, position: 0, pages: [...pages, ...own] }]);
      await executor.step([{ slot, tokens: end, position: begin.length }]);
      const alone = await executor.logits();
      for (let reader = 0; reader < 2; reader++) {
        assertEquals(await finish(pages, adapted), alone, `adapter: ${adapted}`);
      }
    }
    // And it would show if base and adapter shared.
    const right = await finish(written.get(true), true);
    const wrong = await finish(written.get(false), true);
    assert(right.some((logit, i) => logit !== wrong[i]), "the adapter leaves no trace in KV");
  });
}
