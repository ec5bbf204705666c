"""Writes model.pt: a target model as TorchScript, with the two methods Gauntlet calls.

Here the weights are drawn; yours come from your own training. What counts is the interface:
  encode_image(images [n, 3, H, W] float in [0,1]) -> [n, bits]
  encode_text(text [n, D] float) -> [n, bits]
positive for a bit of 1, differentiable in the input (tanh, not sign), everything that prepares inputs inside.

  python3 export.py --bits 32 --text-dim 985 --out model.pt
"""
import argparse

import torch


class Target(torch.nn.Module):
    def __init__(self, bits: int, text_dim: int):
        super().__init__()
        self.image = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4),
            torch.nn.Flatten(), torch.nn.Linear(256, bits))
        self.text = torch.nn.Linear(text_dim, bits)

    @torch.jit.export
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.image(images - 0.5))

    @torch.jit.export
    def encode_text(self, text: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.text(text))


parser = argparse.ArgumentParser()
parser.add_argument("--bits", type=int, default=32)
parser.add_argument("--text-dim", type=int, required=True)
parser.add_argument("--out", default="model.pt")
args = parser.parse_args()
torch.manual_seed(1)
torch.jit.script(Target(args.bits, args.text_dim).eval()).save(args.out)
