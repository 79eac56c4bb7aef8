"""Darcy, DeepONet. Claim: .0476, .0479, .0462, .0487 at 85 ... 421 nodes an axis (JMLR 24(89), Darcy table, there by one training each).

The sensors are the 85 x 85 nodes of training; a finer coefficient is read there, linear between its nodes (421 has them among its own).
The trunk sees cosine and sine of half a period a side.
"""

from _darcy import Preset, TrainConfig, data, main, named, row, smoke

ROW = row("DeepONet", named("DeepONet"), {
    "smoke": smoke(width=16, depth=2, basis=8),
    "cpu": Preset(data(), TrainConfig(epochs=60, batch_size=20, learning_rate=4e-3, optimiser="muon"), (0, 1, 2),
                  {"width": 128, "depth": 3, "basis": 64}),
    "paper": Preset(data(), TrainConfig(epochs=2000, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"width": 256, "depth": 4, "basis": 128}),
}, allowed={"cpu": 0.0476})

if __name__ == "__main__":
    main(ROW)
