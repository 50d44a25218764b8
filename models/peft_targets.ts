import { z } from "zod";
import { pythonPattern } from "./python_pattern.ts";

const names = z.union([z.string(), z.array(z.string())]).nullish();

/** The keys of adapter_config.json that say which modules are adapted. */
export const PEFT_TARGETS = {
  target_modules: names,
  exclude_modules: names,
  layers_to_transform: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  layers_pattern: names,
};
const Targets = z.object(PEFT_TARGETS);

/**
 * Which modules (by path, without `base_model.model.`) an adapter's config targets, by PEFT's own rules
 * (tuners_utils.check_target_module_exists); null where the config leaves it to the tensors.
 * @throws {SyntaxError} for a pattern that cannot be read here.
 */
export function targetMatcher(
  config: z.infer<typeof Targets>,
): ((module: string) => boolean) | null {
  const { target_modules: targets, exclude_modules: excluded } = config;
  if (targets === null || targets === undefined) return null;
  const excludes = excluded && excluded.length > 0 ? matcher(excluded) : () => false;
  if (typeof targets === "string") {
    // PEFT replaces this word by the names themselves when it saves; other writers may not.
    const all = targets.toLowerCase() === "all-linear";
    const wanted = all ? (module: string) => /_proj$/.test(module) : matcher(targets);
    return (module) => wanted(module) && !excludes(module);
  }
  const wanted = matcher(targets);
  const inLayers = layerFilter(config);
  return (module) =>
    !excludes(module) && (targets.includes(module) || (wanted(module) && inLayers(module)));
}

/** A string is a pattern of the whole path, a list holds whole last parts of it. */
function matcher(targets: string | readonly string[]): (module: string) => boolean {
  if (typeof targets !== "string") {
    return (module) => targets.some((name) => module === name || module.endsWith(`.${name}`));
  }
  const pattern = pythonPattern(targets);
  return (module) => pattern.test(module);
}

function layerFilter(
  { layers_to_transform: layers, layers_pattern: pattern }: z.infer<typeof Targets>,
): (module: string) => boolean {
  const wanted = [layers ?? []].flat();
  if (wanted.length === 0) return () => true;
  const blocks = [pattern ?? []].flat().filter((block) => block !== "");
  const indices = blocks.length === 0
    ? [pythonPattern(".*?\\.[^.]*\\.(\\d+)\\..*")]
    : blocks.map((block) => pythonPattern(`(?:.*?\\.)??(?:${block})\\.(\\d+)\\..*`));
  return (module) => {
    const match = indices.map((index) => index.exec(module)).find((found) => found !== null);
    return match !== undefined && wanted.includes(Number(match?.at(-1)));
  };
}
