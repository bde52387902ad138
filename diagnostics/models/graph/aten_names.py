"""The operators of ATen that are computed, by what they have in common, and those that are not."""

from __future__ import annotations

ELEMENTWISE = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hardswish"),
    *("hardsigmoid", "hardtanh", "sigmoid", "tanh", "softplus", "log_sigmoid", "clamp"),
    *("clamp_min", "clamp_max", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "erf", "reciprocal"),
    *("square", "sin", "cos", "floor", "ceil", "round", "sign", "log1p", "expm1"),
)
ROWS = (
    *(
        "conv2d",
        "convolution",
        "_convolution",
        "_convolution_mode",
        "batch_norm",
        "group_norm",
        "instance_norm",
    ),
    *("_native_batch_norm_legit_no_training", "native_group_norm", "max_pool2d", "avg_pool2d"),
    *("max_pool2d_with_indices", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    *("_adaptive_avg_pool2d", "conv_transpose2d", "upsample_nearest2d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("native_channel_shuffle", "reflection_pad2d", "replication_pad2d"),
)
LAST_AXES = ("layer_norm", "native_layer_norm", "linear", "scaled_dot_product_attention")
EQUALS = ("add", "sub", "mul", "div", "rsub", "minimum", "maximum")
VIEWS = (
    *("view", "reshape", "flatten", "unflatten", "transpose", "permute", "t", "numpy_T", "mT"),
    *("squeeze", "unsqueeze", "slice", "select", "expand", "expand_as", "view_as", "chunk"),
    *("split", "split_with_sizes", "unbind", "movedim", "narrow", "unfold", "diagonal", "alias"),
    *(
        "swapaxes",
        "unsafe_chunk",
        "detach",
        "contiguous",
        "to",
        "type_as",
        "dropout",
        "tensor_split",
    ),
    *("feature_dropout", "alpha_dropout", "reshape_as", "lift_fresh", "matrix_H", "swapdims"),
)
OTHERS = (
    *("conv1d", "softmax", "_softmax", "log_softmax", "_log_softmax"),
    *("matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear", "dot", "mv", "outer"),
    *("pow", "floor_divide", "remainder", "fmod", "where", "masked_fill", "eq", "ne", "lt", "le"),
    *(
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_not",
        "bitwise_not",
        "bitwise_and",
        "isnan",
    ),
    *("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "norm", "all"),
    *("linalg_vector_norm", "argmax", "argmin", "topk", "sort", "cumsum", "any", "logsumexp"),
    *("cat", "concat", "stack", "hstack", "vstack", "tile", "repeat", "repeat_interleave", "roll"),
    *("flip", "rot90", "gather", "index", "index_select", "index_put", "scatter", "masked_select"),
    *("slice_scatter", "select_scatter", "copy", "fill", "clone", "pad", "constant_pad_nd", "glu"),
    *("max_pool1d", "avg_pool1d", "adaptive_avg_pool1d", "upsample_linear1d", "prelu"),
    *("_prelu_kernel", "celu", "threshold", "hardshrink", "softshrink", "lerp"),
    *("addcmul", "addcdiv", "im2col", "col2im", "grid_sampler", "one_hot", "embedding", "tril"),
    *("triu", "meshgrid", "cdist", "cosine_similarity", "atan", "atan2"),
    *("zeros", "ones", "full", "empty", "arange", "linspace", "eye", "scalar_tensor", "zeros_like"),
    *("ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"),
    *("lift_fresh_copy", "_to_copy", "_unsafe_view", "zero", "_shape_as_tensor", "numel"),
    *("avg_pool3d", "max_pool3d", "conv3d", "nan_to_num"),
    *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    *(
        "empty_permuted",
        "_unsafe_index",
        "as_strided",
        "_native_batch_norm_legit",
        "log2",
        "exp2",
        "true_divide",
        "rms_norm",
    ),
)
OUT_OF_NOTHING = ("new_zeros", "new_ones", "new_full", "new_empty")
NEVER = (  # what trusts its inputs: it reads past their end, or divides by zero
    *("_native_batch_norm_legit.default", "_native_batch_norm_legit_no_training.default"),
    *("native_group_norm.default", "batch_norm.default", "remainder.int", "fmod.int", "div.int"),
    *("to.prim_dtype", "to.prim_Device", "to.prim_other"),
)
MADE = {"zeros": 0, "ones": 0, "full": 0, "empty": 0, "repeat": 1, "tile": 1, "empty_permuted": 0}
MADE |= dict.fromkeys(OUT_OF_NOTHING, 1)  # where the sizes stand of what is made out of nothing
DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
