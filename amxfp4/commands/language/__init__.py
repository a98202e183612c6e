"""``amxfp4 accuracy``: what formats cost a language model.

- `measure`: the command; `tables`: what it prints.
- `report`: the web page, with `pictures` and the hardware's `costs`.
- `hardware`: linear layers through quantizer and array in Verilator.
"""
