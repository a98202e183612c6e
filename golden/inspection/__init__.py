"""What tensors hold, and where two of them differ: figures about data, none of which is data.

- `differences`: codes, scales and values of two tensors that should be the same.
- `statistics`: shares of zeros, of the largest code, of NaN; scales; RMS.
"""
