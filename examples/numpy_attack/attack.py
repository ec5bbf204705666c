"""Moves each picture towards the nearest training picture without a common label, within epsilon.

Reads the folder `inputs`, writes the folder `outputs`; both lie in the folder it is started in.
"""
import json

import numpy as np

with open("inputs/job.json", encoding="utf-8") as file:
    job = json.load(file)
clean = np.load("inputs/inputs.npy")  # float32 [n, 3, H, W] in [0,1], or features [n, F]
labels = np.load("inputs/labels.npy")  # uint8 [n, C]
train = np.load("inputs/train_images.npy")  # uint8 [N, H, W, 3], or float32 features [N, F]
train_labels = np.load("inputs/train_labels.npy")

if train.dtype == np.uint8:
    train = np.float32(train.transpose(0, 3, 1, 2)) / np.float32(255)
candidates = job["config"]["candidates"]
if 0 < candidates < len(train):
    kept = np.random.default_rng(job["seed"]).choice(len(train), candidates, replace=False)
    train, train_labels = train[kept], train_labels[kept]

epsilon = np.float32(job["config"]["epsilon"])
low, high = job["range"]
flat = train.reshape(len(train), -1)
outputs = clean.copy()
n_alone = 0
for item, picture in enumerate(clean):
    apart = train_labels.astype(np.int64) @ labels[item].astype(np.int64) == 0
    if not apart.any():
        n_alone += 1
        continue
    distances = np.square(flat[apart] - picture.reshape(1, -1)).sum(axis=1)
    towards = train[apart][distances.argmin()]
    outputs[item] = np.clip(picture + np.clip(towards - picture, -epsilon, epsilon), low, high)

np.save("outputs/inputs.npy", outputs)
with open("outputs/rows.json", "w", encoding="utf-8") as file:
    json.dump([{"metric": job["name"] + ":without_candidate", "value": n_alone, "unit": "count"}], file)
print(f"{len(clean)} pictures, {n_alone} without a training picture to move to")
