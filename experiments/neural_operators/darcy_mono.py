"""Darcy, mixture of neural operators: four FNOs, of which an input uses the one that the tree sends it to (arXiv 2404.09101, which has no
numbers). Best known: as of the other rows.
"""

from _darcy import Preset, TrainConfig, data, main, named, relative_h1, row, small, smoke

ROW = row("MoNO", named("MoNO"), {
    "smoke": smoke(modes=4, width=4, depth=1, branching=2, head_width=8),
    "cpu": Preset(small(), TrainConfig(epochs=100, batch_size=20, learning_rate=3e-3), (0,),
                  {"modes": 12, "width": 16, "depth": 4, "branching": 4, "levels": 1}),
    "paper": Preset(data(), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3), (0, 1, 2),
                    {"modes": 12, "width": 32, "depth": 4, "branching": 4, "levels": 1}),
}, objective=relative_h1, allowed={"cpu": 0.15}, reduced=("cpu",))

if __name__ == "__main__":
    main(ROW)
