"""The `quantizer` unit: words in, block records out; one file a step of the data path.

`key` orders magnitudes, `maxima` finds the largest, `scale` chooses the scale, `buffer` holds the
block meanwhile, `element` rounds each element, `second` and `error` weigh two scales, by a few bits
and exactly, `quantizer` joins them.
"""
