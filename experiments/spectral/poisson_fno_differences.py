"""Poisson, periodic, FNO and a finite-difference residual on 64 nodes an axis. Claim: 4.24 % (Du et al., ICLR 2024, "FNO + PINN", 64)."""

from _poisson import Preset, differences, fno, main, row

ROW = row("Poisson periodic, FNO by differences, 64", fno, differences, {
    "smoke": Preset(16, 6, batch=2, size={"modes": 4, "width": 8, "depth": 1}, seeds=(0,), tests=(4, 4)),
    "cpu": Preset(64, 2000, 3e-3, seeds=(0, 1, 2)),
    "paper": Preset(64, 30_000, size={"modes": 16, "width": 64}),
}, published=4.24e-2, must=4.24e-2)

if __name__ == "__main__":
    main(ROW)
