"""Reference solvers against what others would run, in one go: Darcy, Navier-Stokes, and exponential steps.

- Darcy, 421 x 421, coefficient 12 / 3: conjugate gradients with multigrid against SciPy's sparse direct solution of the same system
  (the faster of two orderings). Errors: relative L2 against 40 iterations in float64; both float64 residuals are below 1e-10.
- Navier-Stokes, 128 x 128, T = 10: ETDRK4 against the public sets' scheme (Crank-Nicolson and Euler, dt = 1e-4) in this code base.
  Errors: relative L2 against quarter steps of ETDRK4 on the same grid.
- The published nu = 1e-3 set, T = 50, batch 20 (over a device a core, as `generate` does), 64 x 64 and 256 x 256: seconds per sample
  against the public scheme in torch, whose 500 000 steps are extrapolated from the cost of one.
- One step of order 4 against exponax's; KdV, whose symbol is imaginary, at orders 2 and 4: errors at equal steps.
- Ours alone: how time grows with nodes, batch and horizon.

Memory is the peak of the process so far, which all rows of ours share.

    python experiments/benchmarks/solvers.py [--json] [--quick] [--only SUBSTRING] [--peer-python PATH]
"""

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from pdesurr._runtime import device_per_core
from pdesurr.allocator import tune_allocator
from pdesurr.data.generation import side_by_side
from pdesurr.pdes import Darcy, KortewegDeVries, NavierStokes
from pdesurr.solvers import etdrk, repeated
from pdesurr.solvers.elliptic import diffusion, node_faces

LEGACY_DT, BATCH = 1e-4, 20
PEER = "torch, public scheme"


def darcy(rounds: int, wanted: Callable[[str], bool], _: str | None) -> list[dict]:
    rows = []
    n, pde = 421, Darcy()
    grid = pde.grid(n)
    with jax.enable_x64(True):
        a = np.asarray(pde.sample(jax.random.key(0), grid))
        faces = [np.asarray(f) for f in node_faces(jnp.asarray(a[..., 0]), (1 / (n - 1),) * 2)]
    truth = harness.in_precision(jax.jit(lambda a: pde.solve(a, grid, iterations=40)), a, "float64")
    truth = np.asarray(truth())[1:-1, 1:-1, 0]
    for precision, iterations in (("float64", 18), ("float32", 11)):
        work = f"Darcy 421 x 421, 12 / 3, {precision}"
        if not wanted(work):
            continue
        solve = harness.in_precision(jax.jit(lambda a, m=iterations: pde.solve(a, grid, iterations=m)), a, precision)
        runs: dict[Any, Callable] = {"ours": solve}
        solution = {"ours": np.asarray(solve(), np.float64)[1:-1, 1:-1, 0]}
        peer = scipy_direct(faces)
        if peer is not None:
            runs["scipy"], solution["scipy"] = peer, peer()
        seconds = harness.alternate(runs, rounds)
        for name, u in solution.items():
            if (precision == "float64" or name == "scipy") and residual(faces, u) > 1e-10:
                raise RuntimeError(f"{name}: residual {residual(faces, u)}")
        errors = {name: float(np.linalg.norm(u - truth) / np.linalg.norm(truth)) for name, u in solution.items()}
        rows.append(harness.row(work, seconds["ours"], "SciPy sparse direct, float64", seconds.get("scipy"), ours_error=errors["ours"],
                                peer_error=errors.get("scipy"), ours_mb=harness.peak_mb()))
    return rows


def residual(faces: list[np.ndarray], u: np.ndarray) -> float:
    with jax.enable_x64(True):
        r = np.asarray(diffusion([jnp.asarray(f) for f in faces])(jnp.asarray(u))) - 1.0
    return float(np.linalg.norm(r) / np.linalg.norm(np.ones_like(r)))


def scipy_direct(faces: list[np.ndarray]) -> Callable[[], np.ndarray] | None:
    """SuperLU's factorisation and solution by the faster of its orderings for symmetric patterns, the matrix ready made."""
    try:
        import scipy.sparse as sparse
        from scipy.sparse.linalg import splu
    except ImportError:
        return None
    down, across = faces
    n = across.shape[0]
    diagonal = down[:-1] + down[1:] + across[:, :-1] + across[:, 1:]
    east = np.concatenate([-across[:, 1:-1], np.zeros((n, 1))], axis=1).ravel()[:-1]
    south = -down[1:-1].ravel()
    matrix = sparse.diags([diagonal.ravel(), east, east, south, south], [0, 1, -1, n, -n], format="csc")  # pyright: ignore
    right = np.ones(n * n)

    def run(ordering: str) -> np.ndarray:
        options = {"SymmetricMode": True} if ordering == "MMD_AT_PLUS_A" else {}
        return splu(matrix, permc_spec=ordering, diag_pivot_thresh=0.0 if options else None, options=options).solve(right).reshape(n, n)

    trials = {ordering: harness.alternate({0: functools.partial(run, ordering)}, 2)[0] for ordering in ("MMD_AT_PLUS_A", "COLAMD")}
    return functools.partial(run, min(trials, key=trials.__getitem__))


def navier_stokes(rounds: int, wanted: Callable[[str], bool], _: str | None) -> list[dict]:
    rows = []
    for nu in (1e-3, 1e-4, 1e-5):
        work = f"Navier-Stokes 128 x 128, T = 10, nu = {nu:g}, float64"
        if not wanted(work):
            continue
        with jax.enable_x64(True):
            pde = NavierStokes(nu=nu, horizon=10.0, intervals=10)
            grid = pde.grid(128)
            a, dt = pde.sample(jax.random.key(0), grid), pde.step_size(grid)
            ours = jax.jit(lambda a, pde=pde, grid=grid, dt=dt: pde.evolve(a, grid, (10.0,), dt)[0])
            legacy = jax.jit(lambda a, pde=pde, grid=grid: pde.replay(a, grid, (10.0,), LEGACY_DT)[0])
            truth = pde.evolve(a, grid, (10.0,), dt / 4)[0]
            gap = lambda u, truth=truth: float(jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth))  # noqa: E731
            errors = {"ours": gap(ours(a)), "legacy": gap(legacy(a))}
            seconds = harness.alternate({"ours": functools.partial(ours, a), "legacy": functools.partial(legacy, a)}, max(1, rounds // 3))
        rows.append(harness.row(work, seconds["ours"], "Crank-Nicolson and Euler, dt = 1e-4, ours", seconds["legacy"],
                                ours_error=errors["ours"], peer_error=errors["legacy"], ours_mb=harness.peak_mb()))
    return rows


def published_set(rounds: int, wanted: Callable[[str], bool], python: str | None) -> list[dict]:
    rows = []
    for n in (64, 256):
        work = f"Navier-Stokes set, {n} x {n}, nu = 1e-3, T = 50, batch {BATCH}, float32"
        if not wanted(work):
            continue
        pde = NavierStokes()
        grid, times = pde.grid(n), pde.record_times[1:]
        a = jax.vmap(lambda k, pde=pde, grid=grid: pde.sample(k, grid))(jax.random.split(jax.random.key(0), BATCH))
        dt = pde.step_size(grid)
        evolve = lambda v, pde=pde, grid=grid, times=times, dt=dt: pde.evolve(v, grid, times, dt)  # noqa: E731
        share = lambda v, f=evolve, grid=grid: jax.lax.map(f, v, batch_size=side_by_side(grid))  # noqa: E731
        solve = jax.jit(jax.shard_map(share, mesh=Mesh(jax.devices(), ("data",)), in_specs=P("data"), out_specs=P("data"), check_vma=False))
        u = np.asarray(solve(a))
        with jax.enable_x64(True):
            reference = jax.jit(lambda v, pde=pde, grid=grid, dt=dt: pde.evolve(v, grid, (10.0,), dt / 4)[0])
            truth = np.asarray(reference(jnp.asarray(np.asarray(a[0]), jnp.float64)))
        error = float(np.linalg.norm(u[0, 9] - truth) / np.linalg.norm(truth))
        ours = harness.alternate({"ours": functools.partial(solve, a)}, max(1, rounds // 3))["ours"] / BATCH
        if python is None:
            rows.append(harness.row(work, ours, ours_error=error, ours_mb=harness.peak_mb()))
            continue
        script = str(Path(__file__).resolve().with_name("_solvers_peer.py"))
        with harness.Worker([python, script], harness.ALLOCATOR) as peer:
            peer.ask(do="build", n=n, batch=BATCH, start=np.asarray(a[..., 0]).tolist() if n == 64 else None)
            step = min(peer.ask(do="steps", count=20, threads=t)["seconds"] for t in (1, 2) for _ in range(2)) / 20
            gap = None
            if n == 64:
                with jax.enable_x64(True):
                    replayed = pde.replay(jnp.asarray(np.asarray(a[0]), jnp.float64), grid, (0.01,))[0]
                gap = peer.ask(do="compare", count=100, expected=np.asarray(replayed[..., 0]).tolist())["difference"]
                if gap > 1e-3:
                    raise RuntimeError(f"the peer's scheme is not ours: {gap}")
            rows.append(harness.row(work, ours, PEER, step * 50 / LEGACY_DT / BATCH, ours_error=error, ours_mb=harness.peak_mb(),
                                    peer_mb=peer.ask(do="memory")["mb"]))
    return rows


def exponax_steps(rounds: int, wanted: Callable[[str], bool], _: str | None) -> list[dict]:
    """A step of order 4; 50 in one compiled call. exponax's vorticity has the opposite sign, so it is given -w and no forcing."""
    try:
        import exponax
    except ImportError:
        return []
    rows, count = [], 50
    for n in (64, 128, 256):
        work = f"one ETDRK4 step, Navier-Stokes {n} x {n}, float32"
        if not wanted(work):
            continue
        pde, dt = NavierStokes(nu=1e-3, forcing=0.0), 1e-3
        grid = pde.grid(n)
        a = pde.sample(jax.random.key(0), grid)
        ours = jax.jit(lambda a, pde=pde, grid=grid, dt=dt: pde.evolve(a, grid, (count * dt,), dt)[0])
        theirs = jax.jit(exponax.repeat(exponax.stepper.NavierStokesVorticity(2, 1.0, n, dt, diffusivity=1e-3, order=4), count))
        minus = -jnp.moveaxis(a, -1, 0)
        gap = float(jnp.linalg.norm(ours(a)[..., 0] + theirs(minus)[0]) / jnp.linalg.norm(ours(a)))
        if gap > 1e-3:
            raise RuntimeError(f"not the same equation: {gap}")
        seconds = harness.alternate({"ours": functools.partial(ours, a), "exponax": functools.partial(theirs, minus)}, rounds)
        rows.append(harness.row(work, seconds["ours"] / count, "exponax", seconds["exponax"] / count, ours_mb=harness.peak_mb()))
    with jax.enable_x64(True):
        pde = KortewegDeVries(delta=0.5, length=30.0)
        grid, steps, horizon = pde.grid(192), 64, 0.5
        a = soliton(grid.nodes, 0.0)[..., None][:, 0]
        truth = soliton(grid.nodes, horizon)[:, 0]
        for order in (2, 4):
            work = f"KdV soliton, order {order}, {steps} steps, float64"
            if not wanted(work):
                continue
            equation = pde.semilinear(grid)
            ours = jax.jit(lambda a, o=order, e=equation: grid.inverse(repeated(etdrk(e, horizon / steps, o), steps)(grid.transform(a))))
            # exponax's KdV: u_t + b u u_x + a_3 u_xxx = 0 with hyper-viscosity off
            stepper = exponax.stepper.KortewegDeVries(1, pde.length, 192, horizon / steps, convection_scale=1.0, dispersivity=0.5**2,
                                                      hyper_diffusivity=0.0, single_channel=True, order=order)
            theirs = jax.jit(exponax.repeat(stepper, steps))
            start = jnp.asarray(a[..., 0])
            errors = [float(np.abs(np.asarray(u) - truth).max()) for u in (ours(start), theirs(start[None])[0])]
            seconds = harness.alternate({"ours": functools.partial(ours, start), "exponax": functools.partial(theirs, start[None])}, rounds)
            rows.append(harness.row(work, seconds["ours"], "exponax", seconds["exponax"], ours_error=errors[0], peer_error=errors[1],
                                    ours_mb=harness.peak_mb()))
    return rows


def soliton(x: np.ndarray, t: float, c: float = 0.6, delta: float = 0.5, length: float = 30.0) -> np.ndarray:
    y = np.mod(x - c * t - 12.0 + length / 2, length) - length / 2
    return 3 * c / np.cosh(c**0.5 * y / (2 * delta)) ** 2


def growth(rounds: int, wanted: Callable[[str], bool], _: str | None) -> list[dict]:
    """Seconds of one call, ours alone, as one of nodes, batch and horizon varies."""
    rows = []
    cases = [(n, 1, 1.0) for n in (32, 64, 128, 256)] + [(64, b, 1.0) for b in (4, 16, 64)] + [(64, 1, t) for t in (4.0, 16.0)]
    for n, batch, horizon in cases:
        work = f"growth: Navier-Stokes {n} x {n}, batch {batch}, T = {horizon:g}"
        if not wanted(work):
            continue
        pde = NavierStokes(horizon=horizon, intervals=1, history=1)
        grid = pde.grid(n)
        a = jax.vmap(lambda k, pde=pde, grid=grid: pde.sample(k, grid))(jax.random.split(jax.random.key(0), batch))
        run = jax.jit(jax.vmap(lambda v, pde=pde, grid=grid, t=horizon: pde.evolve(v, grid, (t,), 0.025)[0]))
        run(a)
        rows.append(harness.row(work, harness.alternate({"ours": functools.partial(run, a)}, rounds)["ours"], ours_mb=harness.peak_mb()))
    for n in (85, 141, 211, 421):
        work = f"growth: Darcy {n} x {n}, float64"
        if not wanted(work):
            continue
        with jax.enable_x64(True):
            pde = Darcy()
            grid = pde.grid(n)
            a = np.asarray(pde.sample(jax.random.key(0), grid))
        run = harness.in_precision(jax.jit(lambda a, pde=pde, grid=grid: pde.solve(a, grid)), a, "float64")
        rows.append(harness.row(work, harness.alternate({"ours": run}, rounds)["ours"], ours_mb=harness.peak_mb()))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    device_per_core(2)
    python, rounds = harness.peer_python(options.peer_python), 3 if options.quick else 9
    rows: list[dict] = []
    for part in (darcy, exponax_steps, navier_stokes, published_set, growth):
        found = part(rounds, lambda work: options.only in work, python)
        for r in found:
            print(f"{r['work']}: {r['ours_s']:.3g} s, ratio {r['ratio']}", file=sys.stderr, flush=True)
        rows += found
    harness.finish("solvers", rows, options.json)


if __name__ == "__main__":
    main()
