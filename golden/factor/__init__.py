"""The FP32 factor of a whole tensor, and NVFP4 as ModelOpt writes it, which needs one.

`tensor_scale` says what the factor is and divides by it; `modelopt` is the rule of that library.
Imports parameters, and formats and checks of golden.
"""
