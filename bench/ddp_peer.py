"""Two ranks of torch.nn.parallel.DistributedDataParallel against two of Gauntlet, on the same model.

    .deps/peers/bin/python bench/ddp_peer.py [--repetitions N] [--json]

The model is DCMH in the sizes of picto_scenes (48 px, 985 words, 26 labels, 32 bits, batches of 256): the same layers,
loss over the whole batch, augmentation and Adam as in core/models/dcmh.cpp, one thread a rank, Gloo. One thing differs in
the peer's favour: torch's SyncBatchNorm refuses tensors in host memory, so its ranks normalise over their own rows.
Needs torch in the interpreter that runs it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

PX, WORDS, LABELS, BITS, PAIRS, BATCH, HIDDEN, SECONDS = 48, 985, 26, 32, 512, 256, 256, 1.0


def rank(number: int, world: int, port: int) -> float:
    """Pairs of the global batch per second."""
    import torch
    import torch.distributed as dist
    import torch.distributed.nn.functional as collective
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    torch.manual_seed(1)
    width = WIDTH

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [(3, width, 5, 2), (width, 2 * width, 3, 2), (2 * width, 4 * width, 3, 2), (4 * width, 8 * width, 3, 1)]
            layers = []
            for i, o, kernel, stride in sizes:
                layers += [nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU(True)]
            self.trunk = nn.Sequential(*layers)
            self.image_head = nn.Linear(8 * width, BITS)
            self.text_head = nn.Sequential(nn.Linear(WORDS, HIDDEN), nn.ReLU(True), nn.Linear(HIDDEN, BITS))

        def forward(self, images, text):
            maps = self.trunk(images.contiguous(memory_format=torch.channels_last) * 2 - 1)
            return torch.cat([self.image_head(maps.amax((2, 3))), self.text_head(text)], 1)

    images = torch.rand(PAIRS, 3, PX, PX).contiguous(memory_format=torch.channels_last)
    text = torch.rand(PAIRS, WORDS).lt(0.02).float()
    labels = torch.rand(PAIRS, LABELS).lt(0.13).float()
    net = Net()
    if world > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        dist.init_process_group("gloo", rank=number, world_size=world)
        net = nn.parallel.DistributedDataParallel(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.004)
    buffers = torch.randn(2, PAIRS, BITS)
    codes = buffers.sum(0).sign()
    rows = torch.arange(BATCH * number // world, BATCH * (number + 1) // world)
    every_row = torch.arange(BATCH)
    grid = torch.arange(PX)
    shift = PX // 8

    def augmented(batch):
        n = len(batch)
        dx, dy = torch.randint(-shift, shift + 1, (2, n, 1))
        x, y = (grid + dx).clamp(0, PX - 1), (grid + dy).clamp(0, PX - 1)
        x = torch.where(torch.rand(n, 1) < 0.5, PX - 1 - x, x)
        moved = batch.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], y[:, :, None], x[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    def loss_of(outputs, other, similar):
        theta = 0.5 * outputs @ other.t()
        pairwise = (F.softplus(theta) - similar * theta).sum()
        quantisation = (codes[every_row] - outputs).square().sum()
        balance = outputs.sum(0).square().sum()
        return (pairwise + quantisation + 0.1 * balance) / (BATCH * PAIRS)

    def step():
        outputs = net(augmented(images[rows]), text[rows])
        own = labels[rows]
        if world > 1:
            outputs = torch.cat(collective.all_gather(outputs))
            own = torch.cat(collective.all_gather(own))
        image_out, text_out = outputs.chunk(2, 1)
        buffers[0, every_row], buffers[1, every_row] = image_out.detach(), text_out.detach()
        similar = (own @ labels.t() > 0.5).float()
        total = loss_of(image_out, buffers[1], similar) + loss_of(text_out, buffers[0], similar)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        return total.item()

    for _ in range(3):
        start = time.perf_counter()
        step()
        last = time.perf_counter() - start
    n = torch.tensor([max(2, int(SECONDS / last))])
    if world > 1:
        dist.broadcast(n, 0)
    start = time.perf_counter()
    for _ in range(int(n)):
        step()
    rate = int(n) * BATCH / (time.perf_counter() - start)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    return rate


WIDTH = 20  # channels of the first convolution


def gang(world: int, port: int) -> float:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    ranks = [
        subprocess.Popen([sys.executable, __file__, "--rank", str(number), str(world), str(port)], stdout=subprocess.PIPE,
                         env=environment, text=True)
        for number in range(world)
    ]
    return statistics.mean(float(one.communicate()[0].split()[-1]) for one in ranks)


def ours() -> dict:
    rank_program = os.path.join(os.path.dirname(__file__), "..", "build", "bin", "gauntlet-rank")
    said = subprocess.run([rank_program, "--bench-ddp", "--quick", "--loop", "dcmh"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rank:
        print(rank(*options.rank))
        return
    runs = {"gauntlet_1": [], "gauntlet_2": [], "ddp_1": [], "ddp_2": []}
    for repetition in range(options.repetitions):
        figures = ours()
        runs["gauntlet_1"].append(figures["dcmh_1_pairs_per_s"])
        runs["gauntlet_2"].append(figures["dcmh_2_pairs_per_s"])
        for world in (1, 2):
            runs[f"ddp_{world}"].append(gang(world, 29600 + 2 * repetition + world))
    figures = {f"{name}_pairs_per_s": statistics.median(values) for name, values in runs.items()}
    figures["gauntlet_over_ddp_2"] = statistics.median(a / b for a, b in zip(runs["gauntlet_2"], runs["ddp_2"]))
    for name in ("gauntlet", "ddp"):
        figures[f"{name}_efficiency_2"] = statistics.median(
            b / (2 * a) for a, b in zip(runs[f"{name}_1"], runs[f"{name}_2"]))
    figures["load"] = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"format": 1, "bench": "ddp_peer", "figures": figures}))
    else:
        for name, value in figures.items():
            print(f"{name:<28} {value:10.2f}")


if __name__ == "__main__":
    main()
