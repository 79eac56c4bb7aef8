"""Navier-Stokes at nu = 1e-4 to t = 3, neural spectral method."""

from _navier_stokes import main, row

ROW = row("Navier-Stokes nu = 1e-4, NSM", 1e-4)

if __name__ == "__main__":
    main(ROW)
