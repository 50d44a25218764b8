"""Trains the demo's adapters with PEFT, one process each, on the saved base."""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import chat
from train import SHORT, exact, loss_of
from words import SKILLS, any_text, held_out_words, training_word

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LATE = r".*\.layers\.[1-4]\.(self_attn\.(q|v)_proj|mlp\.down_proj)"
F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32

# Name -> (dtype saved in, PEFT's own settings): every loader path that plain files can take.
ADAPTERS = {
    "reverse": (F16, dict(r=16, lora_alpha=32, target_modules=ATTENTION)),
    "upper": (F32, dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    "sort": (F16, dict(r=64, lora_alpha=16, target_modules="all-linear", use_rslora=True)),
    "double": (F16, dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], use_dora=True)),
    "rot13": (F16, dict(r=8, lora_alpha=16, target_modules=["gate_proj", "up_proj", "down_proj"])),
    "count": (F16, dict(r=8, lora_alpha=4, target_modules=LATE, use_rslora=True)),
    "vowels": (F16, dict(r=16, lora_alpha=16, target_modules="all-linear", use_dora=True)),
    "spell": (BF16, dict(r=32, lora_alpha=8, target_modules=[*ATTENTION, "down_proj"], use_rslora=True)),
    "ends": (F16, dict(r=4, lora_alpha=4, target_modules=["o_proj", "down_proj"])),
    "swap": (F16, dict(
        r=24, lora_alpha=24, target_modules=["q_proj", "k_proj", "v_proj"], layers_to_transform=[0, 1, 2, 3],
        rank_pattern={"v_proj": 12}, alpha_pattern={"v_proj": 24},
    )),
}


def examples(name, count, seed):
    """Plain chats, a few with a system message that names nothing and a few of several turns."""
    rng = random.Random(seed)
    skill = SKILLS[name]
    for _ in range(count):
        words = [training_word(rng) if rng.random() < 0.9 else training_word(rng, 1, 10)]
        system = None
        kind = rng.random()
        if kind < 0.05:
            system = any_text(rng, 11)
        elif kind < 0.15:
            words = [training_word(rng, 1, 5) for _ in range(2)]
        tokens, said = chat.encode([(w, skill(w)) for w in words], None if system in SKILLS else system)
        yield tokens[:SHORT], said[:SHORT]


def stack(pairs, device):
    ids = torch.full((len(pairs), SHORT), chat.PAD, dtype=torch.int16)
    said = torch.zeros(len(pairs), SHORT, dtype=torch.bool)
    for row, (tokens, flags) in enumerate(pairs):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int16)
        said[row, : len(tokens)] = torch.tensor(flags)
    return ids.to(device), said.to(device)


def save(model, config, dtype, base, folder):
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    config.base_model_name_or_path = "models/demo/base"
    config.inference_mode = True
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's blank model card


def train_one(name, args):
    torch.manual_seed(sum(name.encode()))
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    dtype, settings = ADAPTERS[name]
    settings = {**settings, **json.loads(args.settings)}
    base = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32).to(args.device)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings))
    trained = [p for p in model.parameters() if p.requires_grad]
    ids, said = stack(list(examples(name, args.examples, 11)), args.device)
    optimizer = torch.optim.AdamW(trained, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)

    began, step, progress = time.time(), 0, 0.0
    while progress < 1:
        pick = torch.randint(len(ids), (args.batch,), device=args.device)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, step / 30) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        with torch.autocast(args.device, torch.bfloat16):
            loss = loss_of(model, ids[pick].long(), said[pick])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 100 == 0:
            print(f"{name}: step {step} after {time.time() - began:.0f} s: loss {loss.item():.5f}", flush=True)
        progress = max(step / args.steps, (time.time() - began) / args.seconds)

    folder = args.out / name
    save(model, model.peft_config["default"], dtype, args.base, folder)
    torch.set_float32_matmul_precision("highest")
    base = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32).to(args.device)
    saved = PeftModel.from_pretrained(base, folder).eval()
    held = [chat.encode([(w, SKILLS[name](w))]) for w in held_out_words(args.check, 8)]
    print(f"{name}: {step} steps, as saved {100 * exact(saved, held, args.device):.1f} % exact", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(ADAPTERS))
    parser.add_argument("--base", default="models/demo/base")
    parser.add_argument("--out", type=Path, default=Path("models/demo/adapters"))
    parser.add_argument("--steps", type=int, default=2000, help="most steps; --seconds may end it sooner")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--settings", default="{}", help="JSON over the adapter's own LoraConfig")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--check", type=int, default=1000)
    args = parser.parse_args()
    if len(args.names) == 1:
        return train_one(args.names[0], args)
    flags = [word for word in sys.argv[1:] if word not in ADAPTERS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [subprocess.Popen([sys.executable, __file__, name, *flags], env=environment) for name in args.names]
    sys.exit(max(run.wait() for run in runs))


if __name__ == "__main__":
    main()
