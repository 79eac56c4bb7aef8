"""Full disks, flipped bits and numbers that are not finite."""

import json
import shutil
from collections.abc import Iterator

from _cases import Bench, Case, Child, Ended, fill, flip_bit, newest_sound, small_disk  # pyright: ignore[reportMissingImports]

POISON = 5  # the sample of the training set that is not finite


def cases(bench: Bench) -> Iterator[Case]:
    yield full_disk_training(bench)
    yield full_disk_generation(bench)
    yield bit_in_checkpoint(bench)
    yield bit_in_bundle(bench)
    yield bit_in_data(bench)
    yield from not_finite(bench)
    yield from too_fast(bench)


def how_full(mounted: bool) -> str:
    return "a tmpfs" if mounted else "file sizes limited: no mount allowed"


def refusal(ended: Ended) -> tuple[str, bool]:
    """What was said when there was no room, and whether it is as it should be."""
    good = ended.code == 1 and ended.clear and "could not be written" in ended.last and "free disk space" in ended.last
    return ("one line, exit code 1" if good else f"exit code {ended.code}, {ended.last[:200]}"), good


def full_disk_training(bench: Bench) -> Case:
    case = Case("disk full at a checkpoint", "one clear line, exit code 1, the one before intact; resumed bit for bit with room again")
    disk = bench.folder / "disk"
    with small_disk(disk, 4) as mounted:
        for _ in range(bench.sizes.bits):
            child = bench.training("disk/run")
            fill(disk, child, mounted)
            said, good = refusal(child.wait())
            sound = newest_sound(disk / "run")
            case.saw(f"{how_full(mounted)}: {said}" + ("" if sound else ", no sound checkpoint"), good and sound)
            (disk / "ballast").unlink(missing_ok=True)
        bench.finish_training(case, "disk/run")
    return case


def full_disk_generation(bench: Bench) -> Case:
    case = Case("disk full at a data file", "one clear line, exit code 1, no file; the same bytes with room again")
    disk = bench.folder / "disk"
    with small_disk(disk, 64) as mounted:
        for i in range(bench.sizes.bits):
            child = bench.start(bench.generate("disk/set.h5")) if i == 1 else bench.generating("disk/set.h5")
            if i == 1:  # at the file itself, not at one of its parts
                child.until(lambda: len(list(disk.glob(".set.h5.parts/part-*"))) == bench.sizes.samples // 16)
            fill(disk, child, mounted)
            ended = child.wait()
            (disk / "ballast").unlink(missing_ok=True)
            if ended.code == 0 and bench.same_file("disk/set.h5"):  # it was faster
                (disk / "set.h5").unlink()
                continue
            said, good = refusal(ended)
            half = (disk / "set.h5").exists() and not bench.same_file("disk/set.h5")
            case.saw(f"{how_full(mounted)}: {said}" + (", a file half there" if half else ""), good and not half)
        bench.finish_file(case, "disk/set.h5")
    return case


def bit_in_checkpoint(bench: Bench) -> Case:
    case = Case("a bit flipped in the newest checkpoint", "said, the one before it used, in the end bit for bit the same")
    for _ in range(bench.sizes.bits):
        run = bench.folder / "flipped"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(bench.folder / "whole", run)
        newest = sorted((run / "checkpoints").iterdir())[-1]
        flip_bit(newest / bench.random.choice(["state.safetensors", "info.json", "SHA256SUMS"]), bench.random)
        ended = bench.run(bench.train("flipped"))
        told = "falling back to the one before it" in ended.error
        good = ended.code == 0 and told and bench.same_training("flipped")
        case.saw("said, the one before it used, bit-identical" if good else f"code {ended.code}, {ended.last[:200]}", good)
    return case


def bit_in_bundle(bench: Bench) -> Case:
    case = Case("a bit flipped in a bundle", "refused: exit code 1, one line")
    for file in ("model.safetensors", "config.json", "spec.json")[: bench.sizes.bits]:
        bundle = bench.folder / "flipped-bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(bench.folder / "whole" / "bundle", bundle)
        flip_bit(bundle / file, bench.random)
        ended = bench.run(["evaluate", str(bundle), str(bench.data)])
        good = ended.code == 1 and ended.clear and "does not match its sha256" in ended.last
        case.saw("refused" if good else f"code {ended.code}, {ended.last[:200]}", good)
    return case


def bit_in_data(bench: Bench) -> Case:
    case = Case("a bit flipped in a data file", "refused: exit code 1, one line; or, in bytes that nothing reads, the same content")
    whole = json.loads(bench.must(["inspect", str(bench.data), "--json"]).out)["data"]
    for _ in range(bench.sizes.bits):
        path = bench.folder / "flipped.h5"
        shutil.copy(bench.data, path)
        flip_bit(path, bench.random)
        ended = bench.run(["inspect", str(path), "--json"])
        refused = ended.code == 1 and ended.clear
        same = ended.code == 0 and json.loads(ended.out)["data"] == whole
        case.saw("refused" if refused else "in unread bytes, the same content" if same else f"code {ended.code}, {ended.last[:200]}",
                 refused or same)
    return case


def answered(child: Child) -> tuple[Ended, dict]:
    """A worker's end, and what it found if it says success."""
    ended = child.wait()
    return ended, json.loads(ended.out.strip().splitlines()[-1]) if ended.code == 0 else {}


def not_finite(bench: Bench) -> Iterator[Case]:
    """A sample that is NaN in a batch of every epoch, under each policy."""
    epochs = 6
    wanted = {
        "raise": ({"on_bad": "raise"}, "DivergedError (exit code 1) that names step and samples", "not finite at step"),
        "skip": ({"on_bad": "skip"}, f"ends with finite weights and figures, {epochs} updates dropped", None),
        "skip, max_bad 2": ({"on_bad": "skip", "max_bad": 2}, "DivergedError (exit code 1) after the third", "max_bad is 2"),
        "rollback": ({"on_bad": "rollback"}, "DivergedError (exit code 1) once eight roll-backs did not help", "not finite at step"),
    }
    for name, (how, expected, words) in wanted.items():
        case = Case(f"NaN in a batch, {name}", expected)
        ended, found = answered(bench.fit(f"bad-{name.replace(' ', '-').replace(',', '')}", epochs=epochs, poison=POISON, **how))
        if words is None:
            good = ended.code == 0 and found["finite"] and found["dropped"] == epochs
            case.saw(f"ended, {found.get('dropped')} dropped, {'finite' if found.get('finite') else 'not finite'}", good)
        else:
            good = ended.code == 1 and ended.clear and words in ended.last
            case.saw("exit code 1, said" if good else f"exit code {ended.code}, {ended.last[:200]}", good)
        yield case
    case = Case("NaN in every validation sample", "DivergedError (exit code 1): no weights were ever the best")
    ended, found = answered(bench.fit("bad-validation", epochs=2, poison_validation=True))
    good = ended.code == 1 and ended.clear and "validation" in ended.last
    case.saw("exit code 1, said" if good else f"exit code {ended.code}, {ended.last[:200]} {found}", good)
    yield case


def too_fast(bench: Bench) -> Iterator[Case]:
    """Learning rates far beyond reason: an error, or finite figures, never success with NaN."""
    for rate in ("1e3", "1e30"):
        for policy in ("raise", "skip", "rollback")[: bench.sizes.bits]:
            name = f"fast-{rate}-{policy}"
            case = Case(f"learning rate {rate}, {policy}", "an error (exit code 1), or success with finite figures")
            ended = bench.run([*bench.train(name), "--learning-rate", rate, "--on-bad", policy, "--epochs", "20", "--json"])
            if ended.code == 0:
                log = (bench.folder / name / "metrics.jsonl").read_text()
                good = "null" not in log and "NaN" not in ended.out and "Infinity" not in ended.out
                case.saw("success, finite" if good else "success that is not finite", good)
            else:
                good = ended.code == 1 and ended.clear and "finite" in ended.last
                case.saw("exit code 1, said" if good else f"exit code {ended.code}, {ended.last[:200]}", good)
            yield case
