"""The nonlinear elliptic problem in 5 dimensions by its energy."""


