"""Kernels of normalisation: `(x - mean) * rstd * weight + bias` and its derivative, while a row is in the cache.

Two layouts. Rows (layer and RMS norm): mean and deviation of `n` neighbours, a weight for each of them. Groups (batch,
group and instance norm): x is (O, A, K, J, M), and what one mean runs over is A, J and M, the weights are (K, J):

    batch norm of (N, C, ...)        O = 1, A = N, K = C, J = 1
    instance norm of (N, C, ...)     O = N, A = 1, K = C, J = 1
    group norm of (N, G * J, ...)    O = N, A = 1, K = G

With d = x - mean, n elements and h = weight * g, the derivative is `rstd (h - mean(h) - d rstd^2 mean(h d))`.

Invariant: variances are sums of squared differences from the mean, never differences of squares, which cancel.
"""

from __future__ import annotations

from .routine import Routine, least, part_of
from .rows import Piece, Sums, over_rows, sweep
from .vectors import Value

# ---- rows ------------------------------------------------------------------------------------------------------------


def normalize_rows(real: str, lanes: int, centred: bool, weighted: bool, biased: bool) -> list[Routine]:
    """x (n), [weight (n)], [bias (n)], eps () -> out (n), [mean ()], rstd ()."""
    names = ["x", *["weight"] * weighted, *["bias"] * biased, "eps", "out", *["mean"] * centred, "rstd"]
    r = Routine("row", {**dict.fromkeys(names, "ptr"), "n": "i64"}, lanes)
    p = dict(zip(r.parameters, r.arguments))
    n, zero = p["n"], r.lift(0.0, real)
    share = 1 / n.to(real)
    mean = None
    if centred:
        one = sweep(r, n, lambda piece, s: s + piece.load(p["x"], real), [zero])[0] * share
        r.store(one, p["mean"])
        mean = r.splat(one)

    def distance(piece: Piece) -> Value:
        x = piece.load(p["x"], real)
        return x if mean is None else x - mean

    def square(piece: Piece, s: Value) -> Value:
        d = distance(piece)
        return d.fma(d, s)

    (squares,) = sweep(r, n, square, [zero])
    rstd = 1 / (squares * share + r.load(p["eps"], real, 0)).sqrt()
    r.store(rstd, p["rstd"])
    factor = r.splat(rstd)

    def result(piece: Piece) -> None:
        y = distance(piece) * factor
        y = y * piece.load(p["weight"], real) if weighted else y
        piece.store(y + piece.load(p["bias"], real) if biased else y, p["out"])

    sweep(r, n, result, unroll=2)
    operands = {"x": "n", "weight": "s", "bias": "s", "eps": "1", "out": "n", "mean": "1", "rstd": "1"}
    return over_rows(r, "".join(operands[name] for name in names), "normalize_rows")


def normalize_rows_backward(real: str, lanes: int, centred: bool, weighted: bool) -> list[Routine]:
    """g (r,n), x (r,n), [weight (n)], [mean (r)], rstd (r), space (p,2,n) -> dx (r,n), and of weight and bias (n).

    The sums over rows are formed in p parts, in `space`, and these put together one after the other. Without a weight
    there are neither sums nor results for them, and `space` is (p).
    """
    names = ["g", "x", *["weight"] * weighted, *["mean"] * centred, "rstd", "space", "dx", *["dw", "db"] * weighted]
    row = _row_backward(real, lanes, centred, weighted)
    pointers = {name: "ptr" for name in names if name not in ("dw", "db")}
    part = part_of("rows", {**pointers, **dict.fromkeys(("sg", "sx", "n", "rows", "each"), "i64")}, lanes)
    p = dict(zip(part.parameters, part.arguments))
    n, k = p["n"], p["part"]
    sums = [part.at(p["space"], (k * 2 + half) * n, real) for half in (0, 1)] if weighted else []
    if weighted:
        sweep(part, n * 2, lambda piece: piece.store(part.lift(0.0, real), sums[0]), unroll=1)
    with part.loop(k * p["each"], least(k * p["each"] + p["each"], p["rows"])) as i:
        numbers = [part.load(part.at(p[name], i, real), real, 0) for name in (*["mean"] * centred, "rstd")]
        part.invoke(
            row,
            part.bytes_on(p["g"], i * p["sg"]),
            part.bytes_on(p["x"], i * p["sx"]),
            *[p[name] for name in ("weight",) if weighted],
            *numbers,
            part.at(p["dx"], i * n, real),
            *sums,
            n,
        )
    main = Routine("normalize_rows_backward", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, lanes)
    args, dims, steps = main.arguments
    at = {name: main.load(main.at(args, j, "ptr"), "ptr", 0) for j, name in enumerate(names)}
    rows, n, parts = (main.load(main.at(dims, j, "i64"), "i64", 0) for j in (1, 2, 3))
    sg, sx = (main.load(main.at(steps, len(names) + j, "i64"), "i64", 0) for j in (0, 2))
    given = [at[name] for name in pointers]
    main.parallel(part, parts, *given, sg, sx, n, rows, (rows + parts - 1) // parts)
    for half, name in enumerate(("dw", "db") if weighted else ()):
        first = main.at(at["space"], n * half, real)
        sweep(main, n, lambda piece, f=first, o=at[name]: piece.store(piece.load(f, real), o), unroll=1)
        with main.loop(1, parts) as j:
            more = main.at(first, j * n * 2, real)
            sweep(
                main,
                n,
                lambda piece, m=more, o=at[name]: piece.store(piece.load(o, real) + piece.load(m, real), o),
                unroll=1,
            )
    return [main, part, row]


def _row_backward(real: str, lanes: int, centred: bool, weighted: bool) -> Routine:
    """One row: dx, and what it adds to the sums over rows."""
    pointers = dict.fromkeys(("g", "x", *(["weight"] * weighted)), "ptr")
    numbers = dict.fromkeys((*(["mean"] * centred), "rstd"), real)
    results = dict.fromkeys(("dx", *(["dw", "db"] * weighted)), "ptr")
    r = Routine("row", {**pointers, **numbers, **results, "n": "i64"}, lanes)
    p = dict(zip(r.parameters, r.arguments))
    n, zero = p["n"], r.lift(0.0, real)
    rstd = r.splat(p["rstd"])
    mean = r.splat(p["mean"]) if centred else None

    def parts(piece: Piece) -> tuple[Value, Value, Value]:
        """g, weight * g, and the normalised x."""
        g, x = piece.load(p["g"], real), piece.load(p["x"], real)
        normed = (x if mean is None else x - mean) * rstd
        return g, g * piece.load(p["weight"], real) if weighted else g, normed

    def products(piece: Piece, *sums: Value) -> tuple[Value, ...]:
        _, h, normed = parts(piece)
        return (h.fma(normed, sums[0]), *(s + h for s in sums[1:]))

    dot, *total = sweep(r, n, products, [zero] * (1 + centred))
    share = 1 / n.to(real)
    slope = r.splat(dot * share)
    level = r.splat(total[0] * share) if centred else None

    def results_of(piece: Piece) -> None:
        g, h, normed = parts(piece)
        rest = h - normed * slope
        piece.store((rest if level is None else rest - level) * rstd, p["dx"])
        if weighted:
            piece.store(g.fma(normed, piece.load(p["dw"], real)), p["dw"])
            piece.store(piece.load(p["db"], real) + g, p["db"])

    sweep(r, n, results_of, unroll=2)
    return r


# ---- groups ----------------------------------------------------------------------------------------------------------


class _Group:
    """The part of a groups kernel that does group number `part` of O * K; addresses of its pieces.

    Args:
        names: of the operands in order; x, g, out and dx are (a,k,j,m) in one piece, the others as `shapes` says.
    """

    def __init__(self, names: list[str], real: str, lanes: int):
        self.real = real
        sizes = dict.fromkeys(("a", "k", "j", "m"), "i64")
        self.routine = part_of("group", {**dict.fromkeys(names, "ptr"), **sizes}, lanes)
        self.p = dict(zip(self.routine.parameters, self.routine.arguments))
        self.a, self.k, self.j, self.m, self.part = (self.p[s] for s in ("a", "k", "j", "m", "part"))
        self.outer, self.inner = self.part // self.k, self.part % self.k
        self.chunk = self.j * self.m  # side by side for one a
        self.count = self.a * self.chunk
        self.start = (self.outer * self.a * self.k + self.inner) * self.chunk

    def number(self, name: str) -> Value:
        """Where the group's own number is, in (O, K)."""
        return self.routine.at(self.p[name], self.part, self.real)

    def weight(self, name: str, j: Value) -> Value:
        """The weight of its channel `j`."""
        r = self.routine
        return r.load(r.at(self.p[name], self.inner * self.j + j, self.real), self.real, 0)

    def at(self, name: str, a: Value, j: Value) -> Value:
        """Where the M neighbours of `a` and `j` begin."""
        return self.routine.at(self.p[name], self.start + a * self.k * self.chunk + j * self.m, self.real)

    def all(self, name: str, a: Value) -> Value:
        """Where the J * M neighbours of `a` begin."""
        return self.at(name, a, self.routine.lift_one(0))


def _over_groups(group: _Group, names: list[str], name: str) -> list[Routine]:
    """The generalised ufunc around it; operand 0 is (a,k,j,m)."""
    main = Routine(name, {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, _ = main.arguments
    pointers = [main.load(main.at(args, i, "ptr"), "ptr") for i in range(len(names))]
    outer, a, k, j, m = (main.load(main.at(dims, i, "i64"), "i64") for i in range(5))
    main.parallel(group.routine, outer * k, *pointers, a, k, j, m)
    return [main, group.routine]


def normalize_groups(real: str, lanes: int, affine: bool, frozen: bool) -> list[Routine]:
    """x (a,k,j,m), [weight (k,j), bias (k,j)], eps () -> out (a,k,j,m), mean (k), var (k), rstd (k).

    With `frozen`, mean and rstd (k) are operands in the place of eps, and out is the only result.
    """
    names = [
        "x",
        *["weight", "bias"] * affine,
        *(["mean", "rstd", "out"] if frozen else ["eps", "out", "mean", "var", "rstd"]),
    ]
    group = _Group(names, real, lanes)
    r, p = group.routine, group.p
    if frozen:
        mean, rstd = (r.load(r.at(p[name], group.inner, real), real, 0) for name in ("mean", "rstd"))
    else:
        mean, rstd = _moments(group)
    centre = r.splat(mean)
    with r.loop(0, group.j) as j:
        slope = r.splat(rstd * group.weight("weight", j) if affine else rstd)
        level = r.splat(group.weight("bias", j)) if affine else None
        with r.loop(0, group.a) as a:
            x, out = group.at("x", a, j), group.at("out", a, j)

            def result(piece: Piece) -> None:
                d = piece.load(x, real) - centre
                piece.store(d * slope if level is None else d.fma(slope, level), out)

            sweep(r, group.m, result, unroll=2)
    return _over_groups(group, names, "normalize_groups")


def _moments(group: _Group) -> tuple[Value, Value]:
    """Mean and 1 / standard deviation of a group, which are stored, with the variance."""
    r, p, real = group.routine, group.p, group.real
    share = 1 / group.count.to(real)
    total = Sums(r, [r.lift(0.0, real)])
    with r.loop(0, group.a) as a:
        x = group.all("x", a)
        total.sweep(group.chunk, lambda piece, s: s + piece.load(x, real))
    mean = total.totals()[0] * share
    centre = r.splat(mean)
    squares = Sums(r, [r.lift(0.0, real)])

    def square(piece: Piece, s: Value) -> Value:
        d = piece.load(x, real) - centre
        return d.fma(d, s)

    with r.loop(0, group.a) as a:
        x = group.all("x", a)
        squares.sweep(group.chunk, square)
    var = squares.totals()[0] * share
    rstd = 1 / (var + r.load(p["eps"], real, 0)).sqrt()
    for name, value in (("mean", mean), ("var", var), ("rstd", rstd)):
        r.store(value, group.number(name))
    return mean, rstd


def normalize_groups_backward(real: str, lanes: int, affine: bool, frozen: bool) -> list[Routine]:
    """g (a,k,j,m), x (a,k,j,m), [weight (k,j)], mean (k), rstd (k) -> dx (a,k,j,m), of weight (k,j), of bias (k,j).

    The last two are there with and without a weight. With `frozen`, mean and rstd are constants.
    """
    names = ["g", "x", *["weight"] * affine, "mean", "rstd", "dx", "dw", "db"]
    group = _Group(names, real, lanes)
    r, p = group.routine, group.p
    mean, rstd = (
        r.load(r.at(p[name], group.inner, real) if frozen else group.number(name), real, 0) for name in ("mean", "rstd")
    )
    centre, zero = r.splat(mean), r.lift_one(0.0, real)
    dot, total = r.variable(zero), r.variable(zero)  # of weight * g * d, and of weight * g
    with r.loop(0, group.j) as j:
        sums = Sums(r, [r.lift(0.0, real)] * 2)
        with r.loop(0, group.a) as a:
            g, x = group.at("g", a, j), group.at("x", a, j)

            def products(piece: Piece, s: Value, t: Value) -> tuple[Value, Value]:
                v = piece.load(g, real)
                return v.fma(piece.load(x, real) - centre, s), t + v

            sums.sweep(group.m, products)
        one, two = sums.totals()
        place = group.part * group.j + j
        r.store(one * rstd, r.at(p["dw"], place, real))
        r.store(two, r.at(p["db"], place, real))
        w = group.weight("weight", j) if affine else None
        dot.value = dot.value + (one if w is None else one * w)
        total.value = total.value + (two if w is None else two * w)
    share = 1 / group.count.to(real)
    slope = r.splat(zero if frozen else dot.value * share * rstd * rstd * rstd)
    level = r.splat(zero if frozen else total.value * share * rstd)
    with r.loop(0, group.j) as j:
        factor = r.splat(group.weight("weight", j) * rstd if affine else rstd)
        with r.loop(0, group.a) as a:
            g, x, dx = (group.at(name, a, j) for name in ("g", "x", "dx"))

            def result(piece: Piece) -> None:
                h = piece.load(g, real) * factor
                if not frozen:
                    h = h - (piece.load(x, real) - centre).fma(slope, level)
                piece.store(h, dx)

            sweep(r, group.m, result, unroll=2)
    return _over_groups(group, names, "normalize_groups_backward")
