"""The `dot` unit: block records in, sums of products out; one file a step of the data path.

`sums` adds products by sign class, `terms` scales them, `accumulate` and `fp32` keep the sum,
`widths` derives every width, `dot` joins them.
"""
