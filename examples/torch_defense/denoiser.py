"""`train` leaves outputs/denoiser.safetensors; `purify` reads it back from inputs/defense/ and leaves outputs/inputs.npy."""
import json
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def make(width):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(width, width, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(width, 3, 3, padding=1))


def cleaned(net, pictures):
    return (pictures + net(pictures)).clamp(0, 1)


def train(job):
    pictures = torch.from_numpy(np.load("inputs/train_images.npy")).permute(0, 3, 1, 2).float() / 255
    config = job["config"]
    net = make(config["width"])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(config["epochs"]):
        total = 0.0
        for rows in torch.randperm(len(pictures)).split(64):
            batch = pictures[rows]
            loss = torch.nn.functional.mse_loss(
                cleaned(net, (batch + config["noise"] * torch.randn_like(batch)).clamp(0, 1)), batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        print(f"epoch {epoch + 1}: loss {total / len(pictures):.6f}", flush=True)
    save_file(net.state_dict(), "outputs/denoiser.safetensors")


def purify(job):
    net = make(job["config"]["width"])
    net.load_state_dict(load_file("inputs/defense/denoiser.safetensors"))
    pictures = torch.from_numpy(np.load("inputs/inputs.npy"))
    with torch.no_grad():
        np.save("outputs/inputs.npy", torch.cat([cleaned(net, part) for part in pictures.split(64)]).numpy())


with open("inputs/job.json", encoding="utf-8") as file:
    JOB = json.load(file)
torch.manual_seed(JOB["seed"])
torch.use_deterministic_algorithms(True)
{"train": train, "purify": purify}[sys.argv[1]](JOB)
