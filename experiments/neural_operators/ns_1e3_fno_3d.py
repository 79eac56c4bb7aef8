"""Navier-Stokes, nu = 1e-3, FNO in space and time. Claim: 0.0086 at 64 x 64 (Li et al., ICLR 2021; 1000 samples, to t = 50).

All later records at once, time a third axis. `cpu` is the small form of `_navier_stokes.py`.
"""

from _navier_stokes import SHORT, Preset, TrainConfig, main, paper, row, short, smoke

from pdesurr.models import FNO, SpaceTime


def network(train, key, modes=8, time_modes=8, width=20, head_width=128):
    inner = FNO(train.inputs.shape[-1], 1, (modes, modes, time_modes), width, coordinates=(True,) * 3, head_width=head_width, key=key)
    return SpaceTime(inner, train.outputs.shape[-1])


ROW = row("1e-3 FNO-3D", network, {
    "smoke": smoke(modes=4, time_modes=2, width=4, head_width=8),
    "cpu": Preset(short("1e-3"), SHORT, size={"time_modes": 4}),
    "paper": Preset(paper("1e-3"), TrainConfig(epochs=500, batch_size=10, learning_rate=1e-3), (0, 1, 2)),
}, {"64x64": 0.0086}, allowed={"cpu": 0.05})

if __name__ == "__main__":
    main(ROW)
