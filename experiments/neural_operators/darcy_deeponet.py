"""Darcy, DeepONet. Claim: .0476 at 85 nodes an axis (JMLR 24(89), Darcy table; .0462-.0487 up to 421, by one training each).

The sensors are the 85 x 85 nodes of training: a row of one resolution. The trunk sees cosine and sine of half a period a side.
"""

from _darcy import Preset, TrainConfig, data, main, named, row, smoke

ROW = row("DeepONet", named("DeepONet"), {
    "smoke": smoke(width=16, depth=2, basis=8),
    "cpu": Preset(data(tests=(5,)), TrainConfig(epochs=60, batch_size=20, learning_rate=4e-3, optimiser="muon"), (0, 1, 2),
                  {"width": 128, "depth": 3, "basis": 64}),
    "paper": Preset(data(tests=(5,)), TrainConfig(epochs=2000, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"width": 256, "depth": 4, "basis": 128}),
}, allowed={"cpu": 0.0476})

if __name__ == "__main__":
    main(ROW)
