"""``amxfp4 accuracy``: what formats cost a language model.

- `measure`: the command; `encoders`: of an encoder; `models`: what it knows by name.
- `tables`: what it prints; `record`: the same as data.
- `report`: the web page, with `pictures` and the hardware's `costs`.
- `hardware`: linear layers through quantizer and array in Verilator.
"""
