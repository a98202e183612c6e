"""Boards that hold an engine behind a serial line: one file each, and `build` for all of them."""

from amxfp4.synth.boards.board import Board
from amxfp4.synth.boards.icebreaker import ICEBREAKER
from amxfp4.synth.boards.orangecrab import ORANGECRAB
from amxfp4.synth.boards.ulx3s import ULX3S

__all__ = ["BOARDS"]

BOARDS: dict[str, Board] = {board.name: board for board in (ULX3S, ORANGECRAB, ICEBREAKER)}
"""Every board, by name."""
