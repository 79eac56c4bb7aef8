"""Darcy, factorised FNO. Claim: .0077 at 85 nodes an axis (as in the table of Wu et al., ICML 2024; the model: Tran et al., ICLR 2023).

Each layer transforms one axis at a time, with the same spectral weights in all layers.
"""

from _darcy import Preset, TrainConfig, data, main, named, relative_h1, row, small, smoke

ROW = row("F-FNO", named("FFNO"), {
    "smoke": smoke(modes=4, width=4, depth=2, head_width=8),
    "cpu": Preset(small(), TrainConfig(epochs=80, batch_size=20, learning_rate=2.5e-3), (0,), {"modes": 16, "width": 24, "depth": 4}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=2.5e-3), (0, 1, 2),
                    {"modes": 16, "width": 64, "depth": 24}),
}, objective=relative_h1, allowed={"cpu": 0.1}, reduced=("cpu",))

if __name__ == "__main__":
    main(ROW)
