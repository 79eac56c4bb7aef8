"""Navier-Stokes at nu = 2e-3 with the forcing of Li et al. to t = 50, neural spectral method."""

from _navier_stokes import main, row

ROW = row("Navier-Stokes forced, t = 50, NSM", 2e-3, horizon=50.0, forcing=0.1, time=18, paper_time=18, depth=5)

if __name__ == "__main__":
    main(ROW)
