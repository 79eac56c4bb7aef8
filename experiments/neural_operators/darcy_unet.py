"""Darcy, U-Net. Claim: .0080 at 85 nodes an axis (Wu et al., ICML 2023, LSM's table).

Its stencils are counted in nodes, so a trained one holds at one resolution.
"""

from _darcy import Preset, TrainConfig, data, main, named, relative_h1, row, small, smoke

ROW = row("U-Net", named("UNet"), {
    "smoke": smoke(width=4, levels=2, groups=2),
    "cpu": Preset(small(tests=(2,)), TrainConfig(epochs=50, batch_size=20, learning_rate=2e-3), (0,), {"width": 8, "levels": 4}),
    "paper": Preset(data(tests=(5,)), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2), {"width": 32, "levels": 4}),
}, objective=relative_h1, allowed={"cpu": 0.15}, reduced=("cpu",))

if __name__ == "__main__":
    main(ROW)
