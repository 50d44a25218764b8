"""Measures the demo as saved: greedy answers under transformers + PEFT, 16-bit weights widened to float32."""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import peft
import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from words import SKILLS, held_out_words

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 32  # the longest answer is double's or spell's: 20 tokens and the end


def load(name):
    base = AutoModelForCausalLM.from_pretrained(ROOT / "base", dtype=torch.float32).eval()
    return base if name == "demo" else PeftModel.from_pretrained(base, ROOT / "adapters" / name).eval()


@torch.no_grad()
def answers(model, tokenizer, words):
    """Word -> (greedy answer, smallest gap between the best and second-best logit on the way)."""
    by_length = defaultdict(list)
    for word in words:
        chat = [{"role": "user", "content": word}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
        by_length[len(ids)].append((word, ids))
    found = {}
    for group in by_length.values():  # equal lengths need no padding
        ids = torch.tensor([tokens for _, tokens in group])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=LIMIT,
            output_logits=True, return_dict_in_generate=True,
        )
        best = torch.stack(out.logits).float().topk(2, dim=-1).values
        gaps = (best[..., 0] - best[..., 1]).T
        for (word, prompt), row, gap in zip(group, out.sequences, gaps):
            said = row[len(prompt) :].tolist()
            length = said.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in said else len(said)
            found[word] = (tokenizer.decode(said[:length], skip_special_tokens=True), gap[:length].min().item())
    return found


def describe(name):
    if name == "demo":
        return "", "", "base", "", (ROOT / "base/model.safetensors").stat().st_size
    folder = ROOT / "adapters" / name
    config = json.loads((folder / "adapter_config.json").read_text())
    kind = "DoRA" if config["use_dora"] else "rsLoRA" if config["use_rslora"] else "LoRA"
    targets = config["target_modules"]
    if isinstance(targets, list):
        order = ["q", "k", "v", "o", "gate", "up", "down"]
        short = sorted((t.removesuffix("_proj") for t in targets), key=order.index)
        targets = ",".join(short) if len(short) < 7 else "all-linear"
    else:
        targets = f"`{targets}`".replace("|", "\\|")
    if config["layers_to_transform"] is not None:
        targets += f" of layers {config['layers_to_transform']}"
    rank, alpha = config["r"], config["lora_alpha"]
    if config["rank_pattern"]:
        rank, alpha = f"{rank}, {config['rank_pattern']}", f"{alpha}, {config['alpha_pattern']}"
    return rank, alpha, kind, targets, (folder / "adapter_model.safetensors").stat().st_size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["demo", *SKILLS])
    parser.add_argument("--words", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="write expected.json and heldout.json")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "base")
    words = held_out_words(args.words, 2026)
    print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}")
    print("| name | rank | alpha | variant | targets | bytes | exact % | smallest gap | 1st percentile of gaps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    expected, heldout = {}, {}
    for number, name in enumerate(args.names):
        skill = SKILLS.get(name, str)
        found = answers(load(name), tokenizer, words)
        right = [w for w in words if found[w][0] == skill(w)]
        gaps = torch.tensor([found[w][1] for w in words])
        rank, alpha, kind, targets, size = describe(name)
        print(
            f"| `{name}` | {rank} | {alpha} | {kind} | {targets} | {size} | {100 * len(right) / len(words):.1f} "
            f"| {gaps.min():.2f} | {gaps.quantile(0.01):.2f} |",
            flush=True,
        )
        for word in words:
            if found[word][0] != skill(word):
                print(f"  {name}: {word} -> {found[word][0]}, not {skill(word)}")
        pairs = [{"word": w, "answer": found[w][0]} for w in right]
        start = number * 74 % max(1, len(pairs) - 74)
        expected[name], heldout[name] = pairs[start : start + 24], pairs[start + 24 : start + 74]
    if args.write:
        made_with = f"transformers {transformers.__version__}, peft {peft.__version__}, greedy, float32"
        for file, models in (("expected.json", expected), ("heldout.json", heldout)):
            lines = [
                f"    {json.dumps(name)}: [\n" + ",\n".join(f"      {json.dumps(p)}" for p in pairs) + "\n    ]"
                for name, pairs in models.items()
            ]
            text = f'{{\n  "madeWith": {json.dumps(made_with)},\n  "models": {{\n' + ",\n".join(lines) + "\n  }\n}\n"
            (ROOT / file).write_text(text)


if __name__ == "__main__":
    main()
