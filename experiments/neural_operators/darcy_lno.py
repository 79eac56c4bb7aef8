"""Darcy, low-rank neural operator. Claim: .0520, .0461, .0445 at 85, 141, 211 nodes an axis (JMLR 24(89), Darcy table).

`paper` has the released code's perceptrons and rank 1; `cpu` smaller perceptrons and rank 2, and is trained on 43 x 43 nodes.
"""

from _darcy import Preset, TrainConfig, data, main, named, row, smoke

ROW = row("LNO", named("LNO"), {
    "smoke": smoke(width=4, rank=1, depth=2, kernel=(8,), head_width=8),
    "cpu": Preset(data(10, tests=(10, 5, 3, 2)), TrainConfig(epochs=25, batch_size=20, learning_rate=1e-2, optimiser="muon"), (0,),
                  {"width": 24, "rank": 2, "depth": 4, "kernel": (32, 64)}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=10, learning_rate=2.5e-4), (0, 1, 2),
                    {"width": 32, "rank": 1, "depth": 4, "kernel": (64, 128, 256)}),
}, allowed={"cpu": 0.052})

if __name__ == "__main__":
    main(ROW)
