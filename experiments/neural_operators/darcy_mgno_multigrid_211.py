"""Darcy, MgNO at 211 nodes an axis, where its authors give .00176 (their split). Aim: half of FNO's error at that resolution.
The `cpu` preset trains on 106 nodes first, then goes on with the refined network (`MgNO.refined`), two hours a seed on one slow core;
`paper` is the published setting. Answers are means over the square's eight images; the errors of one image are kept beside them.
"""

from _darcy import Preset, TrainConfig, data, main, relative_h1, row, smoke
from darcy_mgno_multigrid import network


def config(epochs, rate):
    return TrainConfig(epochs=epochs, batch_size=4, learning_rate=rate, ema_decay=0.995, optimiser="muon")


ROW = row("MgNO, fine grid", network, {
    "smoke": smoke(first=(6, TrainConfig(epochs=2, batch_size=8)), width=6, depth=2),
    "cpu": Preset(data(2, tests=(2,)), config(24, 1.5e-3), (0,), {"width": 16, "depth": 4}, first=(4, config(24, 4e-3))),
    "paper": Preset(data(2, tests=(2,)), TrainConfig(epochs=500, batch_size=8, learning_rate=5e-4), (0, 1, 2)),
}, objective=relative_h1, symmetrised="square", best_known={"211x211": 0.00176}, allowed={"cpu": 0.0024})

if __name__ == "__main__":
    main(ROW)
