"""The peer of `head_to_head.py`, run by the Python of its own environment: neuraloperator's FNO as in its Darcy example.

    python _head_to_head_peer.py DATA.npz EPOCHS SEED

DATA holds `x_train_16, y_train_16, x_test_16, ...`. Prints one JSON object as its last line. The example's network, optimiser, schedule,
loss, batch and normalisers; no worker process for data that fit in memory, and the faster of one thread and two.
"""

# pyright: reportMissingImports=false

import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from neuralop import H1Loss, LpLoss, Trainer
from neuralop.data.datasets.darcy import load_darcy_pt
from neuralop.models import FNO
from neuralop.training import AdamW

BATCH, RATE, DECAY, PERIOD = 64, 1e-2, 1e-4, 30


def network() -> FNO:
    return FNO(n_modes=(8, 8), in_channels=1, out_channels=1, hidden_channels=24, projection_channel_ratio=2)


def train(model: FNO, loaders: tuple, epochs: int) -> float:
    """Train; seconds."""
    training, _, processor = loaders
    optimiser = AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=PERIOD)
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        Trainer(model=model, n_epochs=epochs, device="cpu", data_processor=processor, wandb_log=False, eval_interval=epochs + 1).train(
            train_loader=training, test_loaders={}, optimizer=optimiser, scheduler=schedule, regularizer=False,
            training_loss=H1Loss(d=2), eval_losses={"l2": LpLoss(d=2, p=2)})
    return time.perf_counter() - began


def error(model: FNO, loader, processor) -> float:
    """Mean relative L2 over the test samples."""
    model.eval()
    processor.eval()
    loss, found = LpLoss(d=2, p=2), []
    with torch.no_grad():
        for sample in loader:
            sample = processor.preprocess(sample)
            out, sample = processor.postprocess(model(sample["x"]), sample)
            found += [loss(o[None], y[None]).item() for o, y in zip(out, sample["y"], strict=True)]
    return float(np.mean(found))


def main() -> None:
    data, epochs, seed = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for name in ("train_16", "test_16", "test_32"):
            torch.save({k: torch.from_numpy(data[f"{k}_{name}"]) for k in "xy"}, Path(folder) / f"darcy_{name}.pt")
        tests = [len(data[f"x_test_{n}"]) for n in (16, 32)]
        loaders = load_darcy_pt(len(data["x_train_16"]), tests, BATCH, [32, 32], data_root=folder, num_workers=0)
    seconds = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        model = network()
        train(model, loaders, 1)
        seconds[threads] = train(model, loaders, 1)
    torch.set_num_threads(min(seconds, key=seconds.__getitem__))
    torch.manual_seed(seed)
    model = network()
    spent = train(model, loaders, epochs)
    print(json.dumps({"seed": seed, **{f"error_{n}": error(model, loaders[1][n], loaders[2]) for n in (16, 32)}, "seconds": spent,
                      "parameters": sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())}))


if __name__ == "__main__":
    main()
