"""How bytes get to an engine and back: ports, frames, and the transports on top of them.

A serial line with its framing, a memory map through UIO or ``/dev/mem``, a pseudo-terminal with
noise. A transport moves words and packets and knows no matrix.
"""
