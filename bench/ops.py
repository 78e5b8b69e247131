"""Every operation beside PyTorch: forward, and forward with backward, interleaved in one process.

    python bench/ops.py                             about a million elements (matrices: comparable work), one thread
    python bench/ops.py --size 1000 --only softmax  other sizes, some operations
    python bench/ops.py --worst 20                  only the table of the slowest ones

A case is an expression of the library `T`, its functional module `F` and ready inputs (`INPUTS`). Both sides get the
same numbers; the results must agree (where they do not, PyTorch in double precision decides). Printed are the median
times and the ratio ours / torch: below 1 is faster than PyTorch. With one thread the times are those of the processor,
so that other programs hardly count; without generated kernels: TAPEGRAD_FAST=0. Registered operations that no case
reaches are listed at the end. The exit code is 1 if a result disagrees.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import libraries, options

# ---- what is measured: a name, and after the colon the call (without one: the name of a function of x) -------------

UNARY = (
    "abs neg square sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh "
    "tanh asinh atanh sigmoid logit erf erfc erfinv lgamma digamma floor ceil trunc round frac sign sgn sinc relu "
    "deg2rad i0 isnan isfinite logical_not nan_to_num signbit special.i0e special.i1 special.i1e special.entr "
    "special.ndtr special.ndtri special.log_ndtr special.erfcx positive isinf rad2deg"
)
ACTIVATIONS = (
    "relu6 elu celu selu silu gelu mish softplus softsign hardtanh hardsigmoid hardswish leaky_relu logsigmoid "
    "hardshrink softshrink tanhshrink threshold:F.threshold(s, 0.1, 0.5) prelu:F.prelu(s, w1) glu:F.glu(s) "
    "gelu_tanh:F.gelu(s, approximate='tanh') softmin:F.softmin(m, 1) rrelu:F.rrelu(s)"
)
REDUCTIONS = (
    "sum mean prod amax amin std var argmax argmin median all any norm logsumexp:T.logsumexp(m, 1) count_nonzero "
    "nansum nanmean cumsum:T.cumsum(m, 1) cumprod:T.cumprod(m, 1) cummax:T.cummax(m, 1)[0] cummin:T.cummin(m, 1)[0] "
    "logcumsumexp:T.logcumsumexp(m, 1) aminmax:T.aminmax(x)[0] max:T.max(x) min:T.min(x)"
)
CASES = """
add: x + y | sub: x - y | mul: x * y | div: x / y | add_number: x + 2.5 | mul_row: m * row | add_column: m + column
pow2: x ** 2 | pow3: x ** 3 | pow: T.pow(x, y) | pow_half: x ** 0.5 | pow_frac: x ** 1.7 | rpow: 2.0 ** x
maximum: T.maximum(x, y) | minimum: T.minimum(x, y) | fmax: T.fmax(x, y) | fmin: T.fmin(x, y)
clamp: T.clamp(x, 0.2, 0.8) | clamp_min: T.clamp_min(x, 0.2) | clamp_max: T.clamp_max(x, 0.7)
atan2: T.atan2(x, y) | hypot: T.hypot(x, y) | copysign: T.copysign(x, y) | fmod: T.fmod(x, y) | heaviside: T.heaviside(x, y)
remainder: T.remainder(x, y) | floor_divide: T.floor_divide(x, y) | div_trunc: T.div(x, y, rounding_mode='trunc')
xlogy: T.xlogy(x, y) | logaddexp: T.logaddexp(x, y) | logaddexp2: T.logaddexp2(x, y) | nextafter: T.nextafter(x, y)
lerp: T.lerp(x, y, 0.3) | lerp_tensor: T.lerp(x, y, z) | addcmul: T.addcmul(x, y, z) | addcdiv: T.addcdiv(x, y, z)
ldexp: T.ldexp(x, i) | float_power: T.float_power(x, 2) | igamma: T.igamma(x.detach(), y) | polygamma: T.polygamma(2, x)
where: T.where(b, x, y) | eq: x == y | lt: x < y | isclose: T.isclose(x, y) | logical_and: T.logical_and(b, b2)
bitwise_and: i & j | shift: i << 2 | gcd: T.gcd(i, j) | lcm: T.lcm(i, j) | int_add: i + j | int_mod: i % 7 | int_div: i // 7
sum_0: T.sum(m, 0) | sum_1: T.sum(m, 1) | mean_0: T.mean(m, 0) | mean_1: T.mean(m, 1) | sum_mid: T.sum(cube, 1)
max_0: T.max(m, 0)[0] | max_1: T.max(m, 1)[0] | amax_1: T.amax(m, 1) | argmax_0: T.argmax(m, 0) | argmax_1: T.argmax(m, 1)
var_0: T.var(m, 0) | var_1: T.var(m, 1) | std_1: T.std(m, 1) | prod_1: T.prod(m, 1) | norm_1: T.linalg.vector_norm(m, 1)
norm3: T.linalg.vector_norm(m, 3, 1) | norm_inf: T.linalg.vector_norm(m, float('inf'), 1) | dist: T.dist(x, y)
median_1: T.median(m, 1)[0] | mode_1: T.mode(i.reshape(r, -1), 1)[0] | quantile: T.quantile(x, 0.3) | nanmedian: T.nanmedian(x)
kthvalue: T.kthvalue(m, 5, 1)[0] | sort: T.sort(x, stable=True)[0] | sort_1: T.sort(m, dim=1, stable=True)[0]
argsort_1: T.argsort(m, dim=1, stable=True)
topk_1: T.topk(m, 10, 1)[0] | topk: T.topk(x, 10)[0] | unique: T.unique(k) | bincount: T.bincount(k) | histc: T.histc(x, 100)
searchsorted: T.searchsorted(ordered, x) | bucketize: T.bucketize(x, ordered) | isin: T.isin(k, k[:100])
unique_inverse: T.unique(k, return_inverse=True)[1] | unique_consecutive: T.unique_consecutive(k) | msort: T.msort(m)
cumsum_0: T.cumsum(m, 0) | cummax_0: T.cummax(m, 0)[0] | diff: T.diff(x) | trapezoid: T.trapezoid(m, dim=1)
mm: m @ m2 | mm_t: m @ m2.t() | mv: m @ row | bmm: T.bmm(batch, batch2) | dot: T.dot(x, y) | outer: T.outer(row, row)
addmm: T.addmm(row, m, m2) | baddbmm: T.baddbmm(batch, batch, batch2) | linear: F.linear(m, m2, row) | vdot: T.vdot(x, y)
einsum: T.einsum('bij,bjk->bik', batch, batch2) | tensordot: T.tensordot(m, m2, 1) | kron: T.kron(s1, s2)
cdist: T.cdist(few, few2) | cdist_1: T.cdist(few, few2, p=1.0) | pdist_1: F.pdist(few, 1.0) | pdist: F.pdist(few) | cross: T.linalg.cross(three, three2) | cosine: F.cosine_similarity(m, m2)
addmv: T.addmv(row, m, row) | addr: T.addr(m, row, row) | addbmm: T.addbmm(square64, batch, batch2) | bilinear: F.bilinear(fat, fat, core)
inv: T.linalg.inv(spd) | solve: T.linalg.solve(spd, lower) | cholesky: T.linalg.cholesky(spd) | qr: T.linalg.qr(tall)[1]
det: T.linalg.det(stack) | slogdet: T.linalg.slogdet(spd)[1] | eigh: T.linalg.eigvalsh(spd) | svd: T.linalg.svdvals(spd)
lu: T.linalg.lu_factor(spd)[0] | lstsq: T.linalg.lstsq(tall, tall2).solution | pinv: T.linalg.pinv(tall) | matrix_exp: T.matrix_exp(stack)
triangular: T.linalg.solve_triangular(lower, spd, upper=False) | matrix_power: T.linalg.matrix_power(stack, 5) | inv_small: T.linalg.inv(stack)
t_copy: m.t().contiguous() | permute_copy: cube.permute(2, 0, 1).contiguous() | clone: x.clone() | to_double: x.double() | to_half: x.half()
to_bfloat16: x.bfloat16() | to_int: x.int() | to_bool: x.bool() | half_add: h + h | bfloat16_mul: bf * bf | bfloat16_mm: bfm @ bfm
cat_0: T.cat([m, m2]) | cat_1: T.cat([m, m2], 1) | stack: T.stack([m, m2], 1) | repeat: row.repeat(r, 1) | tile: T.tile(m, (1, 2))
repeat_interleave: T.repeat_interleave(m, 2, 1) | flip: T.flip(m, (1,)) | roll: T.roll(m, 5, 1) | rot90: T.rot90(m)
tril: T.tril(m) | triu: T.triu(m) | diag: T.diag(row) | diag_embed: T.diag_embed(few) | expand_copy: row.expand(r, -1).contiguous()
unfold: x.unfold(0, 8, 4).contiguous() | pad: F.pad(m, (3, 3)) | pad_reflect: F.pad(img, (2, 2, 2, 2), mode='reflect')
pad_replicate: F.pad(img, (2, 2, 2, 2), mode='replicate') | pad_circular: F.pad(img, (2, 2, 2, 2), mode='circular')
index_rows: m[rows] | index_mask: x[b] | index_pairs: m[rows, rows] | slice: m[:, 1::2].contiguous() | select: m[:, 3].contiguous()
index_select_0: T.index_select(m, 0, rows) | index_select_1: T.index_select(m, 1, rows) | gather_1: T.gather(m, 1, places)
gather_0: T.gather(m, 0, places) | take: T.take(x, k) | take_along: T.take_along_dim(m, places, 1) | masked_select: T.masked_select(x, b)
masked_fill: x.masked_fill(b, 0.5) | masked_scatter: x.masked_scatter(b, y) | scatter: T.scatter(m, 1, places, m2)
scatter_add: T.scatter_add(m, 1, places, m2) | scatter_amax: m.scatter_reduce(1, places, m2, 'amax') | scatter_mean: m.scatter_reduce(1, places, m2, 'mean')
index_add: T.index_add(m, 0, rows, m2) | index_copy: T.index_copy(m, 0, order, m2) | index_fill: T.index_fill(m, 0, rows, 0.5)
index_put: m.index_put((rows,), m2) | index_put_add: m.index_put((rows,), m2, accumulate=True) | nonzero: T.nonzero(b) | argwhere: T.argwhere(b)
index_reduce: m.index_reduce(0, rows, m2, 'amax') | select_scatter: T.select_scatter(m, row, 0, 3) | slice_scatter: T.slice_scatter(m, m2[::2], 0, 0, None, 2)
diagonal_scatter: T.diagonal_scatter(m, row) | one_hot: F.one_hot(k[:r], 1000) | tril_indices: T.tril_indices(r, r) | combinations: T.combinations(row)
cartesian: T.cartesian_prod(row, row) | meshgrid: T.meshgrid(row, row, indexing='ij')[0].contiguous() | vander: T.linalg.vander(row, N=100)
zeros: T.zeros(x.shape) | ones: T.ones(x.shape) | full: T.full(x.shape, 3.0) | arange: T.arange(x.numel()) | linspace: T.linspace(0, 1, x.numel())
eye: T.eye(r) | zeros_like: T.zeros_like(x) | complex: T.complex(x, y) | c_mul: c * c | c_abs: T.abs(c) | c_angle: T.angle(c) | c_exp: T.exp(c)
polar: T.polar(x, y) | real: T.real(c).contiguous() | conj: T.conj_physical(c)
fft: T.fft.fft(m) | rfft: T.fft.rfft(m) | fft2: T.fft.fft2(m) | irfft: T.fft.irfft(T.fft.rfft(m)) | stft: T.stft(x, 256, window=window, return_complex=True)
softmax_1: F.softmax(m, 1) | softmax_0: F.softmax(m, 0) | log_softmax_1: F.log_softmax(m, 1) | gumbel: F.gumbel_softmax(m)
layer_norm: F.layer_norm(m, (r,), row, row) | group_norm: F.group_norm(img, 4, w16, w16) | instance_norm: F.instance_norm(img)
batch_norm: F.batch_norm(img, None, None, w16, w16, True) | batch_norm_eval: F.batch_norm(img, w16p, w16p, w16, w16) | rms_norm: F.rms_norm(m, (r,), row)
local_response: F.local_response_norm(img, 3) | normalize: F.normalize(m, dim=1) | dropout: F.dropout(x, 0.3) | alpha_dropout: F.alpha_dropout(x, 0.3)
feature_dropout: F.dropout2d(img, 0.3) | embedding: F.embedding(k, table) | embedding_bag: F.embedding_bag(k.reshape(r, -1), table)
cross_entropy: F.cross_entropy(m, classes) | nll_loss: F.nll_loss(m, classes) | mse_loss: F.mse_loss(x, y) | l1_loss: F.l1_loss(x, y)
smooth_l1: F.smooth_l1_loss(x, y) | huber: F.huber_loss(x, y) | bce: F.binary_cross_entropy(x, z) | bce_logits: F.binary_cross_entropy_with_logits(x, z)
kl_div: F.kl_div(x, y) | poisson_nll: F.poisson_nll_loss(x, y) | gaussian_nll: F.gaussian_nll_loss(x, y, z) | soft_margin: F.soft_margin_loss(x, z)
hinge: F.hinge_embedding_loss(x, y) | margin_ranking: F.margin_ranking_loss(x, y, z) | triplet: F.triplet_margin_loss(m, m2, m3)
cosine_embedding: F.cosine_embedding_loss(m, m2, row) | multi_margin: F.multi_margin_loss(m, classes) | multilabel: F.multilabel_soft_margin_loss(m, m2)
multilabel_margin: F.multilabel_margin_loss(m, labels) | ctc: F.ctc_loss(F.log_softmax(speech, 2), words, lengths, word_lengths)
conv1d: F.conv1d(sound, w_1d, padding=1) | conv2d: F.conv2d(img, w_2d, padding=1) | conv2d_stride: F.conv2d(img, w_2d, stride=2)
conv2d_groups: F.conv2d(img, w_dw, padding=1, groups=16) | conv2d_1x1: F.conv2d(img, w_11) | conv2d_few: F.conv2d(img[:, :3], w_few, padding=2)
conv3d: F.conv3d(video, w_3d, padding=1) | conv_transpose2d: F.conv_transpose2d(img, w_2d, stride=2) | conv2d_dilated: F.conv2d(img, w_2d, dilation=2)
max_pool1d: F.max_pool1d(sound, 2) | max_pool2d: F.max_pool2d(img, 2) | max_pool2d_3: F.max_pool2d(img, 3, 2, 1) | max_pool3d: F.max_pool3d(video, 2)
avg_pool1d: F.avg_pool1d(sound, 2) | avg_pool2d: F.avg_pool2d(img, 2) | avg_pool2d_3: F.avg_pool2d(img, 3, 1, 1) | avg_pool3d: F.avg_pool3d(video, 2)
adaptive_avg2d: F.adaptive_avg_pool2d(img, 7) | adaptive_avg_1: F.adaptive_avg_pool2d(img, 1) | adaptive_max2d: F.adaptive_max_pool2d(img, 7)
lp_pool2d: F.lp_pool2d(img, 2, 2) | max_unpool: F.max_unpool2d(*F.max_pool2d(img, 2, return_indices=True), 2) | fractional: F.fractional_max_pool2d(img, 3, 8)
interpolate: F.interpolate(img, scale_factor=2) | bilinear_up: F.interpolate(img, scale_factor=2, mode='bilinear') | bicubic: F.interpolate(img, scale_factor=2, mode='bicubic')
bilinear_down: F.interpolate(img, size=16, mode='bilinear', antialias=True) | area: F.interpolate(img, size=16, mode='area') | linear_up: F.interpolate(sound, scale_factor=2, mode='linear')
grid_sample: F.grid_sample(img, grid, align_corners=False) | grid_bicubic: F.grid_sample(img, grid, mode='bicubic', align_corners=False) | affine_grid: F.affine_grid(theta, (16, 1, 256, 256), align_corners=False)
fold: F.fold(columns, 32, 3, padding=1) | unfold_2d: F.unfold(img, 3, padding=1) | pixel_shuffle: F.pixel_shuffle(img, 2) | pixel_unshuffle: F.pixel_unshuffle(img, 2) | channel_shuffle: F.channel_shuffle(img, 4)
attention: F.scaled_dot_product_attention(q, q, q) | attention_causal: F.scaled_dot_product_attention(q, q, q, is_causal=True)
rand: T.rand(x.shape) | randn: T.randn(x.shape) | randint: T.randint(0, 10, x.shape) | randperm: T.randperm(x.numel()) | bernoulli: T.bernoulli(x)
normal: T.normal(0.0, 1.0, x.shape) | exponential: T.empty(x.shape).exponential_() | multinomial: T.multinomial(m, 5, replacement=True) | poisson: T.poisson(x)
uniform: T.empty(x.shape).uniform_(-1, 1) | multinomial_no: T.multinomial(m, 5) | binomial: T.binomial(i.float(), x) | geometric: T.empty(x.shape).geometric_(0.3)
cauchy: T.empty(x.shape).cauchy_() | log_normal: T.empty(x.shape).log_normal_()
cov: T.cov(few) | corrcoef: T.corrcoef(few) | nanquantile: T.nanquantile(x, 0.3) | renorm: T.renorm(m, 2, 0, 1.0) | cumulative_trapezoid: T.cumulative_trapezoid(m, dim=1)
histogram: T.histogram(x, 50)[0] | block_diag: T.block_diag(m, m2) | trace: T.trace(m) | allclose: T.tensor(T.allclose(x, x)) | equal: T.tensor(T.equal(x, x))
acosh: T.acosh(x + 1) | bitwise_or: T.bitwise_or(i, j) | bitwise_xor: i ^ j | bitwise_right_shift: i >> 2 | logical_or: T.logical_or(b, b2) | logical_xor: T.logical_xor(b, b2)
ne: x != y | isposinf: T.isposinf(x) | isneginf: T.isneginf(x) | isreal: T.isreal(x) | min_1: T.min(m, 1)[0] | clamp_tensor: T.clamp(x, y, z)
frexp: T.frexp(x)[0] | igammac: T.igammac(x.detach(), y) | mvlgamma: T.mvlgamma(x + 2, 3) | xlog1py: T.special.xlog1py(x, y) | zeta: T.special.zeta(x.detach() + 2, y)
bessel_j0: T.special.bessel_j0(x) | bessel_j1: T.special.bessel_j1(x) | bessel_y0: T.special.bessel_y0(x) | bessel_y1: T.special.bessel_y1(x)
bessel_k0: T.special.modified_bessel_k0(x) | bessel_k1: T.special.modified_bessel_k1(x) | airy: T.special.airy_ai(x)
scaled_k0: T.special.scaled_modified_bessel_k0(x) | scaled_k1: T.special.scaled_modified_bessel_k1(x) | spherical_j0: T.special.spherical_bessel_j0(x)
chebyshev: T.special.chebyshev_polynomial_t(x, 5) | hermite: T.special.hermite_polynomial_h(x, 5) | laguerre: T.special.laguerre_polynomial_l(x, 5)
var_mean: T.var_mean(m, 1)[0] | std_mean: T.std_mean(m, 1)[1] | nanmedian_1: T.nanmedian(m, 1)[0] | sum_short: T.sum(short, 1) | sum_rows: T.sum(short, 0)
prod_short: T.prod(short, 1) | amax_short: T.amax(short, 1) | cumsum_short: T.cumsum(short, 1) | cumprod_short: T.cumprod(short, 1) | softmax_short: T.softmax(short, 1)
as_strided: T.as_strided(x, (r, r), (1, r)).contiguous() | split: T.split(m, 100)[3].contiguous() | unbind: T.unbind(m, 1)[3].contiguous() | narrow_copy: T.narrow_copy(m, 1, 2, 500)
unsafe_split: T.unsafe_split(m, 100)[3].contiguous() | unsafe_sizes: T.unsafe_split_with_sizes(m, [r])[0].contiguous() | sizes: T.split(m, [r])[0].contiguous()
diagonal_copy: T.diagonal_copy(m) | view_as_complex: T.view_as_complex(m.reshape(-1, 2)).abs() | masked_fill_tensor: x.masked_fill(b, T.tensor(0.5))
put: T.Tensor.put(x, k[:r], row) | scatter_value: T.scatter(m, 1, places, 0.5) | scatter_multiply: T.scatter(m, 1, places, m2, reduce='multiply')
index_fill_tensor: T.index_fill(m, 0, rows, T.tensor(0.5)) | fill: T.empty(x.shape).fill_(2.0) | copy: T.empty(x.shape).copy_(x) | zero: T.ones(x.shape).zero_()
eigh_vectors: T.linalg.eigh(spd)[0] | eig: T.linalg.eig(spd)[0].real.sort()[0] | eigvals: T.linalg.eigvals(spd).real.sort()[0] | svd_vectors: T.linalg.svd(spd)[1]
cholesky_solve: T.cholesky_solve(spd, T.tril(lower)) | cholesky_inverse: T.cholesky_inverse(T.tril(lower)) | old_cholesky: T.cholesky(spd) | inv_ex: T.linalg.inv_ex(spd)[0]
lu_all: T.linalg.lu(spd)[1] | lu_solve: T.linalg.lu_solve(*T.linalg.lu_factor(spd), lower) | lu_unpack: T.lu_unpack(*T.linalg.lu_factor(spd))[2] | lu_small: T.linalg.lu_factor(small)[0]
ldl: T.linalg.ldl_factor(spd)[0] | ldl_small: T.linalg.ldl_factor(small @ small.mT)[0] | ldl_solve: T.linalg.ldl_solve(*T.linalg.ldl_factor(spd), spd)
matrix_rank: T.linalg.matrix_rank(spd) | geqrf: T.geqrf(tall)[0] | householder: T.linalg.householder_product(*T.geqrf(tall)) | ormqr: T.ormqr(*T.geqrf(tall), tall)
lstm: lstm(speech32)[0] | gru: gru(speech32)[0] | rnn: rnn(speech32)[0]
"""  # noqa: E501 (a table: a line a family)

clock = time.thread_time  # with one thread: what others do on the machine does not count

RANDOM = "rand randn randint randperm bernoulli normal exponential poisson uniform dropout gumbel rrelu cauchy".split()
RANDOM += "multinomial multinomial_no binomial geometric log_normal alpha_dropout feature_dropout fractional".split()
FORWARD = RANDOM + "unique bincount histc histogram heaviside floor_divide msort ormqr geqrf householder ldl ".split()
FORWARD += "ldl_small ldl_solve scatter_multiply".split()  # nothing to differentiate, or nothing new


FIXED = {"w16p", "z", "window", "order"}  # operands that are never differentiated: torch refuses some of them


def cases() -> dict[str, str]:
    """Every case: its name and the expression."""
    found = {}
    for name in UNARY.split():
        found[name] = f"T.{name}(x)"
    for entry in ACTIVATIONS.replace(", ", ",").split():
        name, _, call = entry.partition(":")
        found[name] = call or f"F.{name}(s)"
    for entry in REDUCTIONS.replace(", ", ",").split():
        name, _, call = entry.partition(":")
        found[name] = call or f"T.{name}(x)"
    for entry in CASES.replace("\n", " | ").split(" | "):
        name, colon, call = entry.strip().partition(": ")
        if colon:
            found[name] = call
    return found


def inputs(size: int) -> dict[str, np.ndarray]:
    """The operands, by the names that the cases use; about `size` numbers each, where that makes sense."""
    rng = np.random.default_rng(0)

    def real(*shape: int, low: float = 0.05, high: float = 0.95) -> np.ndarray:
        return rng.uniform(low, high, shape).astype(np.float32)

    r = max(4, math.isqrt(size) // 4 * 4)  # rows and columns of a square matrix
    n = r * r
    side = max(2, min(r // 4, round((size / 4) ** (1 / 3))))
    pixels = max(1, n // (16 * 32 * 32))
    square = real(r // 2, r // 2) - 0.5
    found = {
        "x": real(n), "s": real(n, low=-3, high=3),
        "y": real(n), "z": real(n), "m": real(r, r), "m2": real(r, r), "m3": real(r, r), "row": real(r),
        "column": real(r, 1), "cube": real(side, 4 * side, side),
        "few": real(max(4, r // 4), 64), "few2": real(max(4, r // 4), 64), "w1": real(1),
        "batch": real(max(1, n // 4096), 64, 64), "batch2": real(max(1, n // 4096), 64, 64), "square64": real(64, 64),
        "three": real(n // 3, 3), "three2": real(n // 3, 3), "s1": real(8, 8),
        "s2": real(max(1, r // 8), max(1, r // 8)),
        "fat": real(max(1, r // 2), 32), "core": real(32, 32, 32),
        "spd": square @ square.T / r + np.eye(r // 2, dtype=np.float32), "tall": real(r, max(2, r // 8)),
        "tall2": real(r, max(2, r // 8)),
        "stack": real(max(1, n // 256), 16, 16) / 8 + np.eye(16, dtype=np.float32),
        "lower": np.tril(square / r) + np.eye(r // 2, dtype=np.float32),
        "img": real(pixels, 16, 32, 32), "sound": real(max(1, n // 32768), 32, 1024),
        "video": real(max(1, n // 65536), 16, 16, 16, 16),
        "w_1d": real(32, 32, 3), "w_2d": real(16, 16, 3, 3), "w_dw": real(16, 1, 3, 3), "w_11": real(16, 16, 1, 1),
        "w_few": real(16, 3, 5, 5), "w_3d": real(16, 16, 3, 3, 3), "w16": real(16), "w16p": real(16),
        "grid": real(pixels, 32, 32, 2, low=-1, high=1), "theta": real(16, 2, 3), "columns": real(pixels, 144, 1024),
        "q": real(4, 8, max(8, min(512, n // 2048)), 64), "table": real(1000, 64), "speech": real(100, 16, 30),
        "short": real(n // 4, 4), "small": real(n // 16, 4, 4) + np.eye(4, dtype=np.float32),
        "speech32": real(50, 16, 32),
        "ordered": np.sort(real(1000)), "window": np.hanning(256).astype(np.float32),
    }  # fmt: skip
    whole = {
        "i": rng.integers(1, 20, n), "j": rng.integers(1, 20, n), "k": rng.integers(0, 1000, n),
        "rows": rng.integers(0, r, r), "order": rng.permutation(r), "places": rng.integers(0, r, (r, r)),
        "classes": rng.integers(0, r, r),
        "labels": np.where(np.arange(r) < 5, rng.integers(0, r, (r, r)), -1), "words": rng.integers(1, 30, (16, 20)),
        "lengths": np.full(16, 100), "word_lengths": np.full(16, 20),
    }  # fmt: skip
    truth = {"b": rng.random(n) < 0.5, "b2": rng.random(n) < 0.5}
    return {**found, **whole, **truth}


def scope(T: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a case's expression sees, for one library."""
    found: dict[str, Any] = {name: T.from_numpy(a.copy()) for name, a in arrays.items()}
    found |= {"T": T, "F": T.nn.functional, "r": arrays["m"].shape[0]}
    found |= {"c": T.complex(found["x"], found["y"]), "h": found["x"].half(), "bf": found["x"].bfloat16()}
    T.manual_seed(0)  # both draw the same weights
    found |= {"lstm": T.nn.LSTM(32, 64), "gru": T.nn.GRU(32, 64), "rnn": T.nn.RNN(32, 64)}
    found["bfm"] = found["m"][:250, :250].bfloat16()  # PyTorch takes a second for one of 1000 columns
    return found


class Side:
    """One library with one case: forward, and forward with backward where it has a gradient."""

    def __init__(self, T: Any, expression: str, names: dict[str, Any]):
        self.T = T
        code = compile(expression, "<case>", "eval")
        used = [n for n in code.co_names if n in names]
        self.forward = lambda: eval(code, names)
        recorded = dict(names)
        self.leaves = []
        for n in used:
            value = names[n]
            if (
                n not in FIXED
                and isinstance(value, T.Tensor)
                and value.dtype in (T.float32, T.float64, T.complex64, T.complex128)
            ):
                recorded[n] = value.detach().clone().requires_grad_()
                self.leaves.append(recorded[n])
        self.recorded = lambda: eval(code, recorded)

    def seed(self) -> Any:
        """A gradient of the result, the same for both libraries, if it has one, else None.

        Not ones: what is normalised does not change with a constant, and its gradient would be rounding alone.
        """
        if not self.leaves:
            return None
        out = self.recorded()
        if not out.requires_grad:
            return None
        numbers = np.random.default_rng(1).uniform(0.5, 1.5, tuple(out.shape)).astype(np.float32)
        return self.T.from_numpy(numbers).to(out.dtype).reshape(out.shape)

    def backward(self, seed: Any) -> list[Any]:
        out = self.recorded()
        return self.T.autograd.grad(out, self.leaves, seed, allow_unused=True)


def timed(f: Callable[[], Any], n: int) -> float:
    start = clock()
    for _ in range(n):
        f()
    return (clock() - start) / n


def compare(f: Callable[[], Any], g: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Median seconds of ours and of torch's, and the median ratio of the rounds."""
    once = timed(g, 1)
    n = max(1, min(1000, int(0.004 / max(once, 1e-7))))
    if once + timed(f, 1) > 0.2:
        rounds = min(rounds, 3)
    times = [(timed(f, n), timed(g, n)) for _ in range(rounds)]
    mine, theirs = (statistics.median(t[k] for t in times) for k in (0, 1))
    return mine, theirs, statistics.median(a / b for a, b in times)


def agree(a: Any, b: Any) -> bool:
    """Whether two results are equal up to rounding (of sums of many float32 numbers: loose)."""
    if a is None or b is None:
        return (a is None) == (b is None)
    coarse = 8 if a.element_size() == 2 else 1  # half precision: the last bit
    x, y = (
        np.asarray(t.detach().resolve_conj().double().numpy() if not t.is_complex() else t.detach().numpy())
        for t in (a, b)
    )
    scale = np.abs(y[np.isfinite(y)]).max(initial=0.0)
    return x.shape == y.shape and np.allclose(x, y, rtol=2e-3 * coarse, atol=2e-4 * scale + 1e-6, equal_nan=True)


class Judge:
    """Decides where results differ: ours must be at least as near to PyTorch's in double precision as its own are.

    Gradients of eigenvalues, for example, come out of PyTorch's float32 with an error of 1e-2, and from float64 here.
    """

    def __init__(self, T: Any, arrays: dict[str, np.ndarray]):
        self.T, self.arrays = T, arrays
        self.names: dict[str, Any] = {}

    def agree(self, a: Any, b: Any, exact: Callable[[Side], Any], expression: str) -> bool:
        """Whether `a` is right where it is not `b`."""
        if not self.names:
            wide = {n: x.astype(np.float64) if x.dtype == np.float32 else x for n, x in self.arrays.items()}
            self.names = scope(self.T, wide)
        reference = exact(Side(self.T, expression, self.names))
        pairs = zip(a, b, reference) if isinstance(a, list | tuple) else [(a, b, reference)]
        return all(agree(x, y) or self._error(x, z) <= self._error(y, z) for x, y, z in pairs)

    @staticmethod
    def _error(x: Any, y: Any) -> float:
        return float(np.abs(x.detach().numpy() - y.detach().numpy()).max())


def measure(
    name: str, expression: str, ours: dict, torch_: dict, rounds: int, judge: Judge
) -> list[tuple[str, float, float, float, bool]]:
    """The lines of one case."""
    a, b = Side(ours["T"], expression, ours), Side(torch_["T"], expression, torch_)
    x, y = a.forward(), b.forward()
    same = name in RANDOM or agree(x, y) or judge.agree(x, y, lambda side: side.forward(), expression)
    lines = [(name, *compare(a.forward, b.forward, rounds), same)]
    seed = None if name in FORWARD else b.seed()
    if seed is not None:
        own = a.seed()
        if own is None:
            return [*lines, (f"{name} + backward", math.nan, math.nan, math.nan, False)]
        gx, gy = a.backward(own), b.backward(seed)
        same = all(map(agree, gx, gy)) or judge.agree(gx, gy, lambda side: side.backward(side.seed()), expression)
        lines.append((f"{name} + backward", *compare(lambda: a.backward(own), lambda: b.backward(seed), rounds), same))
    return lines


class Listener:
    """Notes which registered operations run."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def record(self, op: Any, *rest: Any) -> None:
        self.seen.add(op.name)


def unreached(tapegrad: Any, names: dict[str, Any], expressions: dict[str, str]) -> list[str]:
    """Registered operations that no case runs."""
    from tapegrad import modes
    from tapegrad.core.op import registry

    listener = Listener()
    token = modes.slot.set(listener)
    try:
        for expression in expressions.values():
            with contextlib.suppress(Exception):  # reported above, where it was measured
                eval(expression, dict(names))
    finally:
        modes.slot.reset(token)
    internal = {n for n in registry if n.startswith("_") or "backward" in n}
    return sorted(set(registry) - listener.seen - internal)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--worst", type=int, default=0, help="print only this many of the slowest")
    args = parser.parse_args()
    if args.threads > 1:
        global clock
        clock = time.perf_counter
    tapegrad, torch = libraries(args.threads)
    arrays = inputs(args.size)
    ours, theirs = scope(tapegrad, arrays), scope(torch, arrays)
    judge = Judge(torch, arrays)
    head = f"{'operation':34s} {'ours us':>12s} {'torch us':>12s} {'ratio':>8s}"
    print(f"tapegrad {tapegrad.__version__}, torch {torch.__version__}, {args.threads} threads, {args.size:,} elements")
    print(head)
    chosen = {n: e for n, e in cases().items() if args.only in n}
    lines = []
    for name, expression in chosen.items():
        try:
            found = measure(name, expression, ours, theirs, args.rounds, judge)
        except Exception as error:  # one operation must not end the table
            print(f"{name:34s} {type(error).__name__}: {str(error).splitlines()[0][:100]}")
            lines.append((name, math.nan, math.nan, math.nan, False))
            continue
        lines += found
        if not args.worst:
            for line in found:
                show(*line)
    ranked = sorted((line for line in lines if line[3] == line[3]), key=lambda line: -line[3])
    print(f"\nthe slowest, of {len(ranked)}\n{head}")
    for line in ranked[: args.worst or 20]:
        show(*line)
    ratios = [line[3] for line in ranked]
    if ratios:
        over = sum(r > 10 for r in ratios)
        print(f"median ratio {statistics.median(ratios):.2f}, {over} above 10, {sum(r <= 1 for r in ratios)} at most 1")
    if not args.only:
        print("not measured:", *unreached(tapegrad, ours, cases()))
    return 0 if all(line[4] for line in lines) else 1


def show(name: str, mine: float, theirs: float, ratio: float, same: bool) -> None:
    print(f"{name:34s} {mine * 1e6:12.1f} {theirs * 1e6:12.1f} {ratio:8.2f}{'' if same else '  DIFFERENT'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
