"""Darcy, Transolver. Claim: .0057 at 85 nodes an axis (Wu et al., ICML 2024, standard benchmarks).

Attention among slices. `paper` has the published sizes and convolutions, which bind it to one resolution (but x itself for the
position, where the paper has distances to a reference grid); `cpu` is without convolutions.
"""

from _darcy import Preset, TrainConfig, data, main, named, relative_h1, row, small, smoke

ROW = row("Transolver", named("Transolver"), {
    "smoke": smoke(width=8, depth=1, heads=2, slices=4),
    "cpu": Preset(small(), TrainConfig(epochs=40, batch_size=10, learning_rate=1e-3), (0,),
                  {"width": 32, "depth": 3, "heads": 4, "slices": 32}),
    "paper": Preset(data(tests=(5,)), TrainConfig(epochs=500, batch_size=4, learning_rate=1e-3, weight_decay=1e-5), (0, 1, 2),
                    {"width": 128, "depth": 8, "heads": 8, "slices": 64, "convolved": True}),
}, objective=relative_h1, allowed={"cpu": 0.15}, reduced=("cpu",))

if __name__ == "__main__":
    main(ROW)
