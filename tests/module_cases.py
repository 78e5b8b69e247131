"""How every layer is built and called in tests: names -> [(arguments, keyword arguments, inputs), ...].

The layers are found by introspection: one that has no entry fails `tests/twin/test_every_module.py`.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

# An input is an array; "classes"-like inputs are integer arrays, which get no gradient.
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def uniform(*shape):
    return (RNG.random(shape) * 0.98 + 0.01).astype(np.float32)


def classes(high, *shape):
    return RNG.integers(0, high, shape)


def signs(*shape):
    return np.where(RNG.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


class Fixed:
    """An array that becomes a tensor without gradient."""

    def __init__(self, array):
        self.array = array


class Make:
    """An argument made of the library: `make(lib)`."""

    def __init__(self, make):
        self.make = make


SPECIAL = np.array([[-7.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0, 3.0, 6.0, 25.0]], np.float32)
X = (normal(3, 4),)
POINTS = (SPECIAL,)
NCL, NCHW, NCDHW = (normal(3, 4, 5),), (normal(2, 4, 3, 3),), (normal(2, 4, 2, 3, 3),)
PAIR = (normal(3, 4), normal(3, 4))
PROBABILITIES = np.exp(normal(3, 5)) / 5

# name -> [(arguments, keyword arguments, inputs), ...]
CASES = {
    "Linear": [
        ((4, 3), {}, X),
        ((4, 3), {"bias": False}, X),
        ((4, 3), {}, (normal(2, 5, 4),)),
        ((4, 2), {}, (normal(4),)),
    ],
    "Bilinear": [
        ((4, 3, 5), {}, (normal(2, 4), normal(2, 3))),
        ((4, 3, 5), {"bias": False}, (normal(2, 6, 4), normal(2, 6, 3))),
    ],
    "Identity": [((), {}, X), ((3,), {"a": 4}, X)],
    "Flatten": [((), {}, NCHW), ((0, 1), {}, NCHW)],
    "Unflatten": [((1, (2, 2)), {}, X), ((1, (2, -1)), {}, NCL)],
    "PixelShuffle": [((2,), {}, NCHW)],
    "PixelUnshuffle": [((3,), {}, NCHW)],
    "ChannelShuffle": [((2,), {}, NCHW)],
    "ReLU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "ReLU6": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "LeakyReLU": [((), {}, POINTS), ((0.2,), {"inplace": True}, POINTS)],
    "PReLU": [((), {}, POINTS), ((4,), {"init": 0.3}, NCL), ((4,), {}, X)],
    "RReLU": [((), {}, POINTS), ((0.1, 0.9), {"inplace": True}, POINTS)],
    "Threshold": [((0.1, 20.0), {}, POINTS), ((0.1, 20), {"inplace": True}, POINTS)],
    "Hardtanh": [((), {}, POINTS), ((-2, 3), {"inplace": True}, POINTS)],
    "Hardsigmoid": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Hardswish": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Hardshrink": [((), {}, POINTS), ((1.0,), {}, POINTS)],
    "Softshrink": [((), {}, POINTS), ((1.0,), {}, POINTS)],
    "Sigmoid": [((), {}, POINTS)],
    "Tanh": [((), {}, POINTS)],
    "SiLU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Mish": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "GELU": [((), {}, POINTS), (("tanh",), {}, POINTS)],
    "ELU": [((), {}, POINTS), ((0.5,), {"inplace": True}, POINTS)],
    "CELU": [((), {}, POINTS), ((0.5,), {"inplace": True}, POINTS)],
    "SELU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Softplus": [((), {}, POINTS), ((2, 5), {}, POINTS)],
    "Softsign": [((), {}, POINTS)],
    "Tanhshrink": [((), {}, POINTS)],
    "LogSigmoid": [((), {}, POINTS)],
    "GLU": [((), {}, X), ((1,), {}, NCHW)],
    "Softmax": [((1,), {}, X), ((-3,), {}, NCHW), ((0,), {}, X)],
    "LogSoftmax": [((1,), {}, X), ((0,), {}, NCL)],
    "Softmin": [((1,), {}, X)],
    "Softmax2d": [((), {}, NCHW), ((), {}, NCL)],
    "Dropout": [((), {}, X), ((0.3,), {"inplace": True}, X), ((0.0,), {}, X), ((1.0,), {}, X)],
    "Dropout1d": [((), {}, NCL), ((0.3,), {}, X), ((0.3,), {"inplace": True}, NCL)],
    "Dropout2d": [((), {}, NCHW)],
    "Dropout3d": [((), {}, NCDHW), ((0.3,), {}, NCHW)],
    "AlphaDropout": [((), {}, X), ((0.2,), {"inplace": True}, X)],
    "FeatureAlphaDropout": [((), {}, NCL)],
    "Embedding": [
        ((7, 3), {}, (classes(7, 2, 5),)),
        ((7, 3), {"padding_idx": -1}, (np.array([6, 1, 6, 0]),)),
        ((7, 80), {"padding_idx": 0, "scale_grad_by_freq": True}, (np.array([[0, 1, 1], [2, 1, 6]]),)),
        ((7, 3), {"max_norm": 1.0, "norm_type": 3.0}, (classes(7, 4),)),
        ((40, 70), {}, (classes(40, 100),)),
    ],
    "LayerNorm": [
        ((4,), {}, X),
        (((4, 5),), {"eps": 1e-3}, NCL),
        ((5,), {"bias": False}, NCL),
        ((5,), {"elementwise_affine": False}, NCL),
    ],
    "RMSNorm": [((4,), {}, X), (((4, 5),), {"eps": 1e-3}, NCL), ((5,), {"elementwise_affine": False}, NCL)],
    "GroupNorm": [((2, 4), {}, NCHW), ((2, 4), {}, X), ((2, 4), {"affine": False}, NCL)],
    "LocalResponseNorm": [((2,), {}, NCHW), ((3,), {"alpha": 0.1, "beta": 0.5, "k": 2.0}, NCL)],
    "CrossMapLRN2d": [((2,), {}, NCHW), *[((n,), {"alpha": 0.5, "beta": 0.5, "k": 2.0}, NCHW) for n in (2, 3, 4, 5)]],
    "BatchNorm1d": [
        ((4,), {}, X),
        ((4,), {"momentum": None}, NCL),
        ((4,), {"affine": False, "track_running_stats": False}, X),
    ],
    "BatchNorm2d": [((4,), {}, NCHW), ((4,), {"bias": False}, NCHW)],
    "BatchNorm3d": [((4,), {}, NCDHW)],
    "InstanceNorm1d": [
        ((4,), {}, NCL),
        ((4,), {"affine": True, "track_running_stats": True}, NCL),
        ((3,), {}, (normal(3, 5),)),
    ],
    "InstanceNorm2d": [((4,), {"affine": True}, NCHW)],
    "InstanceNorm3d": [((4,), {}, NCDHW)],
    "MSELoss": [((), {"reduction": r}, PAIR) for r in ("none", "sum", "mean")],
    "L1Loss": [((), {"reduction": r}, PAIR) for r in ("none", "sum", "mean")],
    "SmoothL1Loss": [((), {}, PAIR), ((), {"beta": 0.3, "reduction": "sum"}, PAIR), ((), {"beta": 0.0}, PAIR)],
    "HuberLoss": [((), {}, PAIR), ((), {"delta": 0.3, "reduction": "none"}, PAIR)],
    "NLLLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((Fixed(uniform(5)),), {"ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((Fixed(uniform(5)),), {"reduction": "none"}, (normal(2, 5, 3, 2), classes(5, 2, 3, 2))),
        ((), {"reduction": "sum"}, (normal(2, 5, 3), classes(5, 2, 3))),
        ((), {}, (normal(5), np.array(3))),
    ],
    "CrossEntropyLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((), {"reduction": "none"}, (normal(3, 5) * 50, classes(5, 3))),
        ((Fixed(uniform(5)),), {"ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((Fixed(uniform(5)),), {"reduction": "sum", "ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((), {}, (normal(2, 5, 3, 2), classes(5, 2, 3, 2))),
        ((), {}, (normal(5), np.array(3))),
        ((), {"label_smoothing": 0.1}, (normal(3, 5), classes(5, 3))),
        ((Fixed(uniform(5)),), {"label_smoothing": 0.1, "ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((), {"label_smoothing": 0.1, "reduction": "none"}, (normal(2, 5, 3), classes(5, 2, 3))),
        ((), {}, (normal(3, 5), PROBABILITIES)),
        ((Fixed(uniform(5)),), {"label_smoothing": 0.2, "reduction": "none"}, (normal(3, 5), PROBABILITIES)),
        ((), {"reduction": "sum"}, (normal(5), PROBABILITIES[0])),
    ],
    "BCELoss": [
        ((), {}, (uniform(3, 4), uniform(3, 4))),
        ((Fixed(uniform(4)),), {"reduction": "sum"}, (uniform(3, 4), uniform(3, 4))),
    ],
    "BCEWithLogitsLoss": [
        ((), {}, (normal(3, 4) * 10, uniform(3, 4))),
        (
            (Fixed(uniform(4)),),
            {"pos_weight": Fixed(uniform(4) * 3), "reduction": "sum"},
            (normal(3, 4), uniform(3, 4)),
        ),
        ((), {"reduction": "none"}, PAIR),
    ],
    "KLDivLoss": [
        ((), {"reduction": "batchmean"}, (normal(3, 4), uniform(3, 4))),
        ((), {"reduction": "sum", "log_target": True}, PAIR),
    ],
    "PoissonNLLLoss": [
        ((), {}, (normal(3, 4), uniform(3, 4) * 5)),
        ((), {"log_input": False, "full": True, "reduction": "sum"}, (uniform(3, 4), uniform(3, 4) * 5)),
    ],
    "GaussianNLLLoss": [
        ((), {}, (*PAIR, uniform(3, 4))),
        ((), {"full": True, "reduction": "none"}, (*PAIR, uniform(3, 1))),
        ((), {}, (*PAIR, Fixed(uniform(3)))),
    ],
    "HingeEmbeddingLoss": [((), {}, (normal(3, 4), Fixed(signs(3, 4))))],
    "SoftMarginLoss": [((), {"reduction": r}, (normal(3, 4), Fixed(signs(3, 4)))) for r in ("none", "sum", "mean")],
    "MarginRankingLoss": [((0.5,), {}, (*PAIR, Fixed(signs(3, 4))))],
    "CosineEmbeddingLoss": [
        ((), {"margin": 0.2}, (*PAIR, Fixed(signs(3)))),
        ((), {}, (normal(4), normal(4), Fixed(signs()))),
    ],
    "TripletMarginLoss": [
        ((), {}, (*PAIR, normal(3, 4))),
        ((), {"p": 1, "swap": True, "reduction": "none"}, (*PAIR, normal(3, 4))),
    ],
    "TripletMarginWithDistanceLoss": [
        ((), {"margin": 2.0}, (*PAIR, normal(3, 4))),
        ((), {"swap": True}, (*PAIR, normal(3, 4))),
    ],
    "MultiMarginLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((2, 0.5, Fixed(uniform(5))), {"reduction": "none"}, (normal(3, 5), classes(5, 3))),
        ((), {}, (normal(5), np.array(2))),
    ],
    "MultiLabelMarginLoss": [
        ((), {}, (normal(2, 4), np.array([[3, 0, -1, 1], [-1, 0, 1, 2]]))),
        ((), {}, (normal(4), np.array([1, 2, -1, 0]))),
    ],
    "MultiLabelSoftMarginLoss": [
        ((), {}, (normal(3, 4), uniform(3, 4))),
        ((Fixed(uniform(4)),), {"reduction": "sum"}, PAIR),
    ],
    "PairwiseDistance": [((), {}, PAIR), ((3.0,), {"keepdim": True}, PAIR)],
    "CosineSimilarity": [((), {}, PAIR), ((0,), {}, PAIR)],
    "SyncBatchNorm": [((4,), {}, NCHW), ((4,), {"momentum": None, "affine": False}, NCL)],
    "LinearCrossEntropyLoss": [
        ((4, 5), {"bias": True, "ignore_index": 1}, (normal(3, 4), classes(5, 3))),
        ((4, 5), {"out_features": (2,), "label_smoothing": 0.1, "reduction": "sum"}, (normal(3, 4), classes(5, 3, 2))),
        ((4, 5), {"weight": Fixed(uniform(5))}, (normal(3, 4), PROBABILITIES)),
    ],
    "AdaptiveLogSoftmaxWithLoss": [
        ((6, 10, [3, 6]), {}, (normal(5, 6), np.array([0, 9, 4, 3, 7]))),
        ((6, 10, [4]), {"div_value": 2.0, "head_bias": True}, (normal(6), np.array(5))),
    ],
    "NLLLoss2d": [((), {"ignore_index": 1}, (normal(2, 3, 2, 2), classes(3, 2, 2, 2)))],
    "CTCLoss": [
        ((), {}, (normal(6, 2, 4), Fixed(classes(3, 2, 3) + 1), Fixed(np.array([6, 5])), Fixed(np.array([3, 2])))),
        ((2,), {"reduction": "sum", "zero_infinity": True}, (normal(5, 4), Fixed(np.array([1, 1, 3])), (5,), (3,))),
        ((), {"reduction": "none"}, (normal(6, 2, 4), Fixed(np.array([1, 2, 3])), (6, 4), (2, 1))),
    ],
    "EmbeddingBag": [
        ((7, 3), {}, (classes(7, 2, 5),)),
        ((7, 3), {"mode": "sum", "padding_idx": 0}, (classes(7, 6), np.array([0, 2, 2]))),
        ((7, 3), {"mode": "max"}, (classes(7, 2, 4),)),
        ((7, 3), {"mode": "sum", "include_last_offset": True}, (classes(7, 6), np.array([0, 4, 6]), normal(6))),
        ((7, 3), {"max_norm": 1.0}, (classes(7, 2, 5),)),
    ],
    # convolutions
    "Conv1d": [((4, 6, 3), {}, NCL), ((4, 4, 2), {"stride": 2, "padding": 1, "groups": 2, "bias": False}, NCL)],
    "Conv2d": [
        ((4, 3, 2), {}, NCHW),
        ((4, 4, 3), {"padding": "same", "dilation": 2, "groups": 4}, NCHW),
        ((4, 2, (2, 3)), {"padding": (1, 2), "padding_mode": "circular"}, NCHW),
        ((4, 2, 3), {"padding": 1, "padding_mode": "reflect"}, (normal(4, 5, 5),)),
    ],
    "Conv3d": [((4, 3, 2), {}, NCDHW), ((4, 2, (1, 2, 2)), {"padding": "valid", "stride": (1, 2, 1)}, NCDHW)],
    "ConvTranspose1d": [((4, 6, 3), {}, NCL), ((4, 4, 2), {"stride": 2, "padding": 1, "groups": 2}, NCL)],
    "ConvTranspose2d": [
        ((4, 3, 2), {}, NCHW),
        ((4, 2, 3), {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 2, "bias": False}, NCHW),
    ],
    "ConvTranspose3d": [((4, 3, 2), {}, NCDHW), ((4, 4, 2), {"groups": 2, "stride": (1, 2, 1)}, NCDHW)],
    "Fold": [(((3, 4), (2, 2)), {}, (normal(2, 8, 6),)), (((4, 4), 2), {"stride": 2, "padding": 1}, (normal(4, 9),))],
    "Unfold": [((2,), {}, NCHW), (((2, 3),), {"dilation": 1, "padding": 1, "stride": 2}, NCHW)],
    # pooling
    "MaxPool1d": [((2,), {}, NCL), ((3, 1, 1), {"return_indices": True, "ceil_mode": True}, NCL)],
    "MaxPool2d": [((2,), {}, NCHW), ((2, 1), {"dilation": 2, "return_indices": True}, NCHW)],
    "MaxPool3d": [((2,), {}, NCDHW), (((1, 2, 2), 1), {"padding": (0, 1, 1)}, NCDHW)],
    "MaxUnpool1d": [((2,), {}, (normal(1, 2, 2), np.array([[[1, 2], [0, 3]]])))],
    "MaxUnpool2d": [((2, 2), {}, (normal(1, 1, 2, 2), np.array([[[[0, 2], [9, 15]]]])))],
    "MaxUnpool3d": [((2,), {}, (normal(1, 1, 1, 1, 2), np.array([[[[[3, 10]]]]])))],
    "AvgPool1d": [((2,), {}, NCL), ((3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, NCL)],
    "AvgPool2d": [((2,), {}, NCHW), ((2, 1, 1), {"divisor_override": 3}, NCHW)],
    "AvgPool3d": [((2,), {}, NCDHW), (((1, 2, 2),), {"padding": (0, 1, 1)}, NCDHW)],
    "LPPool1d": [((2, 3), {}, NCL), ((3.0, 2), {"stride": 1, "ceil_mode": True}, (uniform(2, 3, 5),))],
    "LPPool2d": [((2, 2), {}, NCHW)],
    "LPPool3d": [((2, 2), {}, NCDHW)],
    "FractionalMaxPool2d": [((2,), {"output_size": 2}, (normal(1, 2, 6, 6),))],
    "FractionalMaxPool3d": [((2,), {"output_ratio": 0.5, "return_indices": True}, (normal(1, 1, 6, 6, 6),))],
    "AdaptiveAvgPool1d": [((3,), {}, NCL)],
    "AdaptiveAvgPool2d": [((2,), {}, NCHW), (((None, 1),), {}, NCHW)],
    "AdaptiveAvgPool3d": [(((1, 2, 2),), {}, NCDHW)],
    "AdaptiveMaxPool1d": [((3,), {}, NCL)],
    "AdaptiveMaxPool2d": [((2,), {"return_indices": True}, NCHW)],
    "AdaptiveMaxPool3d": [(((1, None, 2),), {}, NCDHW)],
    # padding and sizes
    "CircularPad1d": [((2,), {}, NCL)],
    "CircularPad2d": [(((1, 0, 2, 1),), {}, NCHW)],
    "CircularPad3d": [((1,), {}, NCDHW)],
    "ConstantPad1d": [((2, 3.5), {}, NCL)],
    "ConstantPad2d": [(((1, -1, 2, 0), 0.5), {}, NCHW)],
    "ConstantPad3d": [((1, -2.0), {}, NCDHW)],
    "ReflectionPad1d": [((2,), {}, NCL)],
    "ReflectionPad2d": [(((1, 0, 2, 1),), {}, NCHW)],
    "ReflectionPad3d": [((1,), {}, NCDHW)],
    "ReplicationPad1d": [((2,), {}, NCL)],
    "ReplicationPad2d": [(((1, 0, 2, 1),), {}, NCHW)],
    "ReplicationPad3d": [((1,), {}, NCDHW)],
    "ZeroPad1d": [((2,), {}, NCL)],
    "ZeroPad2d": [(((1, 0, 2, 1),), {}, NCHW)],
    "ZeroPad3d": [((1,), {}, NCDHW)],
    "Upsample": [
        ((), {"scale_factor": 2}, NCL),
        (((5, 7),), {"mode": "bilinear"}, NCHW),
        ((), {"scale_factor": (2.0, 1.5), "mode": "bicubic", "align_corners": True}, NCHW),
        ((4,), {"mode": "trilinear"}, NCDHW),
    ],
    "UpsamplingBilinear2d": [((), {"scale_factor": 2}, NCHW)],
    "UpsamplingNearest2d": [((5,), {}, NCHW)],
    # recurrent
    "RNNBase": [(("RNN_TANH", 3, 4), {"num_layers": 2}, None), (("LSTM", 3, 4), {"proj_size": 2}, None)],
    "RNN": [
        ((3, 4), {}, (normal(5, 2, 3),)),
        ((3, 4, 2), {"nonlinearity": "relu", "bidirectional": True, "batch_first": True}, (normal(2, 5, 3),)),
        ((3, 4), {"bias": False}, (normal(5, 3), normal(1, 4))),
    ],
    "LSTM": [
        ((3, 4), {}, (normal(5, 2, 3), (normal(1, 2, 4), normal(1, 2, 4)))),
        ((3, 4), {"num_layers": 2, "proj_size": 2, "bidirectional": True}, (normal(5, 2, 3),)),
    ],
    "GRU": [
        ((3, 4), {}, (normal(5, 2, 3), normal(1, 2, 4))),
        ((3, 4), {"num_layers": 2, "bidirectional": True, "batch_first": True}, (normal(2, 5, 3),)),
    ],
    "RNNCellBase": [((3, 4, True, 2), {}, None)],
    "RNNCell": [((3, 4), {}, (normal(2, 3), normal(2, 4))), ((3, 4), {"nonlinearity": "relu"}, (normal(3),))],
    "LSTMCell": [((3, 4), {}, (normal(2, 3), (normal(2, 4), normal(2, 4)))), ((3, 4, False), {}, (normal(3),))],
    "GRUCell": [((3, 4), {}, (normal(2, 3), normal(2, 4)))],
    # attention
    "MultiheadAttention": [
        ((6, 2), {}, (normal(4, 2, 6), normal(5, 2, 6), normal(5, 2, 6))),
        ((6, 3), {"kdim": 4, "vdim": 5, "batch_first": True}, (normal(2, 3, 6), normal(2, 4, 4), normal(2, 4, 5))),
        ((6, 2), {"bias": False, "add_bias_kv": True, "add_zero_attn": True}, (normal(4, 6),) * 3),
    ],
    "TransformerEncoderLayer": [
        ((6, 2), {"dim_feedforward": 8, "dropout": 0.0}, (normal(4, 2, 6),)),
        (
            (6, 2, 8, 0.0, "gelu"),
            {"batch_first": True, "norm_first": True, "bias": False},
            (normal(2, 4, 6),),
        ),
    ],
    "TransformerDecoderLayer": [
        ((6, 2), {"dim_feedforward": 8, "dropout": 0.0}, (normal(3, 2, 6), normal(4, 2, 6))),
    ],
    "TransformerEncoder": [
        (
            (Make(lambda lib: lib.nn.TransformerEncoderLayer(6, 2, 8, 0.0)), 2),
            {"norm": Make(lambda lib: lib.nn.LayerNorm(6)), "enable_nested_tensor": False},
            (normal(4, 2, 6),),
        ),
    ],
    "TransformerDecoder": [
        ((Make(lambda lib: lib.nn.TransformerDecoderLayer(6, 2, 8, 0.0)), 2), {}, (normal(3, 2, 6), normal(4, 2, 6))),
    ],
    "Transformer": [((6, 2, 1, 2, 8, 0.0), {"batch_first": True}, (normal(2, 4, 6), normal(2, 3, 6)))],
    # shapes that the first call finds out
    "LazyLinear": [((3,), {}, X)],
    "LazyConv1d": [((3, 2), {}, NCL)],
    "LazyConv2d": [((3, 2), {"stride": 2, "bias": False}, NCHW)],
    "LazyConv3d": [((3, 2), {}, NCDHW)],
    "LazyConvTranspose1d": [((3, 2), {}, NCL)],
    "LazyConvTranspose2d": [((3, 2), {"stride": 2}, NCHW)],
    "LazyConvTranspose3d": [((3, 2), {}, NCDHW)],
    "LazyBatchNorm1d": [((), {}, NCL)],
    "LazyBatchNorm2d": [((), {"momentum": None}, NCHW)],
    "LazyBatchNorm3d": [((), {"affine": False}, NCDHW)],
    "LazyInstanceNorm1d": [((), {"affine": True}, NCL)],
    "LazyInstanceNorm2d": [((), {"track_running_stats": True}, NCHW)],
    "LazyInstanceNorm3d": [((), {}, NCDHW)],
    # containers
    "Module": [((), {}, None)],
    "Container": [((), {"a": Make(lambda lib: lib.nn.Linear(2, 3))}, None)],
    "Sequential": [
        ((), {}, X),
        (tuple(Make(lambda lib, n=n: lib.nn.Linear(n, n - 1)) for n in (4, 3)), {}, X),
        ((Make(lambda lib: OrderedDict(a=lib.nn.Linear(4, 2), b=lib.nn.ReLU())),), {}, X),
    ],
    "ModuleList": [((Make(lambda lib: [lib.nn.Linear(4, 2), lib.nn.ReLU(), lib.nn.ReLU()]),), {}, None)],
    "ModuleDict": [((Make(lambda lib: {"a": lib.nn.Linear(4, 2), "b": lib.nn.Dropout(0.1)}),), {}, None)],
    "ParameterList": [((Make(lambda lib: [lib.nn.Parameter(lib.ones(2, 3)), lib.zeros(2)]),), {}, None)],
    "ParameterDict": [((Make(lambda lib: {"a": lib.nn.Parameter(lib.ones(2, 3)), "b": lib.zeros(2)}),), {}, None)],
    "DataParallel": [((Make(lambda lib: lib.nn.Linear(4, 2)),), {}, X)],
}


def to_lib(lib, value, grad=False):
    if isinstance(value, Fixed):
        return lib.tensor(value.array)
    if isinstance(value, np.ndarray):
        return lib.tensor(value, requires_grad=grad and value.dtype.kind == "f")
    if isinstance(value, Make):
        return value.make(lib)
    if isinstance(value, tuple) and any(isinstance(v, (np.ndarray, Fixed)) for v in value):
        return tuple(to_lib(lib, v, grad) for v in value)
    return value


def build(lib, name, args, kwargs):
    lib.manual_seed(3)
    return getattr(lib.nn, name)(*(to_lib(lib, a) for a in args), **{k: to_lib(lib, v) for k, v in kwargs.items()})
